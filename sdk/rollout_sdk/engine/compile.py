"""A ruleset becomes closures, flag by flag; what fails to compile harms nobody else.

A flag that cannot be compiled is quarantined: its last good rules stay in force, against the required flags of now, and
kill still acts on it. A flag that never compiled has no rules in force. A cohort that cannot be compiled is not in
force, which quarantines the flags that name it; their last good rules keep the cohort they had.

A rollout's state stands apart from the rules that name it. A new state acts on last good rules too; one that cannot be
compiled leaves the last good state in force, and without one the flags that name it are quarantined. One that exposes
nobody always compiles, so that a rollback acts whatever else is wrong; and where a rollout is gone, last good rules
that still name it expose nobody.

Everything is compiled at the swap, so that a reader knows then what it refuses; what is identical (the very same
objects, and all that they name) is taken over from the ruleset before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Never, TypeAlias

from rollout_sdk.engine.cohorts import membership
from rollout_sdk.engine.compiled import CompiledCohort, CompiledFlag, CompiledRollout
from rollout_sdk.engine.conditions import Uncompilable, compile_cohort
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.dependencies import (
    cohorts_of_flag,
    cohorts_of_rollout,
    conditions_of,
    conditions_of_rollout,
    depth_of,
    in_order,
    nodes_of,
    references,
    rollouts_of_flag,
)
from rollout_sdk.engine.exposure import Stages, compile_stages, misfit
from rollout_sdk.engine.limits import EVALUATION_DEPTH, EVALUATION_NODES, READERS_FACTOR
from rollout_sdk.engine.rules import Parent, compile_killed, compile_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rollout_sdk.engine.cohorts import Membership
    from rollout_sdk.engine.decide import Watch
    from rollout_sdk.engine.model import Cohort, Condition, Flag, KeySet, Origin, Position, RolloutState, Ruleset

Breathe: TypeAlias = "Callable[[], None]"
"""Called again and again by long work: lets others have their turn."""

_NOTHING: Mapping[str, Never] = MappingProxyType({})
_REASON_CHARS = 500
"""Reasons travel in every acknowledgement."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRuleset:
    """A ruleset in force.

    Attributes:
        flags: every flag that has rules in force.
        quarantined: flag to what is wrong with its newest rules.
        held_back: rollout to what is wrong with its newest state, whether or not a last good one is in force.
        versions: as in the ruleset.
        memberships: what answers for each key set, shared by all cohorts that list the same keys.
    """

    position: Position
    flags: Mapping[str, CompiledFlag]
    cohorts: Mapping[str, CompiledCohort]
    rollouts: Mapping[str, CompiledRollout]
    quarantined: Mapping[str, str]
    held_back: Mapping[str, str]
    versions: Mapping[str, int]
    memberships: Mapping[tuple[bytes, ...], Membership] = field(repr=False)

    def bind(self, origin: Origin, watch: Watch | None = None) -> Decider:
        """Return what decides and says so in the name of this origin. Cheap: flags are bound when first asked for.

        Args:
            origin: of every decision.
            watch: lays counting around the flags that are asked for; None counts nothing.
        """
        return Decider(self.flags, self.quarantined, self.versions, origin, watch)


def at_once() -> None:
    """Do not breathe."""


def compile_ruleset(
    ruleset: Ruleset, previous: CompiledRuleset | None = None, breathe: Breathe = at_once
) -> CompiledRuleset:
    """Compile a ruleset. Never raises for what is in it: what is wrong is in `quarantined`.

    Args:
        ruleset: as read; its flags and cohorts may hold anything that their types allow.
        previous: what was in force before, for last good rules and for what did not change.
        breathe: called after each flag.
    """
    return _Compilation(ruleset, previous, breathe).run()


class _Wanted(NamedTuple):
    """Rules to put in force; the last good ones may fall back on the cohorts they had."""

    flag: Flag
    last_good: CompiledFlag | None = None


