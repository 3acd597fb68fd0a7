"""Reports as they travel; see `telemetry.proto`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_sdk.wire.v1 import telemetry_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window

_ARMS = {Arm.CANDIDATE: pb.ARM_CANDIDATE, Arm.CONTROL: pb.ARM_CONTROL}


class Answer(NamedTuple):
    """What a server says to a report."""

    report_every_ms: int
    dropped: int


def write_report(
    instance_id: str,
    sequence: int,
    windows: Iterable[Window],
    losses: Iterable[tuple[LossReason, int]],
    now_s: float,
) -> pb.ReportRequest:
    """Return the message of a report.

    Args:
        instance_id: of this process.
        sequence: of this report.
        windows: what it says.
        losses: what it does not say.
        now_s: monotonic seconds of the moment of sending; ages are counted from it.
    """
    return pb.ReportRequest(
        instance_id=instance_id,
        sequence=sequence,
        windows=[_window(window, now_s) for window in windows],
        losses=[pb.Loss(reason=pb.LossReason.ValueType(reason), count=count) for reason, count in losses],
    )


def read_answer(response: pb.ReportResponse) -> Answer:
    """Return what the server said."""
    return Answer(response.report_every_ms, response.dropped)


def _window(window: Window, now_s: float) -> pb.SumsWindow:
    return pb.SumsWindow(
        age_ms=max(0, int((now_s - window.closed_at_s) * 1_000)),
        runs=[_run(run, arms, window) for run, arms in window.runs.items()],
        unattributed=[pb.Unattributed(metric=metric, count=count) for metric, count in window.unattributed.items()],
    )


def _run(run: RunKey, arms: Mapping[ArmKey, ArmSums], window: Window) -> pb.RunSums:
    return pb.RunSums(
        rollout=run.rollout,
        run=run.run,
        arms=[_arm(key, sums) for key, sums in arms.items()],
        bounds=[
            pb.SampleBound(metric=metric, bound=bound % EVERYTHING)
            for (of, metric), bound in window.bounds.items()
            if of == run
        ],
    )


def _arm(key: ArmKey, sums: ArmSums) -> pb.ArmSums:
    return pb.ArmSums(
        allocation=key.allocation,
        reach_ppm=key.reach_ppm,
        stratum=key.stratum,
        arm=_ARMS[key.arm],
        recomputed=key.recomputed,
        events=[_events(metric, events) for metric, events in sums.events.items()],
        outcomes=[
            pb.UnitOutcomes(metric=metric, units=[unit for unit, _ in each], values=[value for _, value in each])
            for metric, each in sums.outcomes.items()
        ],
        exposed=sums.exposed,
        reporting=sums.reporting,
    )


def _events(metric: str, sums: EventSums) -> pb.EventSums:
    buckets, bins = sorted(sums.n), sorted(sums.bins)
    return pb.EventSums(
        metric=metric,
        xx=sums.xx,
        buckets=buckets,
        bucket_n=[sums.n[bucket] for bucket in buckets],
        bucket_x=[sums.x[bucket] for bucket in buckets],
        bins=bins,
        bin_n=[sums.bins[each] for each in bins],
    )
