"""Reports and sums as bytes: what telemetry_commit.lua takes, and what it left behind."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from struct import Struct, pack, unpack
from typing import TYPE_CHECKING, Any

from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING, kept_ppm
from rollout_server.domain import telemetry
from rollout_server.domain.guardrails.data import Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.telemetry import RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_server.domain.telemetry import Intake, Outcome, Place

_DOUBLE_BYTES = 8
_HEAD = 4
_OUTCOME = Struct("<dd")


def telemetry_key(environment: str) -> str:
    """Return the key from which all others of an environment's telemetry are made."""
    return f"rollout:{{{environment}}}:telemetry"


def run_name(run: RunId) -> str:
    """Return a run's name in the store."""
    return f"{run.rollout}/{run.run}"


def of_run(key: str, run: str, name: str) -> str:
    """Return the key of a part of a run, as telemetry_prelude.lua has it."""
    return f"{key}:run:{run}:{name}"


def write_unit(unit: int) -> bytes:
    """Return a 64-bit hash as it is stored."""
    return unit.to_bytes(_DOUBLE_BYTES, "big")


def read_unit(stored: bytes) -> int:
    """Undo `write_unit`."""
    return int.from_bytes(stored, "big")


def write_cell(cell: Cell) -> bytes:
    """Return a cell as it is stored: little-endian doubles, which hold every count up to 2^53."""
    flat = (number for pair in cell.histogram for number in pair)
    numbers = (cell.n, cell.x, cell.xx, len(cell.bucket_n), *cell.bucket_n, *cell.bucket_x, *flat)
    return pack(f"<{len(numbers)}d", *numbers)


def read_cell(body: bytes) -> Cell:
    """Undo `write_cell`."""
    numbers = unpack(f"<{len(body) // _DOUBLE_BYTES}d", body)
    n, x, xx, classes = numbers[:_HEAD]
    count = int(classes)
    flat = numbers[_HEAD + 2 * count :]
    return Cell(
        int(n),
        x,
        xx,
        tuple((int(bin_), int(number)) for bin_, number in zip(flat[::2], flat[1::2], strict=True)),
        tuple(map(int, numbers[_HEAD : _HEAD + count])),
        numbers[_HEAD + count : _HEAD + 2 * count],
    )


def write_bound(bound: int) -> bytes:
    """Return a sample's bound as it is stored; empty keeps everything."""
    return b"" if bound >= EVERYTHING else bound.to_bytes(_DOUBLE_BYTES, "big")


def read_bound(stored: bytes) -> int:
    """Undo `write_bound`."""
    return int.from_bytes(stored, "big") if stored else EVERYTHING


def commit_arguments(intake: Intake) -> list[Any]:
    """Return a report as telemetry_commit.lua takes it."""
    limits = (telemetry.UNITS_MAX, telemetry.STRATA_MAX, telemetry.REST)
    words: list[Any] = [intake.instance, intake.sequence, intake.at_ms, *limits, len(intake.bounds)]
    for run, metric, bound in intake.bounds:
        words += (run_name(run), metric, write_bound(bound))
    words.append(len(intake.events))
    for place, window, metric, cell in intake.events:
        words += (run_name(place.run), metric, window, *_place(place), write_cell(cell))
    words.append(len(intake.outcomes))
    for place, window, metric, outcomes in intake.outcomes:
        packed = _outcomes(outcomes, has_bins=metric in intake.quantiles)
        words += (run_name(place.run), metric, window, *_place(place), packed)
    words.append(len(intake.units))
    for place, window, exposed, reporting in intake.units:
        words += (run_name(place.run), window, *_place(place), _units(exposed), _units(reporting))
    for book in (intake.unattributed, intake.losses):
        words.append(len(book))
        words += (word for item in book.items() for word in item)
    return words


def read_sums(run: RunId, metric: str, answer: Sequence[Any]) -> tuple[WindowSums, ...]:
    """Read what telemetry_sums.lua found of a metric."""
    found: list[WindowSums] = []
    for window, fields in answer[1:]:
        arms: defaultdict[tuple[int, int, str], dict[Arm, Cell]] = defaultdict(dict)
        for field, body in zip(fields[::2], fields[1::2], strict=True):
            allocation, reach_ppm, arm, stratum = field.decode().split("\0")
            arms[int(allocation), int(reach_ppm), stratum][Arm(arm)] = read_cell(body)
        found += (
            WindowSums(
                run.run,
                *place,
                metric,
                int(window),
                each.get(Arm.CANDIDATE, Cell()),
                each.get(Arm.CONTROL, Cell()),
            )
            for place, each in sorted(arms.items())
        )
    return tuple(found)


def read_exposures(run: RunId, answer: Sequence[Any]) -> tuple[ExposureSums, ...]:
    """Read what telemetry_sums.lua found of exposures."""
    share_ppm = kept_ppm(read_bound(answer[0]))
    found: list[ExposureSums] = []
    for window, fields in answer[1:]:
        counts: defaultdict[tuple[int, int, str], Counter[tuple[str, str]]] = defaultdict(Counter)
        for field, count in zip(fields[::2], fields[1::2], strict=True):
            allocation, reach_ppm, arm, stratum, what = field.decode().split("\0")
            counts[int(allocation), int(reach_ppm), stratum][arm, what] = int(count)
        found += (
            ExposureSums(
                run.run,
                *place,
                int(window),
                _counted(each, Arm.CANDIDATE),
                _counted(each, Arm.CONTROL),
                share_ppm,
            )
            for place, each in sorted(counts.items())
        )
    return tuple(found)


def _counted(counts: Counter[tuple[str, str]], arm: Arm) -> UnitCounts:
    return UnitCounts(counts[arm.value, "exposed"], counts[arm.value, "reporting"])


def _place(place: Place) -> tuple[int, int, str, str]:
    return place.allocation, place.reach_ppm, place.stratum, place.arm.value


def _units(units: Iterable[int]) -> bytes:
    return b"".join(map(write_unit, units))


def _outcomes(outcomes: Iterable[Outcome], *, has_bins: bool) -> bytes:
    return b"".join(
        write_unit(unit) + _OUTCOME.pack(value, bin_of(value) if has_bins else math.nan) for unit, value in outcomes
    )
