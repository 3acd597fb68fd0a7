"""Who enters a rollout at which stage, who never does, and why: a population decided by the real engine.

Each context is decided at the last arrival of the run, and then, because a run under way only ever adds whom it reaches
and whom it exposes, halved to the first arrival that does. Units are told apart by a 64-bit hash of their key, so that
several contexts of one unit count once: it is exposed as soon as any of them is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.cohorts import key_hash
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import DEFAULT_UNIT, Arm, ByRollout, Reason
from rollout_server.domain.resources import RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.decide import Decider
    from rollout_sdk.engine.model import Decision, Flag, Origin, RolloutState, Ruleset
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.domain.rollout_timetable import Arrival

UNITS_MAX = 1_000_000
"""Units told apart; of a larger population every further context counts as a unit of its own."""

_Z_95 = 1.959964


class Why(Enum):
    """Why a unit never gets `to` from the rollout."""

    KILLED = "the flag is killed"
    FLAG_NEVER = "the flag's never holds it"
    REQUIREMENT = "a flag that it requires decides otherwise"
    TARGET = "a target answers first"
    RULE = "another rule answers first"
    NO_RULE = "no rule leads to the rollout"
    NO_UNIT = "the context has no such unit"
    ROLLOUT_NEVER = "the rollout's never holds it"
    NO_AUDIENCE = "no stage's audience holds it"
    CONTROL = "held back as control"
    QUARANTINED = "the flag's rules do not compile"


@dataclass(frozen=True, slots=True)
class Exempt:
    """Units that the rollout never exposes, for one reason.

    Attributes:
        detail: id of the rule that answers, or nothing.
        variant: that they get instead; None where callers get their own default.
        examples: some of their keys.
    """

    why: Why
    detail: str
    variant: str | None
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entrants:
    """What one stage does to a population.

    Attributes:
        place: index of the stage; the number of stages is the finish.
        entering: units that it is the first to expose, ramp steps included.
        exposed: units exposed once it is at full share, those of earlier stages included.
        control: units that it reaches and does not expose at full share.
        candidates, controls: keys of some of `entering` and `control`, in the order of the population.
    """

    place: int
    entering: int
    exposed: int
    control: int
    candidates: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """A whole population, counted.

    Attributes:
        contexts: how many there were.
        units: how many different units they had; contexts without one are in `exempt`.
        by_arrival: units exposed from each arrival on, those before included.
        stages: in the order of the run.
        exempt: most first. Those whose variant is `to` anyway have it from elsewhere.
    """

    contexts: int
    units: int
    by_arrival: tuple[int, ...]
    stages: tuple[Entrants, ...]
    exempt: tuple[Exempt, ...]


def states_of(
    runs: Sequence[Run], rollout: Resource, resources: Mapping[ResourceId, Resource]
) -> tuple[RolloutState, ...]:
    """Return what SDKs would decide with at each of these moments of a run.

    Raises:
        TypeError: the resource is no rollout with a status.
    """
    if not isinstance(rollout.status, RolloutStatus):
        raise TypeError(f"{rollout.id} has no status")
    status = rollout.status
    return tuple(rollout_state_of(replace(rollout, status=replace(status, run=run)), resources) for run in runs)


def with_rollout(ruleset: Ruleset, state: RolloutState) -> Ruleset:
    """Return the ruleset with this state of one rollout, all else being the same objects."""
    return replace(ruleset, rollouts=MappingProxyType({**ruleset.rollouts, state.rollout: state}))


def around(ruleset: Ruleset, flag: str) -> Ruleset:
    """Return as much of a ruleset as decides one flag: what it requires at any remove, and their rollouts.

    Every moment of a run is compiled and kept: of thousands of flags that would be gigabytes.
    """
    flags: dict[str, Flag] = {}
    waiting = [flag]
    while waiting:
        found = ruleset.flags.get(waiting.pop())
        if found is not None and found.key not in flags:
            flags[found.key] = found
            waiting += [requirement.flag for requirement in found.requires]
    rollouts = {
        rule.outcome.rollout for each in flags.values() for rule in each.rules if isinstance(rule.outcome, ByRollout)
    }
    return replace(
        ruleset,
        flags=MappingProxyType(flags),
        states=MappingProxyType({key: state for key, state in ruleset.states.items() if key in flags}),
        versions=MappingProxyType({key: version for key, version in ruleset.versions.items() if key in flags}),
        rollouts=MappingProxyType({key: state for key, state in ruleset.rollouts.items() if key in rollouts}),
        metrics=MappingProxyType({}),
    )


class Census:
    """Counts a population against the arrivals of a run, context by context."""

    def __init__(
        self,
        rollout: Resource,
        arrivals: Sequence[Arrival],
        ruleset: Ruleset,
        resources: Mapping[ResourceId, Resource],
        *,
        origin: Origin,
        compiled: CompiledRuleset | None = None,
        listed_max: int = 10,
    ) -> None:
        """Compile every moment of the run.

        Args:
            rollout: the resource.
            arrivals: of its timetable, at least one.
            ruleset: of the environment.
            resources: of the same revision.
            origin: of the decisions.
            compiled: the ruleset, where it is at hand.
            listed_max: keys listed for each stage and arm, and for each reason.

        Raises:
            TypeError: the resource is no rollout.
        """
        if not isinstance(rollout.spec, RolloutSpec):
            raise TypeError(f"{rollout.id} is no rollout")
        self._rollout, self._spec = rollout.metadata.key, rollout.spec
        ruleset = around(ruleset, rollout.spec.flag)
        flag = ruleset.flags.get(rollout.spec.flag)
        self._unit = flag.unit if flag else DEFAULT_UNIT
        self._places = [arrival.place for arrival in arrivals]
        self._last_of = {place: at for at, place in enumerate(self._places)}
        self._listed_max = listed_max
        states = states_of([arrival.run for arrival in arrivals], rollout, resources)
        self._deciders: list[Decider] = []
        for state in states:
            compiled = compile_ruleset(with_rollout(ruleset, state), compiled)
            self._deciders.append(compiled.bind(origin))
        willing = with_rollout(ruleset, replace(states[-1], never=()))
        self._willing = compile_ruleset(willing, compiled).bind(origin)
        self.last_ruleset = with_rollout(ruleset, states[-1])
        self._contexts = 0
        self._units: dict[int, tuple[int, int, _Reason | None]] = {}
        self._uncounted = 0
        self._first_reached = Counter[int]()
        self._first_exposed = Counter[int]()
        self._exempt = Counter[_Reason]()
        self._examples: dict[_Reason, dict[str, None]] = {}
        self._candidates: list[dict[str, None]] = [{} for _ in arrivals]
        self._controls: list[dict[str, None]] = [{} for _ in arrivals]

    @property
    def contexts(self) -> int:
        """How many were added."""
        return self._contexts

    def add(self, context: Context) -> None:
        """Count one context."""
        self._contexts += 1
        last = self._deciders[-1].decide(self._spec.flag, context)
        end = len(self._deciders)
        reached = self._first(context, self._is_reached) if self._is_reached(last) else end
        exposed = self._first(context, self._is_exposed) if self._is_exposed(last) else end
        why = None if exposed < end else self._reason(last, context)
        if context.unit64(self._unit) is None:
            self._note("", end, end, (Why.NO_UNIT, "", last.variant))
            return
        key = context.units[self._unit]
        name = key_hash(key)
        before = self._units.get(name)
        if before is not None:
            was_reached, was_exposed, was_why = before
            reached, exposed = min(reached, was_reached), min(exposed, was_exposed)
            if (reached, exposed) == (was_reached, was_exposed):
                return
            self._forget(key, was_reached, was_exposed, was_why)
            why = None if exposed < end else was_why
        if before is not None or len(self._units) < UNITS_MAX:
            self._units[name] = reached, exposed, why
        else:
            self._uncounted += 1
        self._note(key, reached, exposed, why)

    def result(self) -> Counted:
        """Return the counts so far."""
        by_arrival = _sums(self._first_exposed, len(self._places))
        reached = _sums(self._first_reached, len(self._places))
        stages = []
        before = 0
        for place, at in self._last_of.items():
            stages.append(
                Entrants(
                    place,
                    entering=by_arrival[at] - before,
                    exposed=by_arrival[at],
                    control=reached[at] - by_arrival[at],
                    candidates=self._listed(self._candidates, place),
                    controls=tuple(self._controls[at]),
                )
            )
            before = by_arrival[at]
        exempt = [
            Exempt(why, detail, variant, count, tuple(self._examples.get((why, detail, variant), ())))
            for (why, detail, variant), count in self._exempt.most_common()
            if count
        ]
        units = len(self._units) + self._uncounted
        return Counted(self._contexts, units, tuple(by_arrival), tuple(stages), tuple(exempt))

    def _listed(self, lists: Sequence[dict[str, None]], place: int) -> tuple[str, ...]:
        found = [key for at, keys in enumerate(lists) if self._places[at] == place for key in keys]
        return tuple(found[: self._listed_max])

    def _is_reached(self, decision: Decision) -> bool:
        return decision.rollout == self._rollout and decision.arm is not None

    def _is_exposed(self, decision: Decision) -> bool:
        return decision.rollout == self._rollout and decision.arm is Arm.CANDIDATE

    def _first(self, context: Context, is_so: Callable[[Decision], bool]) -> int:
        """The first arrival at which it is so; at the last one it is."""
        low, high = -1, len(self._deciders) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if is_so(self._deciders[middle].decide(self._spec.flag, context)):
                high = middle
            else:
                low = middle
        return high

    def _note(self, key: str, reached: int, exposed: int, why: _Reason | None) -> None:
        self._first_reached[reached] += 1
        self._first_exposed[exposed] += 1
        if why is not None:
            self._exempt[why] += 1
            self._list(self._examples.setdefault(why, {}), key)
        if exposed < len(self._places):
            self._list(self._candidates[exposed], key)
        for at in self._last_of.values():
            if reached <= at < exposed:
                self._list(self._controls[at], key)

    def _forget(self, key: str, reached: int, exposed: int, why: _Reason | None) -> None:
        self._first_reached[reached] -= 1
        self._first_exposed[exposed] -= 1
        if why is not None:
            self._exempt[why] -= 1
            self._examples[why].pop(key, None)
        if exposed < len(self._places):
            self._candidates[exposed].pop(key, None)
        for at in self._last_of.values():
            self._controls[at].pop(key, None)

    def _list(self, keys: dict[str, None], key: str) -> None:
        if key and len(keys) < self._listed_max:
            keys[key] = None

    def _reason(self, decision: Decision, context: Context) -> _Reason:
        """Why a context with a unit is not exposed."""
        if decision.rollout == self._rollout:
            return Why.CONTROL if decision.arm else self._unreached(context), "", decision.variant
        if decision.rollout is not None:
            return Why.RULE, decision.rule or "", decision.variant
        return _REASONS.get(decision.reason, Why.RULE), decision.rule or "", decision.variant

    def _unreached(self, context: Context) -> Why:
        willing = self._willing.decide(self._spec.flag, context)
        return Why.ROLLOUT_NEVER if willing.arm else Why.NO_AUDIENCE


_Reason = tuple[Why, str, str | None]
_REASONS = {
    Reason.KILLED: Why.KILLED,
    Reason.NEVER: Why.FLAG_NEVER,
    Reason.REQUIREMENT: Why.REQUIREMENT,
    Reason.TARGET: Why.TARGET,
    Reason.DEFAULT: Why.NO_RULE,
    Reason.UNKNOWN_FLAG: Why.QUARANTINED,
    Reason.ERROR: Why.QUARANTINED,
}


def _sums(counts: Counter[int], size: int) -> list[int]:
    total, found = 0, []
    for at in range(size):
        total += counts[at]
        found.append(total)
    return found


def interval(count: int, of: int) -> tuple[float, float]:
    """Return the share that a sample stands for, 95 % of the time (Wilson).

    Args:
        count: of the sample that have it.
        of: size of the sample; of nobody anything may be true.
    """
    if not of:
        return 0.0, 1.0
    share, z2 = count / of, _Z_95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z_95 * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)
