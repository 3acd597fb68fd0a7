"""What flags, cohorts and rollouts name: whether it exists, whether it ends, and how deep a decision may have to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.dependencies import (
    cohorts_of_rollout,
    conditions_of,
    conditions_of_rollout,
    depth_of,
    nodes_of,
    rollouts_of_flag,
)
from rollout_sdk.engine.findings import show
from rollout_sdk.engine.model import ByRollout
from rollout_sdk.engine.references import cohorts_in, cohorts_of, reached, referents_first, turned
from rollout_sdk.engine.validate_conditions import check_cohorts
from rollout_sdk.engine.validate_rollouts import check_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort, Condition, Flag, Requirement, RolloutState

_NAMED_MAX = 12
_COUNTED_MAX = 10**12


class References:
    """Who names whom in one environment, seen once."""

    def __init__(
        self, flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort], rollouts: Mapping[str, RolloutState]
    ) -> None:
        self._flags = flags
        self._cohorts = cohorts
        self._rollouts = rollouts
        self._parents = {key: {item.flag for item in flag.requires} for key, flag in flags.items()}
        self._used = {key: set(cohorts_of(flag.never, flag.rules)) for key, flag in flags.items()}
        self._nested = {key: set(cohorts_in(cohort.when)) for key, cohort in cohorts.items()}
        self._by_rollout = {key: named for key, flag in flags.items() if (named := rollouts_of_flag(flag))}
        self._audiences = {key: cohorts_of_rollout(state) for key, state in rollouts.items()}

    def dependents(
        self, flags: Iterable[str], cohorts: Iterable[str], rollouts: Iterable[str]
    ) -> tuple[set[str], set[str], set[str]]:
        """Return these flags, cohorts and rollouts with all that name them, at any remove."""
        flags, rollouts = set(flags), set(rollouts)
        touched = reached(cohorts, turned(self._nested))
        users = turned(self._used)
        rollouts |= {key for key, named in self._audiences.items() if not named.isdisjoint(touched)}
        named = {flag for cohort in touched for flag in users.get(cohort, ())}
        named |= {key for key, by in self._by_rollout.items() if not by.isdisjoint(rollouts)}
        rollouts |= {key for key, state in self._rollouts.items() if state.flag in flags}
        return reached({*flags, *named}, turned(self._parents)), touched, rollouts

    def check(
        self, findings: Findings, flags: Collection[str], cohorts: Collection[str], rollouts: Collection[str]
    ) -> None:
        """Note everything wrong with what these refer to. Keys that do not exist are passed over."""
        for key in sorted(flags):
            if key in self._flags:
                findings.resource = f"flag/{key}"
                self._check_flag(findings, key)
        for key in sorted(cohorts):
            if key in self._cohorts and not self._nested[key] <= self._cohorts.keys():
                findings.resource = f"cohort/{key}"
                check_cohorts(findings, self._cohorts[key].when, "spec.when", self._cohorts)
        for key in sorted(rollouts):
            if key in self._rollouts:
                findings.resource = f"rollout/{key}"
                check_names(findings, self._rollouts[key], self._flags, self._cohorts)
        self._check_cycles(findings, flags, cohorts)
        self._check_depth(findings, flags, cohorts)
        self._check_nodes(findings, flags, cohorts)

    def _check_flag(self, findings: Findings, key: str) -> None:
        flag = self._flags[key]
        for at, requirement in enumerate(flag.requires):
            self._check_requirement(findings, requirement, f"spec.requires[{at}]")
        if not self._used[key] <= self._cohorts.keys():
            for at, condition in enumerate(flag.never):
                check_cohorts(findings, condition, f"spec.never[{at}]", self._cohorts)
            for at, rule in enumerate(flag.rules):
                check_cohorts(findings, rule.when, f"spec.rules[{at}].when", self._cohorts)
        for at, rule in enumerate(flag.rules):
            if isinstance(rule.outcome, ByRollout):
                self._check_by_rollout(findings, key, rule.outcome.rollout, f"spec.rules[{at}].rollout")

    def _check_by_rollout(self, findings: Findings, flag: str, rollout: str, path: str) -> None:
        state = self._rollouts.get(rollout)
        if state is None:
            findings.unknown(path, "rollout", rollout, self._rollouts)
        elif state.flag != flag:
            message = f"rollout {show(rollout)} moves flag {show(state.flag)}, not this one"
            findings.add(path, "rollout_of_another_flag", message, "name a rollout whose spec.flag is this flag")

    def _check_requirement(self, findings: Findings, requirement: Requirement, path: str) -> None:
        parent = self._flags.get(requirement.flag)
        if parent is None:
            findings.unknown(f"{path}.flag", "flag", requirement.flag, self._flags)
            return
        variants = [variant.key for variant in parent.variants]
        for at, variant in enumerate(requirement.variants):
            if variant not in variants:
                findings.unknown(f"{path}.variants[{at}]", "variant", variant, variants)
            elif variant == parent.off:
                message = (
                    f"{show(variant)} is the off variant of flag/{parent.key}: a rollback there would expose this flag"
                )
                findings.add(f"{path}.variants[{at}]", "requires_off", message, "require another variant")
            else:
                self._check_not_from(findings, parent, variant, f"{path}.variants[{at}]")

    def _check_not_from(self, findings: Findings, parent: Flag, variant: str, path: str) -> None:
        states = (self._rollouts.get(key) for key in sorted(self._by_rollout.get(parent.key, ())))
        running = next((state for state in states if state and state.reaches and state.from_variant == variant), None)
        if running is not None:
            message = (
                f"{show(variant)} is what rollout/{running.rollout} moves flag/{parent.key} away from: a rollback there"
                " would expose this flag"
            )
            hint = f"require {show(running.to_variant)}, or wait until the rollout has ended"
            findings.add(path, "requires_from", message, hint)

    def _check_cycles(self, findings: Findings, flags: Collection[str], cohorts: Collection[str]) -> None:
        for cycle in cycles(self._parents):
            key = next((member for member in cycle if member in flags), None)
            if key is not None:
                at = cycle.index(key)
                after = cycle[(at + 1) % len(cycle)]
                places_ = [item.flag for item in self._flags[key].requires]
                findings.resource = f"flag/{key}"
                findings.add(
                    f"spec.requires[{places_.index(after)}].flag",
                    "requires_cycle",
                    f"no flag of this cycle can be decided: {_told(cycle, at, 'flag', 'requires')}",
                    "take one of these requirements out",
                )
        for cycle in cycles(self._nested):
            key = next((member for member in cycle if member in cohorts), None)
            if key is not None:
                findings.resource = f"cohort/{key}"
                findings.add(
                    "spec.when",
                    "cohort_cycle",
                    f"nobody can be told a member: {_told(cycle, cycle.index(key), 'cohort', 'names')}",
                    "take one of these names out",
                )

    def _check_depth(self, findings: Findings, flags: Collection[str], cohorts: Collection[str]) -> None:
        """Levels as `limits.EVALUATION_DEPTH` counts them. Where a cycle is, the levels mean nothing and do no harm."""
        levels: dict[str, int] = {}
        for key in referents_first(self._nested):
            when = self._cohorts[key].when
            levels[key] = 1 + (depth_of(when, levels) if when is not None else 0)
            if levels[key] > limits.EVALUATION_DEPTH and key in cohorts:
                findings.resource = f"cohort/{key}"
                _add_too_deep(findings, "spec.when", levels[key], "name fewer cohorts inside one another")
        entered = {key: 1 + _depth(conditions_of_rollout(state), levels) for key, state in self._rollouts.items()}
        decisions: dict[str, int] = {}
        for key in referents_first(self._parents):
            own = _depth(conditions_of(self._flags[key]), levels)
            own = max([own, *(entered.get(rollout, 0) for rollout in self._by_rollout.get(key, ()))])
            decisions[key] = 1 + max([own, *(decisions.get(parent, 0) for parent in self._parents[key])])
            if decisions[key] > limits.EVALUATION_DEPTH and key in flags:
                findings.resource = f"flag/{key}"
                path = "spec.requires" if decisions[key] > own + 1 else "spec"
                _add_too_deep(findings, path, decisions[key], "require flags nearer to the end of the chain")

    def _check_nodes(self, findings: Findings, flags: Collection[str], cohorts: Collection[str]) -> None:
        """Nodes as `limits.EVALUATION_NODES` counts them: names that meet again and again double at every level."""
        counts: dict[str, int] = {}
        for key in referents_first(self._nested):
            when = self._cohorts[key].when
            counts[key] = 1 + (nodes_of(when, counts) if when is not None else 0)
            if counts[key] > limits.EVALUATION_NODES and key in cohorts:
                findings.resource = f"cohort/{key}"
                _add_too_costly(findings, "spec.when", counts[key])
        entered = {
            key: 1 + sum(nodes_of(condition, counts) for condition in conditions_of_rollout(state))
            for key, state in self._rollouts.items()
        }
        decisions: dict[str, int] = {}
        for key in referents_first(self._parents):
            flag = self._flags[key]
            decisions[key] = 1 + sum(nodes_of(condition, counts) for condition in conditions_of(flag))
            decisions[key] += sum(entered.get(rollout, 0) for rollout in self._by_rollout.get(key, ()))
            decisions[key] += sum(decisions.get(requirement.flag, 0) for requirement in flag.requires)
            if decisions[key] > limits.EVALUATION_NODES and key in flags:
                findings.resource = f"flag/{key}"
                _add_too_costly(findings, "spec", decisions[key])


def _depth(conditions: Iterable[Condition], levels: Mapping[str, int]) -> int:
    return max((depth_of(condition, levels) for condition in conditions), default=0)


def _add_too_costly(findings: Findings, path: str, nodes: int) -> None:
    count = str(nodes) if nodes < _COUNTED_MAX else "far more"
    message = f"one decision asks at most {limits.EVALUATION_NODES} things, with all that it names; this one {count}"
    findings.add(path, "too_costly", message, "name the same cohorts and flags from fewer places")


def _add_too_deep(findings: Findings, path: str, levels: int, hint: str) -> None:
    message = (
        f"one decision goes at most {limits.EVALUATION_DEPTH} levels through conditions, cohorts and requirements,"
        f" this one {levels}"
    )
    findings.add(path, "too_deep", message, hint)


def cycles(edges: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """Yield cycles, each as its members in order: breaking all of them leaves none. Does not recurse."""
    done: set[str] = set()
    for root in sorted(edges):
        if root in done:
            continue
        trail = [root]
        position = {root: 0}
        walk = [iter(sorted(edges[root]))]
        while walk:
            name = next(walk[-1], None)
            if name is None:
                walk.pop()
                key = trail.pop()
                del position[key]
                done.add(key)
            elif name in position:
                yield trail[position[name] :]
            elif name not in done and name in edges:
                position[name] = len(trail)
                trail.append(name)
                walk.append(iter(sorted(edges[name])))


def _told(cycle: list[str], start: int, kind: str, verb: str) -> str:
    """Return a cycle as "flag/a requires flag/b requires flag/a", shortened in its middle where it is long."""
    ring = [f"{kind}/{key}" for key in (*cycle[start:], *cycle[:start], cycle[start])]
    if len(ring) > _NAMED_MAX:
        half = _NAMED_MAX // 2
        ring = [*ring[:half], f"... {len(ring) - 2 * half} more ...", *ring[-half:]]
    return f" {verb} ".join(ring)
