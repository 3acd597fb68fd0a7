"""The counters of one process: what was recorded since the last rotation, in bounded room.

Decisions never wait here: the units they expose for the first time are put into a queue without a lock, and whoever
rotates takes them out. Recording an outcome takes a lock for a few microseconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from rollout_sdk.attribution import Attribution
from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.metrics import Measures, Per
from rollout_sdk.engine.sample import HASH_BITS, UnitSample, user_bucket
from rollout_sdk.engine.values import as_number
from rollout_sdk.own_lock import OwnLock
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollout_sdk.attribution import Place
    from rollout_sdk.engine.metrics import MetricDeclaration

CELLS_MAX: Final = 2_048
"""Sums of one metric in one arm of one stratum, in one window."""
STRATA_MAX: Final = 64
REST: Final = "(rest)"
"""The stratum of what comes after the first 64 values."""
UNITS_MAX: Final = 131_072
"""Units of all samples together, about 12 MiB."""
VALUE_MAX: Final = 1e15
"""A larger value is a mistake, and its square would drown all others."""

_EXPOSED: Final = ""


class Tally:
    """Counts for one client in one process. A forked child starts with another one."""

    def __init__(self) -> None:
        self._lock = OwnLock()
        self._open = Window()
        self._cells = 0
        self._first: deque[tuple[int, Place, str]] = deque()
        self._samples: dict[tuple[RunKey, str], UnitSample] = {}
        self._strata: dict[RunKey, set[str]] = {}

    def exposures(self, run: RunKey) -> UnitSample:
        """Return the sample of a run's exposed units, of 128-bit hashes, the same each time."""
        return self._sample(run, _EXPOSED, 2 * HASH_BITS)

    def expose(self, hash128: int, place: Place, stratum: str) -> None:
        """Count a unit that its run's sample took; without a lock, for decisions call it."""
        self._first.append((hash128, place, stratum))

    def record(
        self, metric: MetricDeclaration, value: object, attributions: Collection[Attribution], *, recomputed: bool
    ) -> None:
        """Add one outcome to every arm that it belongs to."""
        number = _number(metric, value)
        if number is None:
            self.lose(LossReason.BAD_VALUE)
            return
        with self._lock():
            for attribution in attributions:
                self._record(metric, number, attribution, recomputed=recomputed)

    def leave_unattributed(self, metric: MetricDeclaration) -> None:
        """Count an outcome that belongs to no arm for sure."""
        with self._lock():
            self._open.unattributed[metric.key] += 1

    def lose(self, reason: LossReason, count: int = 1) -> None:
        """Count what is in no sum."""
        with self._lock():
            self._open.losses[reason] += count

    def rotate(self, now_s: float) -> Window:
        """Close the window that was open, and open the next.

        Args:
            now_s: monotonic seconds.
        """
        with self._lock():
            self._take_first()
            for sample in self._samples.values():
                sample.purge()
            self._keep_budget()
            self._note_bounds()
            window, self._open, self._cells = self._open, Window(), 0
            window.closed_at_s = now_s
        return window

    def forget_all_but(self, runs: Collection[RunKey]) -> None:
        """Let go of the samples of runs that have ended."""
        with self._lock():
            self._take_first()
            self._note_bounds()
            self._samples = {key: sample for key, sample in self._samples.items() if key[0] in runs}
            self._strata = {run: strata for run, strata in self._strata.items() if run in runs}

    # ------------------------------------------------------------------------------------------- below, with the lock

    def _record(self, metric: MetricDeclaration, value: float, attribution: Attribution, *, recomputed: bool) -> None:
        place, stratum, unit = attribution
        sums = self._sums(place, stratum, recomputed=recomputed)
        if sums is None:
            return
        run = RunKey(place.rollout, place.run)
        self._report(run, sums, unit)
        if metric.per is Per.UNIT:
            if metric.key not in sums.outcomes and not self._has_room():
                return
            outcomes = sums.outcomes.setdefault(metric.key, [])
            if self._sample(run, metric.key, HASH_BITS).take(unit):
                outcomes.append((unit, value))
            return
        events = sums.events.get(metric.key)
        if events is None:
            if not self._has_room():
                return
            events = sums.events[metric.key] = EventSums()
        events.add(user_bucket(unit), value, bin_of(value) if metric.measures is Measures.QUANTILE else None)

    def _report(self, run: RunKey, sums: ArmSums, unit: int) -> None:
        if self.exposures(run).take_reporting(unit):
            sums.reporting.append(unit)

    def _sample(self, run: RunKey, metric: str, bits: int) -> UnitSample:
        sample = self._samples.get((run, metric))
        if sample is None:
            sample = self._samples.setdefault((run, metric), UnitSample(bits))
        return sample

    def _sums(self, place: Place, stratum: str, *, recomputed: bool) -> ArmSums | None:
        run = RunKey(place.rollout, place.run)
        key = ArmKey(place.allocation, place.reach_ppm, self._stratum(run, stratum), place.arm, recomputed)
        arms = self._open.runs.setdefault(run, {})
        sums = arms.get(key)
        if sums is None:
            if not self._has_room():
                return None
            sums = arms[key] = ArmSums()
        return sums

    def _has_room(self) -> bool:
        """Take the room of one more cell, if there is any."""
        if self._cells >= CELLS_MAX:
            self._open.losses[LossReason.NO_ROOM] += 1
            return False
        self._cells += 1
        return True

    def _stratum(self, run: RunKey, stratum: str) -> str:
        known = self._strata.setdefault(run, set())
        if stratum in known or not stratum:
            return stratum
        if len(known) >= STRATA_MAX:
            return REST
        known.add(stratum)
        return stratum

    def _note_bounds(self) -> None:
        """Say in the open window how far its samples reach; some are let go of before it closes."""
        bounds = self._open.bounds
        for key, sample in self._samples.items():
            if key[0] in self._open.runs:
                bounds[key] = min(sample.bound64, bounds.get(key, sample.bound64))

    def _take_first(self) -> None:
        while self._first:
            hash128, place, stratum = self._first.popleft()
            sums = self._sums(place, stratum, recomputed=False)
            if sums is not None:
                sums.exposed.append(hash128 >> HASH_BITS)

    def _keep_budget(self) -> None:
        while sum(sample.count for sample in self._samples.values()) > UNITS_MAX:
            largest = max(self._samples.values(), key=lambda sample: sample.count)
            largest.halve()
            largest.purge()


def _number(metric: MetricDeclaration, value: object) -> float | None:
    """Return a recorded value as the metric counts it; None where the metric cannot have it."""
    if type(value) is bool:
        return float(value) if metric.measures is not Measures.QUANTILE else None
    number = as_number(value)
    if number is None or not -VALUE_MAX <= number <= VALUE_MAX:
        return None
    if metric.measures is Measures.PROPORTION and number not in (0, 1):
        return None
    if metric.measures is Measures.COUNT and number < 0:
        return None
    return float(number)
