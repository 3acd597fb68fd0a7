"""Take a report: put each of its windows where it belongs, leave out what nobody can use, commit the rest at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rollout_sdk.engine.metrics import Measures, Per
from rollout_server.domain.guardrails.data import is_possible, last_passed
from rollout_server.domain.telemetry import Intake, Place, RunId, stratum_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.window_clock import WindowClock
    from rollout_server.domain.guardrails.data import Cell
    from rollout_server.domain.telemetry import ArmReport, Outcome, Report, WindowReport
    from rollout_server.ports import TelemetryStore

LOSSES = ("late", "too_old", "unknown_run", "unknown_metric", "impossible")
"""Why sums are left out here; processes have reasons of their own."""

AGE_MAX_MS = 24 * 3_600_000
"""Older sums are of no use to anybody. Shorter than instances are remembered, so that a repeat is always known."""

REPORTS_PER_S = 100
"""About a fifth of a core; the server has streams to look after."""
REPORT_EVERY_MAX_MS = 60_000


class IngestTelemetry:
    """Takes the reports of one environment.

    Attributes:
        store: of the environment.
        clock: of windows; whoever judges them must go by it too.
        ruleset: returns the present one.
        report_every_ms: returns how often processes are to report now.
        reports: taken since this server started; repeats are not counted.
        unattributed, losses: in no sum since then; the store's ledger knows of all times.
    """

    def __init__(
        self,
        store: TelemetryStore,
        clock: WindowClock,
        ruleset: Callable[[], Ruleset],
        report_every_ms: Callable[[], int],
    ) -> None:
        """Be ready.

        Args:
            store: of the environment.
            clock: of windows.
            ruleset: returns the present one; it says which runs and metrics there are.
            report_every_ms: returns how often processes are to report now, see `pace`.
        """
        self.store = store
        self.clock = clock
        self.ruleset = ruleset
        self.report_every_ms = report_every_ms
        self.reports = 0
        self.unattributed = 0
        self.losses: Counter[str] = Counter()

    async def take(self, token_id: str, report: Report) -> int:
        """Commit a report; a repeat changes nothing.

        Args:
            token_id: whose process it is: one token's process cannot report in the name of another's.
            report: read, and within bounds.

        Returns:
            How many of its sums were left out: of unknown runs or metrics, impossible, too old or too late.

        Raises:
            Unavailable: the store is away; send it again.
        """
        sorting = _Sorting(self.ruleset(), self.clock)
        for window in report.windows:
            sorting.add(window)
        losses = Counter(dict(report.losses)) + sorting.losses
        intake = Intake(
            instance=f"{token_id}/{report.instance_id}",
            sequence=report.sequence,
            at_ms=sorting.at_ms,
            events=tuple(sorting.events),
            outcomes=tuple(sorting.outcomes),
            units=tuple(sorting.units),
            quantiles=frozenset(key for key, each in sorting.metrics.items() if each.measures is Measures.QUANTILE),
            bounds=tuple(sorting.bounds),
            unattributed=dict(sorting.unattributed),
            losses=dict(losses),
        )
        receipt = await self.store.commit(intake)
        if receipt.is_repeat:
            return 0
        self.reports += 1
        self.unattributed += sorting.unattributed.total()
        self.losses.update(losses)
        if receipt.late:
            self.losses["late"] += receipt.late
        return sorting.losses.total() + receipt.late

    def watermark(self, late_ms: int) -> int:
        """Return the last window that may be judged: every report of it has had its time to come.

        Args:
            late_ms: the metric's own; 0 for exposures.
        """
        return self.watermarks(late_ms)[late_ms]

    def watermarks(self, *late_ms: int) -> dict[int, int]:
        """Return the same for several, at one moment: no window of one comes a look before that of another."""
        now_ms, every_ms = self.clock.now_ms(), self.report_every_ms()
        return {each: last_passed(now_ms, each + 2 * every_ms, self.clock.window_ms) for each in late_ms}


def pace(report_every_ms: int, processes: int) -> int:
    """Return how often each of so many processes is to report, so that together they stay below `REPORTS_PER_S`."""
    return min(REPORT_EVERY_MAX_MS, max(report_every_ms, processes * 1_000 // REPORTS_PER_S))


class _Sorting:
    """One report, sorted into what is kept and what is not."""

    def __init__(self, ruleset: Ruleset, clock: WindowClock) -> None:
        self.at_ms = clock.now_ms()
        self.metrics = ruleset.metrics
        self.losses: Counter[str] = Counter()
        self.unattributed: Counter[str] = Counter()
        self.events: list[tuple[Place, int, str, Cell]] = []
        self.outcomes: list[tuple[Place, int, str, tuple[Outcome, ...]]] = []
        self.units: list[tuple[Place, int, tuple[int, ...], tuple[int, ...]]] = []
        self.bounds: list[tuple[RunId, str, int]] = []
        self._allocations = {RunId(key, state.run): state.allocation for key, state in ruleset.rollouts.items()}
        self._clock = clock

    def add(self, window: WindowReport) -> None:
        """Sort one window: its time is receipt less age, whatever clock the sender has."""
        if window.age_ms > AGE_MAX_MS:
            self.losses["too_old"] += sum(_size(arm) for arm in window.arms)
            return
        number = self._clock.window_at(self.at_ms - window.age_ms)
        for arm in window.arms:
            self._add_arm(arm, number)
        for run, metric, bound in window.bounds:
            if run in self._allocations and (not metric or metric in self.metrics):
                self.bounds.append((run, metric, bound))
        for metric, count in window.unattributed:
            if metric in self.metrics:
                self.unattributed[metric] += count

    def _add_arm(self, arm: ArmReport, window: int) -> None:
        place = arm.place
        known = self._allocations.get(place.run)
        if known is None or place.run.run < 1 or place.allocation > known:
            self.losses["unknown_run"] += _size(arm)
            return
        summed = place._replace(stratum=stratum_of(place.stratum, recomputed=arm.recomputed))
        for metric, cell in arm.events:
            declared = self.metrics.get(metric)
            if declared is None or declared.per is not Per.EVENT:
                self.losses["unknown_metric"] += 1
            elif not is_possible(cell, bounded=declared.measures is Measures.PROPORTION):
                self.losses["impossible"] += 1
            else:
                self.events.append((summed, window, metric, cell))
        for metric, outcomes in arm.outcomes:
            declared = self.metrics.get(metric)
            if declared is None or declared.per is not Per.UNIT:
                self.losses["unknown_metric"] += 1
            elif declared.measures is Measures.PROPORTION and any(each.value not in (0, 1) for each in outcomes):
                self.losses["impossible"] += 1
            else:
                self.outcomes.append((summed, window, metric, outcomes))
        if arm.exposed or arm.reporting:
            self.units.append((place, window, arm.exposed, arm.reporting))


def _size(arm: ArmReport) -> int:
    return len(arm.events) + len(arm.outcomes) + bool(arm.exposed or arm.reporting)