class _Compilation:
    """One run over one ruleset."""

    def __init__(self, ruleset: Ruleset, previous: CompiledRuleset | None, breathe: Breathe) -> None:
        self._ruleset = ruleset
        self._breathe = breathe
        self._flags_before: Mapping[str, CompiledFlag] = previous.flags if previous else {}
        refused = previous.quarantined if previous else ()
        self._bare_before = {
            key: flag for key in refused if (flag := self._flags_before.get(key)) is not None and flag.is_bare
        }
        if self._bare_before:  # a kill alone is no rules to fall back on
            self._flags_before = {key: flag for key, flag in self._flags_before.items() if key not in self._bare_before}
        self._rollouts_before: Mapping[str, CompiledRollout] = previous.rollouts if previous else {}
        self._cohorts_before: Mapping[str, CompiledCohort] = previous.cohorts if previous else {}
        self._memberships_before: Mapping[tuple[bytes, ...], Membership] = previous.memberships if previous else {}
        self._memberships: dict[tuple[bytes, ...], Membership] = {}
        self._cohorts: dict[str, CompiledCohort] = {}
        self._cohort_faults: dict[str, str] = {}
        self._rollouts: dict[str, CompiledRollout] = {}
        self._held_back: dict[str, str] = {}
        self._flags: dict[str, CompiledFlag] = {}

    def run(self) -> CompiledRuleset:
        self._compile_cohorts()
        self._compile_rollouts()
        quarantined = self._compile_flags()
        return CompiledRuleset(
            self._ruleset.position,
            MappingProxyType({key: self._flags[key] for key in self._ruleset.flags if key in self._flags}),
            MappingProxyType(self._cohorts),
            MappingProxyType(self._rollouts),
            MappingProxyType(quarantined),
            MappingProxyType(self._held_back),
            self._ruleset.versions,
            MappingProxyType(self._memberships),
        )

    # ------------------------------------------------------------------------------------------------------- cohorts

    def _compile_cohorts(self) -> None:
        named = references({}, self._ruleset.cohorts)
        order, cyclic = in_order(named)
        for node in order:
            _, key = node
            if node in cyclic:
                self._cohort_faults[key] = "it names itself, over however many cohorts"
                continue
            cohort = self._ruleset.cohorts[key]
            try:
                self._cohorts[key] = self._cohort(cohort, self._named_cohorts([name for _, name in named[node]], {}))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one cohort harms no other
                self._cohort_faults[key] = _reason(error)

    def _cohort(self, cohort: Cohort, named: dict[str, CompiledCohort]) -> CompiledCohort:
        include, exclude = self._membership(cohort.include), self._membership(cohort.exclude)
        known = self._cohorts_before.get(cohort.key)
        if known is not None and known.cohort is cohort and _same(known.cohorts, named):
            return known
        depth, nodes = _effort([cohort.when] if cohort.when is not None else [], named, ())
        asked = compile_cohort(cohort, include, exclude, {key: inner.asked for key, inner in named.items()})
        return CompiledCohort(cohort, asked, depth, nodes, MappingProxyType(named))

    def _named_cohorts(self, keys: Iterable[str], fallback: Mapping[str, CompiledCohort]) -> dict[str, CompiledCohort]:
        named: dict[str, CompiledCohort] = {}
        for key in keys:
            cohort = self._cohorts.get(key) or fallback.get(key)
            if cohort is None:
                raise Uncompilable(f"cohort {key!r} is not in force: {self._cohort_faults.get(key, 'there is none')}")
            named[key] = cohort
        return named

    def _membership(self, keys: KeySet) -> Membership | None:
        """Return what answers for a set of keys, None for the empty one. Equal sets are built once."""
        if not keys.chunks:
            return None
        digests = tuple(chunk.digest for chunk in keys.chunks)
        found = self._memberships.get(digests) or self._memberships_before.get(digests) or membership(keys)
        self._memberships[digests] = found
        return found

    # ------------------------------------------------------------------------------------------------------ rollouts

    def _compile_rollouts(self) -> None:
        for key, state in self._ruleset.rollouts.items():
            try:
                self._rollouts[key] = self._rollout(state, self._rollouts_before.get(key))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one rollout harms no other
                self._held_back[key] = _reason(error)
                if key in self._rollouts_before:
                    self._rollouts[key] = self._rollouts_before[key]

    def _rollout(self, state: RolloutState, known: CompiledRollout | None) -> CompiledRollout:
        if known is not None and known.state is not state:
            known = None
        named = self._named_cohorts(known.cohorts if known is not None else sorted(cohorts_of_rollout(state)), {})
        if known is not None and _same(known.cohorts, named):
            return known
        depth, nodes = _effort(conditions_of_rollout(state), named, ())
        stages = compile_stages(state, {key: cohort.asked for key, cohort in named.items()})
        return CompiledRollout(state, stages, depth, nodes, MappingProxyType(named))

    def _named_rollouts(
        self, flag: Flag, keys: Iterable[str], last_good: CompiledFlag | None
    ) -> dict[str, CompiledRollout]:
        """Return what answers for each rollout that the rules name; rules that were good before always get something.

        Raises:
            Uncompilable: new rules name a rollout that is not in force, or that is not theirs.
        """
        named: dict[str, CompiledRollout] = {}
        for key in keys:
            rollout = self._rollouts.get(key)
            fault = self._held_back.get(key, "there is none") if rollout is None else misfit(flag, rollout.state)
            if rollout is not None and not fault:
                named[key] = rollout
            elif last_good is None:
                raise Uncompilable(f"rollout {key!r} is not in force: {fault}")
            else:
                named[key] = last_good.rollouts[key] if rollout is not None else _withdrawn(last_good.rollouts[key])
        return named

    # --------------------------------------------------------------------------------------------------------- flags

    def _compile_flags(self) -> dict[str, str]:
        """Fill the table of flags; return what is wrong with which.

        Taking a flag back to its last good rules changes what others require, so everything that could be touched by
        it is looked at again. It ends: each round moves a flag from new rules to last good ones, or to none.
        """
        quarantined: dict[str, str] = {}
        wanted = {key: _Wanted(flag) for key, flag in self._ruleset.flags.items()}
        while refused := self._attempt(wanted):
            for key, reason in refused.items():
                quarantined.setdefault(key, reason)
                last_good = self._flags_before.get(key)
                if last_good is None or wanted[key].last_good is not None:
                    del wanted[key]
                else:
                    wanted[key] = _Wanted(last_good.flag, last_good)
        for key in quarantined.keys() - wanted.keys():
            self._compile_killed(key)
        return quarantined

    def _attempt(self, wanted: dict[str, _Wanted]) -> dict[str, str]:
        """Compile all of it, required flags first; return what could not be."""
        taken_over, self._flags = self._flags, {}
        requiring = {
            ("flag", key): tuple(("flag", requirement.flag) for requirement in each.flag.requires)
            for key, each in wanted.items()
            if each.flag.requires
        }
        order, cyclic = in_order(requiring)
        # Last good rules were free of cycles, so it is new ones that closed it; only where there are none all go.
        circular = [key for _, key in cyclic]
        to_blame = [key for key in circular if wanted[key].last_good is None] or circular
        refused = dict.fromkeys(to_blame, "it requires itself, over however many flags")
        free = [key for key in wanted if ("flag", key) not in requiring]
        for key in [*free, *(node[1] for node in order if node not in cyclic)]:
            try:
                self._flags[key] = self._flag(key, wanted[key], taken_over.get(key) or self._flags_before.get(key))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one flag harms no other
                refused[key] = _reason(error)
            self._breathe()
        return refused

    def _flag(self, key: str, wanted: _Wanted, known: CompiledFlag | None) -> CompiledFlag:
        flag, last_good = wanted
        killed = self._is_killed(key)
        version = self._ruleset.versions.get(key, 0) if last_good is None else last_good.version
        if known is not None and known.flag is not flag:
            known = None
        named = known.cohorts if known is not None else sorted(cohorts_of_flag(flag))
        cohorts = self._named_cohorts(named, last_good.cohorts if last_good is not None else {})
        by = known.rollouts if known is not None else rollouts_of_flag(flag)
        rollouts = self._named_rollouts(flag, by, last_good) if by else {}
        parents = {requirement.flag: self._flags.get(requirement.flag) for requirement in flag.requires}
        if (
            known is not None
            and known.killed is killed
            and _same(known.cohorts, cohorts)
            and _same(known.rollouts, rollouts)
            and _same(known.parents, parents)
        ):
            return known if known.version == version else replace(known, version=version)
        depth, nodes = _effort(
            conditions_of(flag),
            cohorts,
            [
                *rollouts.values(),
                *(parent for requirement in flag.requires if (parent := parents[requirement.flag]) is not None),
            ],
        )
        rules = compile_rules(
            flag,
            killed=killed,
            cohorts={name: cohort.asked for name, cohort in cohorts.items()},
            parents={
                name: Parent(parent.rules.evaluate, parent.rules.outcomes)
                for name, parent in parents.items()
                if parent is not None
            },
            rollouts={name: rollout.stages for name, rollout in rollouts.items()},
        )
        return CompiledFlag(
            flag,
            version,
            killed,
            rules,
            depth,
            nodes,
            MappingProxyType(cohorts) if cohorts else _NOTHING,  # most flags name nothing, and share one mapping
            MappingProxyType(rollouts) if rollouts else _NOTHING,
            MappingProxyType(parents) if parents else _NOTHING,
        )

    def _compile_killed(self, key: str) -> None:
        """Kill acts on a flag whose rules were never readable, if its off variant is."""
        if not self._is_killed(key):
            return
        flag, version = self._ruleset.flags[key], self._ruleset.versions.get(key, 0)
        known = self._bare_before.get(key)
        if known is not None and known.flag is flag and known.version == version:
            self._flags[key] = known
            return
        try:
            rules = compile_killed(flag)
        except Exception:  # noqa: BLE001 - it stays without rules, and its reason is known already
            return
        self._flags[key] = CompiledFlag(flag, version, True, rules, 1, 1, _NOTHING, _NOTHING, _NOTHING, is_bare=True)

    def _is_killed(self, key: str) -> bool:
        state = self._ruleset.states.get(key)
        return state is not None and state.killed


