"""Reports from the wire, every number of them within bounds: an SDK token is no reason for trust."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING

from rollout_sdk.engine.log_histogram import BIN_MAX, BIN_MIN
from rollout_sdk.engine.model import PPM, Arm
from rollout_sdk.engine.problems import Problem
from rollout_sdk.engine.sample import EVERYTHING, USER_BUCKETS
from rollout_sdk.wire.v1 import telemetry_pb2 as pb
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, RunId, WindowReport
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTANCE_CHARS_MAX = 64
SEQUENCE_MAX = (1 << 63) - 1
WINDOWS_MAX = 1_024
ARMS_MAX = 4_096
SUMS_MAX = 16_384
UNITS_MAX = 262_144
KEY_CHARS_MAX = 128
STRATUM_CHARS_MAX = 64
COUNT_MAX = 1 << 48
VALUE_MAX = 1e30
SQUARES_MAX = 1e60

_ARMS = {pb.ARM_CANDIDATE: Arm.CANDIDATE, pb.ARM_CONTROL: Arm.CONTROL}
_LOSSES = {
    pb.LOSS_REASON_UNKNOWN_METRIC: "unknown_metric",
    pb.LOSS_REASON_BAD_VALUE: "bad_value",
    pb.LOSS_REASON_NO_ROOM: "no_room",
    pb.LOSS_REASON_TOO_OLD: "too_old",
    pb.LOSS_REASON_REFUSED: "refused",
    pb.LOSS_REASON_BAD_TOKEN: "bad_token",
}
REPORTED_LOSSES = (*_LOSSES.values(), "other")
"""Why processes leave out what they counted."""


def report_of(request: pb.ReportRequest) -> Report:
    """Read a report.

    Raises:
        InvalidInput: something in it is out of bounds; nothing of it may be used.
    """
    name = request.instance_id
    _check(bool(name) and len(name) <= INSTANCE_CHARS_MAX and name.isascii() and name.isprintable(), "instance_id")
    _check(1 <= request.sequence <= SEQUENCE_MAX, "sequence")
    _check(len(request.windows) <= WINDOWS_MAX, "windows")
    _Room().take(request)
    return Report(
        instance_id=name,
        sequence=request.sequence,
        windows=tuple(_window(window) for window in request.windows),
        losses=tuple((_LOSSES.get(loss.reason, "other"), _count(loss.count, "losses")) for loss in request.losses[:16]),
    )


class _Room:
    """How much a report may hold in all, counted before any of it is read."""

    def take(self, request: pb.ReportRequest) -> None:
        arms = [arm for window in request.windows for run in window.runs for arm in run.arms]
        _check(len(arms) <= ARMS_MAX, "arms")
        _check(sum(len(arm.events) + len(arm.outcomes) for arm in arms) <= SUMS_MAX, "sums")
        units = sum(len(arm.exposed) + len(arm.reporting) for arm in arms)
        units += sum(len(outcomes.units) for arm in arms for outcomes in arm.outcomes)
        _check(units <= UNITS_MAX, "units")


def _window(message: pb.SumsWindow) -> WindowReport:
    _check(len(message.runs) <= ARMS_MAX and len(message.unattributed) <= SUMS_MAX, "windows")
    _check(sum(len(run.bounds) for run in message.runs) <= SUMS_MAX, "bounds")
    return WindowReport(
        age_ms=min(message.age_ms, SEQUENCE_MAX),
        arms=tuple(_arm(run, arm) for run in message.runs for arm in run.arms),
        bounds=tuple(
            (_run(run), _key(bound.metric, "bounds", is_needed=False), bound.bound or EVERYTHING)
            for run in message.runs
            for bound in run.bounds
        ),
        unattributed=tuple(
            (_key(each.metric, "unattributed"), _count(each.count, "unattributed")) for each in message.unattributed
        ),
    )


def _run(message: pb.RunSums) -> RunId:
    return RunId(_key(message.rollout, "rollout"), message.run)


def _arm(run: pb.RunSums, message: pb.ArmSums) -> ArmReport:
    stratum = message.stratum
    _check(message.reach_ppm <= PPM, "reach_ppm")
    _check(len(stratum) <= STRATUM_CHARS_MAX and (not stratum or stratum.isprintable()), "stratum")
    _check(message.arm in _ARMS, "arm")
    return ArmReport(
        place=Place(_run(run), message.allocation, message.reach_ppm, stratum, _ARMS[message.arm]),
        recomputed=message.recomputed,
        events=tuple((_key(each.metric, "events"), _cell(each)) for each in message.events),
        outcomes=tuple((_key(each.metric, "outcomes"), _outcomes(each)) for each in message.outcomes),
        exposed=tuple(message.exposed),
        reporting=tuple(message.reporting),
    )


def _cell(message: pb.EventSums) -> Cell:
    buckets, bins = list(message.buckets), list(message.bins)
    _check(len(buckets) == len(message.bucket_n) == len(message.bucket_x), "buckets")
    _check(_ascend(buckets, 0, USER_BUCKETS - 1), "buckets")
    _check(len(bins) == len(message.bin_n) and _ascend(bins, BIN_MIN, BIN_MAX), "bins")
    n, x = [0] * USER_BUCKETS, [0.0] * USER_BUCKETS
    for bucket, count, value in zip(buckets, message.bucket_n, message.bucket_x, strict=True):
        n[bucket], x[bucket] = _count(count, "bucket_n"), _number(value, VALUE_MAX, "bucket_x")
    counts = [_count(count, "bin_n") for count in message.bin_n]
    _check(not counts or sum(counts) == sum(n), "bin_n")
    return Cell(
        n=sum(n),
        x=sum(x),
        xx=_number(message.xx, SQUARES_MAX, "xx"),
        histogram=tuple((each, count) for each, count in zip(bins, counts, strict=True) if count),
        bucket_n=tuple(n),
        bucket_x=tuple(x),
    )


def _outcomes(message: pb.UnitOutcomes) -> tuple[Outcome, ...]:
    _check(len(message.units) == len(message.values), "outcomes")
    return tuple(
        Outcome(unit, _number(value, VALUE_MAX, "outcomes"))
        for unit, value in zip(message.units, message.values, strict=True)
    )


def _key(key: str, where: str, *, is_needed: bool = True) -> str:
    _check(len(key) <= KEY_CHARS_MAX and (bool(key) or not is_needed), where)
    return key


def _count(count: int, where: str) -> int:
    _check(count <= COUNT_MAX, where)
    return count


def _number(value: float, most: float, where: str) -> float:
    _check(isfinite(value) and abs(value) <= most, where)
    return value


def _ascend(numbers: Sequence[int], least: int, most: int) -> bool:
    return all(least <= number <= most for number in numbers) and all(
        first < second for first, second in pairwise(numbers)
    )


def _check(holds: bool, where: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        message = "out of bounds, or not as telemetry.proto says"
        raise InvalidInput([Problem("", where, "bad_report", message, "use an SDK of this release")])
