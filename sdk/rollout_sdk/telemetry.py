"""Counts whom the rules in force expose, and whom outcomes belong to.

A decision by a rollout pays for one keyed hash and one comparison; a decision that no rollout made pays nothing, for
nothing is laid around its flag. Whatever goes wrong in here, the decision stands.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rollout_sdk.attribution import Attribution, Place, stratum_of
from rollout_sdk.engine.context import as_context
from rollout_sdk.engine.counted import Counter, counted, counted_everyone
from rollout_sdk.engine.model import Reason
from rollout_sdk.engine.sample import HASH_BITS, run_key, unit_hash
from rollout_sdk.scope import CURRENT, Scope
from rollout_sdk.sums import LossReason, RunKey
from rollout_sdk.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollout_sdk.engine.compiled import CompiledFlag
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.metrics import MetricDeclaration
    from rollout_sdk.engine.model import RolloutState
    from rollout_sdk.engine.rules import Evaluate
    from rollout_sdk.engine.sample import UnitSample
    from rollout_sdk.scope import Desk

_log = logging.getLogger("rollout_sdk")

NO_METRICS: Final[Mapping[str, MetricDeclaration]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run that exposes somebody, as decisions count it.

    Attributes:
        key: seed of every unit's hash.
        since_s: monotonic seconds at which its allocation was first seen here.
    """

    id: RunKey
    state: RolloutState
    key: int
    sample: UnitSample
    since_s: float

    def attribution(self, place: Place, context: Context, unit: int) -> Attribution:
        """Return whom an outcome of this context belongs to."""
        strata = self.state.strata
        return Attribution(place, stratum_of(strata, context, self.key) if strata else "", unit)


@dataclass(frozen=True, slots=True, eq=False)
class _Watched:
    """One flag's outcomes that belong to an arm of one run."""

    run: Run
    evaluate: Evaluate
    places: Mapping[int, Place]
    without_unit: frozenset[int]


