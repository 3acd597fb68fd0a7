"""Sums and evidence in memory: a real class that keeps every promise of the port but durability."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING, kept_ppm
from rollout_server.domain.guardrails.data import Cell, ExposureSums, UnitCounts, WindowSums
from rollout_server.domain.telemetry import (
    REST,
    STRATA_MAX,
    Intake,
    Ledger,
    Outcome,
    Place,
    ProcessWindow,
    Receipt,
    RunCheckpoint,
    RunId,
    bound_after,
)
from rollout_server.errors import Conflict, Unavailable


@dataclass
class _Unit:
    place: Place
    windows: dict[str, int] = field(default_factory=dict)


@dataclass
class _Run:
    cells: dict[tuple[int, str, Place], Cell] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)
    counted: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    units: dict[int, _Unit] = field(default_factory=dict)
    strata: set[str] = field(default_factory=set)
    judged: dict[str, int] = field(default_factory=dict)
    checkpoint: RunCheckpoint | None = None
    last_window: int = -1

    def bound(self, metric: str) -> int:
        return self.bounds.get(metric, EVERYTHING)

    def lower(self, metric: str, bound: int) -> None:
        self.bounds[metric] = min(bound, self.bound(metric))
        if metric:
            self.counted[metric] = {unit for unit in self.counted[metric] if unit < bound}
        else:
            self.units = {unit: seen for unit, seen in self.units.items() if unit < bound}


class MemoryTelemetry:
    """One environment's. `is_away = True` makes it fail until it is set back."""

    def __init__(self, window_ms: int = 10_000) -> None:
        self.window_ms = window_ms
        self.is_away = False
        self._runs: defaultdict[RunId, _Run] = defaultdict(_Run)
        self._marks: dict[str, tuple[int, int]] = {}
        self._processes: dict[int, ProcessWindow] = {}
        self._unattributed: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()

    async def commit(self, intake: Intake) -> Receipt:
        self._check()
        sequence, heard_at_ms = self._marks.get(intake.instance, (0, 0))
        if intake.sequence <= sequence:
            return Receipt(is_repeat=True)
        self._marks[intake.instance] = (intake.sequence, max(heard_at_ms, intake.at_ms))
        late = 0
        for run, metric, bound in intake.bounds:
            self._runs[run].lower(metric, bound)
        for place, window, metric, cell in intake.events:
            late += not self._put(place, window, metric, cell)
        for place, window, metric, outcomes in intake.outcomes:
            late += not self._count(place, window, metric, outcomes, has_bins=metric in intake.quantiles)
        for place, window, exposed, reporting in intake.units:
            late += not self._see(place, window, exposed=exposed, reporting=reporting)
        self._unattributed.update(intake.unattributed)
        self._losses.update(intake.losses)
        if late:
            self._losses["late"] += late
        return Receipt(is_repeat=False, late=late)

    async def sums(self, run: RunId, metric: str, after: int, through: int) -> tuple[WindowSums, ...]:
        self._check()
        found: defaultdict[tuple[int, int, int, str], dict[Arm, Cell]] = defaultdict(dict)
        for (window, of, place), cell in self._runs[run].cells.items():
            if of == metric and after < window <= through:
                found[window, place.allocation, place.reach_ppm, place.stratum][place.arm] = cell
        return tuple(
            WindowSums(
                run.run,
                allocation,
                reach_ppm,
                stratum,
                metric,
                window,
                arms.get(Arm.CANDIDATE, Cell()),
                arms.get(Arm.CONTROL, Cell()),
            )
            for (window, allocation, reach_ppm, stratum), arms in sorted(found.items(), key=lambda item: item[0])
        )

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        self._check()
        counts: defaultdict[tuple[int, int, int, str], Counter[tuple[Arm, str]]] = defaultdict(Counter)
        for unit in self._runs[run].units.values():
            for what, window in unit.windows.items():
                if after < window <= through:
                    place = unit.place
                    counts[window, place.allocation, place.reach_ppm, place.stratum][place.arm, what] += 1
        return tuple(
            ExposureSums(
                run.run,
                allocation,
                reach_ppm,
                stratum,
                window,
                UnitCounts(each[Arm.CANDIDATE, "exposed"], each[Arm.CANDIDATE, "reporting"]),
                UnitCounts(each[Arm.CONTROL, "exposed"], each[Arm.CONTROL, "reporting"]),
                kept_ppm(self._runs[run].bound("")),
            )
            for (window, allocation, reach_ppm, stratum), each in sorted(counts.items(), key=lambda item: item[0])
        )

    async def heard(self, since_ms: int) -> Mapping[str, int]:
        self._check()
        return {name: heard for name, (_, heard) in self._marks.items() if heard >= since_ms}

    async def add_processes(self, processes: ProcessWindow) -> None:
        self._check()
        known = self._processes.get(processes.window, ProcessWindow(processes.window, 0, 0))
        lived, lost = known.lived + processes.lived, known.lost + processes.lost
        self._processes[processes.window] = ProcessWindow(processes.window, lived, lost)

    async def processes(self, after: int, through: int) -> tuple[ProcessWindow, ...]:
        self._check()
        return tuple(each for _, each in sorted(self._processes.items()) if after < each.window <= through)

    async def ledger(self) -> Ledger:
        self._check()
        return Ledger(dict(self._unattributed), dict(self._losses))

    async def checkpoint(self, run: RunId) -> RunCheckpoint | None:
        self._check()
        return self._runs[run].checkpoint

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        self._check()
        run = self._runs[checkpoint.run]
        if run.checkpoint is not None and run.checkpoint.fence > checkpoint.fence:
            raise Conflict("the lease of this run", checkpoint.fence, run.checkpoint.fence)
        for metric, window in checkpoint.judged.items():
            if run.judged.get(metric, window) > window:
                raise Conflict(f"the evidence on {metric or 'exposures'}", window, run.judged[metric])
        run.judged.update(checkpoint.judged)
        run.checkpoint = RunCheckpoint(checkpoint.run, checkpoint.fence, dict(run.judged), checkpoint.body)

    async def last_window(self) -> int:
        self._check()
        return max((*(run.last_window for run in self._runs.values()), *self._processes), default=-1)

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        self._check()
        gone = 0
        for id_, run in list(self._runs.items()):
            old = [key for key in run.cells if key[0] < before_window]
            for key in old:
                del run.cells[key]
            gone += len(old)
            if id_ not in runs and run.last_window < before_window:
                del self._runs[id_]
        self._processes = {window: each for window, each in self._processes.items() if window >= before_window}
        self._marks = {name: mark for name, mark in self._marks.items() if mark[1] >= before_window * self.window_ms}
        return gone

    async def close(self) -> None:
        self.is_away = True

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("telemetry", "the store is away", "try again")

    def _is_open(self, place: Place, window: int, metric: str) -> bool:
        run = self._runs[place.run]
        run.last_window = max(run.last_window, window)
        return window > run.judged.get(metric, -1)

    def _put(self, place: Place, window: int, metric: str, cell: Cell) -> bool:
        if not self._is_open(place, window, metric):
            return False
        run = self._runs[place.run]
        key = (window, metric, self._named(place))
        run.cells[key] = run.cells.get(key, Cell()) + cell
        return True

    def _count(self, place: Place, window: int, metric: str, outcomes: Iterable[Outcome], *, has_bins: bool) -> bool:
        if not self._is_open(place, window, metric):
            return False
        run = self._runs[place.run]
        for unit, value in outcomes:
            if unit < run.bound(metric) and unit not in run.counted[metric]:
                run.counted[metric].add(unit)
                bins = ((bin_of(value), 1),) if has_bins else ()
                self._put(place, window, metric, Cell(1, float(value), float(value * value), bins))
        self._keep_bound(run, metric, len(run.counted[metric]))
        return True

    def _see(self, place: Place, window: int, **seen: tuple[int, ...]) -> bool:
        if not self._is_open(place, window, ""):
            return False
        run = self._runs[place.run]
        for what, units in seen.items():
            for unit in units:
                if unit < run.bound(""):
                    run.units.setdefault(unit, _Unit(self._named(place))).windows.setdefault(what, window)
        self._keep_bound(run, "", len(run.units))
        return True

    def _keep_bound(self, run: _Run, metric: str, count: int) -> None:
        lower = bound_after(count, run.bound(metric))
        if lower < run.bound(metric):
            run.lower(metric, lower)

    def _named(self, place: Place) -> Place:
        strata = self._runs[place.run].strata
        if not place.stratum or place.stratum in strata:
            return place
        if len(strata) >= STRATA_MAX:
            return place._replace(stratum=REST)
        strata.add(place.stratum)
        return place
