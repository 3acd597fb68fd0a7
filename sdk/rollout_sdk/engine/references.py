"""Who names whom: cohorts in conditions, parents in flags. Order of appearance, repeats included."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from rollout_sdk.engine.model import Condition, Rule

T = TypeVar("T")


def cohorts_in(condition: Condition | None) -> Iterator[str]:
    """Yield the key of every cohort that the condition itself names; any depth."""
    stack = [condition] if condition is not None else []
    while stack:
        node = stack.pop()
        match node:
            case InCohort(cohort=key):
                yield key
            case All(conditions=parts) | Any(conditions=parts):
                stack.extend(reversed(parts))
            case Not(condition=part):
                stack.append(part)
            case Leaf():
                pass


def cohorts_of(never: Iterable[Condition], rules: Iterable[Rule]) -> Iterator[str]:
    """Yield the key of every cohort that a flag with these names."""
    for condition in never:
        yield from cohorts_in(condition)
    for rule in rules:
        yield from cohorts_in(rule.when)


def reached(start: Iterable[T], edges: Mapping[T, Iterable[T]]) -> set[T]:
    """Return `start` and everything that can be reached from it, round cycles too."""
    found = set(start)
    stack = list(found)
    while stack:
        for key in edges.get(stack.pop(), ()):
            if key not in found:
                found.add(key)
                stack.append(key)
    return found


def referents_first(edges: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Order keys so that each comes after those it names, as far as cycles allow.

    Args:
        edges: each key with the keys it names; names that are no key of `edges` are left out.
    """
    order: list[str] = []
    seen: set[str] = set()
    for root in edges:
        stack = [(root, False)]
        while stack:
            key, is_done = stack.pop()
            if is_done:
                order.append(key)
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                stack.extend(
                    (name, False) for name in sorted(edges[key], reverse=True) if name in edges and name not in seen
                )
    return order


def turned(edges: Mapping[T, Iterable[T]]) -> dict[T, set[T]]:
    """Return who is named by whom: each name with the keys that name it."""
    result: dict[T, set[T]] = {}
    for key, names in edges.items():
        for name in names:
            result.setdefault(name, set()).add(key)
    return result
