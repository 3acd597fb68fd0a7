"""What names what: the cohorts of a condition; the cohorts, rollouts and flags of a flag; cycles and depth of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias, assert_never

from rollout_sdk.engine.model import (
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    InCohort,
    Leaf,
    Not,
    RolloutState,
)

Node: TypeAlias = tuple[str, str]
"""("flag", key), ("cohort", key) or ("rollout", key)."""

_NO_ROLLOUTS: Mapping[str, RolloutState] = MappingProxyType({})


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield every leaf of a condition, in order, whatever its depth. Cohorts that it names are not entered."""
    for part in _parts(condition):
        if isinstance(part, Leaf):
            yield part


def cohorts_of(condition: Condition) -> frozenset[str]:
    """Return the keys of the cohorts that a condition names."""
    return frozenset(part.cohort for part in _parts(condition) if isinstance(part, InCohort))


def conditions_of(flag: Flag) -> Iterator[Condition]:
    """Yield every condition of a flag: `never` first, then the rules' in order."""
    yield from flag.never
    for rule in flag.rules:
        if rule.when is not None:
            yield rule.when


def conditions_of_rollout(state: RolloutState) -> Iterator[Condition]:
    """Yield every condition that decides for a rollout: `never`, then audiences. None where it exposes nobody."""
    if state.reaches:
        yield from state.never
        for reach in state.reaches:
            if reach.audience is not None:
                yield reach.audience


def cohorts_of_rollout(state: RolloutState) -> frozenset[str]:
    """Return the keys of the cohorts that a rollout names itself."""
    return frozenset(key for condition in conditions_of_rollout(state) for key in cohorts_of(condition))


def rollouts_of_flag(flag: Flag) -> frozenset[str]:
    """Return the keys of the rollouts that a flag's rules name."""
    return frozenset(rule.outcome.rollout for rule in flag.rules if isinstance(rule.outcome, ByRollout))


def cohorts_of_flag(flag: Flag) -> frozenset[str]:
    """Return the keys of the cohorts that a flag names itself."""
    return frozenset(key for condition in conditions_of(flag) for key in cohorts_of(condition))


def references(
    flags: Mapping[str, Flag], cohorts: Mapping[str, Cohort], rollouts: Mapping[str, RolloutState] = _NO_ROLLOUTS
) -> dict[Node, tuple[Node, ...]]:
    """Return what each flag, cohort and rollout names directly, sorted; what is named need not exist.

    The flag that a rollout moves is not among what it names: there the flag's rules name the rollout.
    """
    named: dict[Node, tuple[Node, ...]] = {}
    for key, cohort in cohorts.items():
        inner = cohorts_of(cohort.when) if cohort.when is not None else frozenset()
        named["cohort", key] = tuple(("cohort", name) for name in sorted(inner))
    for key, flag in flags.items():
        parents = sorted({requirement.flag for requirement in flag.requires})
        named["flag", key] = (
            *(("cohort", name) for name in sorted(cohorts_of_flag(flag))),
            *(("flag", name) for name in parents),
            *(("rollout", name) for name in sorted(rollouts_of_flag(flag))),
        )
    for key, state in rollouts.items():
        named["rollout", key] = tuple(("cohort", name) for name in sorted(cohorts_of_rollout(state)))
    return named


def in_order(named: Mapping[Node, tuple[Node, ...]]) -> tuple[tuple[Node, ...], frozenset[Node]]:
    """Return every node after all that it names, and the nodes that lie on a cycle.

    Nodes on a cycle come in the order too, after whatever they name outside of it. Takes any depth: no recursion.
    """
    order: list[Node] = []
    cyclic: set[Node] = set()
    low: dict[Node, int] = {}  # Tarjan's strongly connected components
    index: dict[Node, int] = {}
    component: list[Node] = []
    waiting: set[Node] = set()
    for root in named:
        if root in index:
            continue
        path: list[tuple[Node, Iterator[Node]]] = []
        _enter(root, named, index, low, component, waiting, path)
        while path:
            node, following = path[-1]
            target = next((each for each in following if each in named), None)
            if target is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    members = _leave(node, component, waiting)
                    order += members
                    if len(members) > 1 or node in named[node]:
                        cyclic.update(members)
            elif target not in index:
                _enter(target, named, index, low, component, waiting, path)
            elif target in waiting:
                low[node] = min(low[node], index[target])
    return tuple(order), frozenset(cyclic)


def _enter(
    node: Node,
    named: Mapping[Node, tuple[Node, ...]],
    index: dict[Node, int],
    low: dict[Node, int],
    component: list[Node],
    waiting: set[Node],
    path: list[tuple[Node, Iterator[Node]]],
) -> None:
    index[node] = low[node] = len(index)
    component.append(node)
    waiting.add(node)
    path.append((node, iter(named[node])))


def _leave(node: Node, component: list[Node], waiting: set[Node]) -> list[Node]:
    members: list[Node] = []
    while not members or members[-1] != node:
        members.append(component.pop())
    waiting.difference_update(members)
    return members


def depth_of(condition: Condition, cohorts: Mapping[str, int]) -> int:
    """Return the levels of a condition; one that names a cohort has the cohort's own on top.

    Args:
        condition: a leaf alone is 1.
        cohorts: levels of each cohort; one that is not there counts 0.
    """
    deepest = 0
    waiting = [(condition, 1)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, All | Any):
            waiting.extend((inner, depth + 1) for inner in part.conditions)
        elif isinstance(part, Not):
            waiting.append((part.condition, depth + 1))
        deepest = max(deepest, depth + (cohorts.get(part.cohort, 0) if isinstance(part, InCohort) else 0))
    return deepest


def nodes_of(condition: Condition, cohorts: Mapping[str, int]) -> int:
    """Return the nodes that one answer to a condition may visit; a cohort's are counted wherever it is named.

    Args:
        condition: a leaf alone is 1.
        cohorts: nodes of each cohort; one that is not there counts 0.
    """
    return sum(1 + (cohorts.get(part.cohort, 0) if isinstance(part, InCohort) else 0) for part in _parts(condition))


def _parts(condition: Condition) -> Iterator[Condition]:
    """Yield every node of a condition, in order. No recursion: a reader may hold any depth."""
    waiting = [condition]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case All(conditions=inner) | Any(conditions=inner):
                waiting.extend(reversed(inner))
            case Not(condition=negated):
                waiting.append(negated)
            case Leaf() | InCohort():
                pass
            case _:
                assert_never(part)