def _withdrawn(rollout: CompiledRollout) -> CompiledRollout:
    """Return a rollout that is gone, as rules that still name it see it: it exposes nobody."""
    if not rollout.state.reaches:
        return rollout
    state = replace(rollout.state, reaches=(), never=())
    return CompiledRollout(state, Stages(state), 1, 1, MappingProxyType({}))


def _effort(
    conditions: Iterable[Condition],
    cohorts: Mapping[str, CompiledCohort],
    inner: Iterable[CompiledFlag | CompiledRollout],
) -> tuple[int, int]:
    """Return how deep one answer goes and how many nodes it visits, with all that it names.

    Raises:
        Uncompilable: more than a reader accepts; so no ruleset can hang a decision or fill its stack.
    """
    depths = {key: cohort.depth for key, cohort in cohorts.items()}
    counts = {key: cohort.nodes for key, cohort in cohorts.items()}
    depth, nodes = 0, 1
    for condition in conditions:
        depth = max(depth, depth_of(condition, depths))
        nodes += nodes_of(condition, counts)
    for each in inner:
        depth = max(depth, each.depth)
        nodes += each.nodes
    for what, count, most in (("levels", depth + 1, EVALUATION_DEPTH), ("nodes", nodes, EVALUATION_NODES)):
        if count > most * READERS_FACTOR:
            raise Uncompilable(
                f"with its cohorts and required flags it has {count} {what}, more than {most * READERS_FACTOR}"
            )
    return depth + 1, nodes


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether both hold the very same objects under the same keys."""
    if not one and not other:  # most flags name nothing, and a new revision asks for each
        return True
    return len(one) == len(other) and all(key in one and one[key] is value for key, value in other.items())


def _reason(error: Exception) -> str:
    """Say what is wrong; anything but an `Uncompilable` is a surprise and is named."""
    reason = str(error) if isinstance(error, Uncompilable) else f"{type(error).__name__}: {error}"
    return reason[:_REASON_CHARS]