class Telemetry:
    """The counting side of one client, in one process; a forked child has another."""

    def __init__(self, desk: Desk, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Count nothing yet.

        Args:
            desk: what scopes know this client by.
            monotonic_s: for tests.
        """
        self.tally = Tally()
        self._desk = desk
        self._monotonic_s = monotonic_s
        self._metrics = NO_METRICS
        self._runs: Mapping[RunKey, Run] = {}
        self._watched: tuple[_Watched, ...] = ()
        self._has_failed = False

    @property
    def is_active(self) -> bool:
        """Whether anybody is exposed by a run, so that the server wants to hear of this process."""
        return bool(self._runs)

    def put_in_force(
        self, flags: Mapping[str, CompiledFlag], metrics: Mapping[str, MetricDeclaration]
    ) -> Callable[[CompiledFlag], Evaluate]:
        """Count by these rules from now on.

        Returns:
            What decides a flag and counts; for `CompiledRuleset.bind`.
        """
        now_s = self._monotonic_s()
        runs: dict[RunKey, Run] = {}
        watched: list[_Watched] = []
        for flag in flags.values():
            if flag.rollouts and not flag.killed:
                for rollout in flag.rollouts.values():
                    if rollout.state.reaches:
                        run = self._run(rollout.state, now_s)
                        runs[run.id] = run
                        watched.append(_watched(flag, run))
        self._runs, self._watched, self._metrics = runs, tuple(watched), metrics
        self.tally.forget_all_but(runs)

        def watch(flag: CompiledFlag) -> Evaluate:
            return self._watch(flag, runs) if flag.rollouts else flag.rules.evaluate

        return watch

    # ------------------------------------------------------------------------------------------------------- outcomes

    def record(self, metric: str, context: Context, value: object) -> None:
        """Count an outcome of a context. Never raises.

        It goes to the scope around it, if there is one about this context, else to the arms as they are worked out now.
        """
        try:
            scope = CURRENT.get()
            if scope is not None and scope.is_about(self._desk, as_context(context)):
                scope.record(metric, value)
            else:
                self._record_bare(metric, context, value)
        except Exception:  # noqa: BLE001 - nothing recorded may harm its caller
            self._fail()

    def record_for(self, metric: str, value: object, attributions: Collection[Attribution], open_count: int) -> None:
        """See `scope.Desk`."""
        try:
            declaration = self._declaration(metric)
            if declaration is None:
                return
            known = [each for each in attributions if (each.place.rollout, each.place.run) in self._runs]
            if open_count or len(known) < len(attributions):
                self.tally.leave_unattributed(declaration)
            if known:
                self.tally.record(declaration, value, known, recomputed=False)
        except Exception:  # noqa: BLE001 - as above
            self._fail()

    def _record_bare(self, metric: str, context: Context, value: object) -> None:
        context = as_context(context)
        declaration = self._declaration(metric)
        if declaration is None:
            return
        now_s = self._monotonic_s()
        attributions: list[Attribution] = []
        is_open = False
        for watched in self._watched:
            number = watched.evaluate(context)
            place = watched.places.get(number)
            if place is None:
                is_open = is_open or number in watched.without_unit
                continue
            run = watched.run
            unit = context.unit64(run.state.unit)
            # Its decision may have been made in the allocation before, in the other arm.
            if unit is None or now_s - run.since_s < declaration.late_ms / 1_000:
                is_open = True
            else:
                attributions.append(run.attribution(place, context, unit_hash(run.key, unit)))
        if is_open:
            self.tally.leave_unattributed(declaration)
        if attributions:
            self.tally.record(declaration, value, attributions, recomputed=True)

    def _declaration(self, metric: str) -> MetricDeclaration | None:
        declaration = self._metrics.get(metric)
        if declaration is None and self._runs:
            self.tally.lose(LossReason.UNKNOWN_METRIC)
        return declaration

    # ------------------------------------------------------------------------------------------------------ exposures

    def _run(self, state: RolloutState, now_s: float) -> Run:
        id_ = RunKey(state.rollout, state.run)
        known = self._runs.get(id_)
        if known is not None and known.state is state:
            return known
        if known is not None and known.state.allocation == state.allocation:
            now_s = known.since_s
        return Run(id_, state, run_key(state.rollout, state.salt, state.run), self.tally.exposures(id_), now_s)

    def _watch(self, flag: CompiledFlag, runs: Mapping[RunKey, Run]) -> Evaluate:
        evaluate = flag.rules.evaluate
        for rollout in flag.rollouts.values():
            run = runs.get(RunKey(rollout.state.rollout, rollout.state.run))
            if run is not None and not flag.killed:
                watched = _watched(flag, run)
                everyone, counter = flag.rules.everyone, self._counter(watched)
                if everyone is None:
                    evaluate = counted(evaluate, run.state.unit, watched.places, counter)
                else:
                    evaluate = counted_everyone(everyone, counter)
        return evaluate

    def _counter(self, watched: _Watched) -> Counter:
        run, places = watched.run, watched.places
        strata, desk = run.state.strata, self._desk

        def note(context: Context, number: int, hashed: int) -> None:
            if run.sample.take(hashed):
                self.tally.expose(hashed, places[number], stratum_of(strata, context, run.key) if strata else "")

        def put(scope: object, context: Context, number: int, hashed: int) -> None:
            if isinstance(scope, Scope):
                attribution = run.attribution(places[number], context, hashed >> HASH_BITS)
                scope.note(desk, run.state.unit, context, attribution)

        return Counter(run.key, run.sample, note, CURRENT.get, put, self._fail)

    def _fail(self) -> None:
        """Say once that there is a bug, and go on."""
        if not self._has_failed:
            self._has_failed = True
            _log.exception("a bug in counting; decisions do not depend on it, but guardrails may see less")


def _watched(flag: CompiledFlag, run: Run) -> _Watched:
    places: dict[int, Place] = {}
    without_unit: set[int] = set()
    for number, outcome in enumerate(flag.rules.outcomes):
        exposure = outcome.exposure
        if exposure is None or (exposure.rollout, exposure.run) != run.id:
            continue
        if exposure.arm is not None:
            places[number] = Place(
                exposure.rollout, exposure.run, exposure.allocation, exposure.reach_ppm, exposure.arm
            )
        elif outcome.reason is Reason.NO_UNIT:
            without_unit.add(number)
    return _Watched(run, flag.rules.evaluate, places, frozenset(without_unit))
