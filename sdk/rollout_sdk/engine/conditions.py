"""Conditions become closures from a context to True, False, or None for unknown, in Kleene's logic.

No closure raises, whatever a context holds: leaves look at builtins only, and what still goes wrong (a key of a
caller's map that cannot be compared) counts as a value of the wrong type. The one exception is a caller who has used up
his stack: an answer of "unknown" could then change a variant without a reason, so `decide` is left to say `ERROR`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from rollout_sdk.engine import limits
from rollout_sdk.engine.leaves import Test, build_test
from rollout_sdk.engine.model import All, Any, Cohort, Condition, InCohort, Leaf, Not, OnMissing
from rollout_sdk.engine.operands import OPERATORS, Fault, check_leaf
from rollout_sdk.engine.values import MISSING, as_map

if TYPE_CHECKING:
    from rollout_sdk.engine.cohorts import Membership
    from rollout_sdk.engine.context import Context

__all__ = [
    "OPERATORS",
    "Asked",
    "Fault",
    "Uncompilable",
    "check_leaf",
    "compile_cohort",
    "compile_condition",
    "value_of",
]

Asked: TypeAlias = "Callable[[Context], bool | None]"
"""A compiled condition."""

ON_MISSING: Final[Mapping[OnMissing, bool | None]] = {
    OnMissing.UNKNOWN: None,
    OnMissing.MATCH: True,
    OnMissing.NO_MATCH: False,
}
"""What a leaf answers over a missing or wrong value."""


_SHARED_LEAVES_MAX: Final = 4_096
_SHARED_VALUES_MAX: Final = 16
_SHARED_CHARS_MAX: Final = 64
_SCALARS: Final = frozenset({bool, int, float, str})
"""Larger leaves have a closure each: what is kept here outlives its ruleset."""


class Uncompilable(ValueError):
    """Something in a flag or a cohort cannot be compiled; the message says what."""


def compile_condition(condition: Condition, cohorts: Mapping[str, Asked]) -> Asked:
    """Return the condition as a closure.

    Args:
        condition: read or made by anybody; nothing is assumed of it.
        cohorts: membership by key, of every cohort that the condition may name.

    Raises:
        Uncompilable: a leaf is not good, a cohort is not there, or the condition is larger than a reader accepts.
    """
    return _Compiler(cohorts).compile(condition, 1)


class _Compiler:
    """Compiles one condition and counts what it is made of."""

    def __init__(self, cohorts: Mapping[str, Asked]) -> None:
        self._cohorts = cohorts
        self._nodes = 0

    def compile(self, condition: Condition, depth: int) -> Asked:
        self._nodes += 1
        if self._nodes > limits.CONDITION_NODES * limits.READERS_FACTOR:
            raise Uncompilable(f"a condition has more than {limits.CONDITION_NODES * limits.READERS_FACTOR} nodes")
        if depth > limits.CONDITION_DEPTH * limits.READERS_FACTOR:
            raise Uncompilable(f"a condition has more than {limits.CONDITION_DEPTH * limits.READERS_FACTOR} levels")
        match condition:
            case Leaf():
                return _compile_leaf(condition)
            case InCohort(cohort=key):
                asked = self._cohorts.get(key)
                if asked is None:
                    raise Uncompilable(f"there is no cohort {key!r} in force")
                return asked
            case All(conditions=conditions):
                return _conjunction([self.compile(each, depth + 1) for each in conditions])
            case Any(conditions=conditions):
                return _disjunction([self.compile(each, depth + 1) for each in conditions])
            case Not(condition=inner):
                return _negation(self.compile(inner, depth + 1))
            case _:
                assert_never(condition)


def _compile_leaf(leaf: Leaf) -> Asked:
    """Return a leaf's closure; equal small ones are one object, for the same few stand in many flags."""
    values = leaf.operand if type(leaf.operand) is tuple else (leaf.operand,)
    kinds = tuple([type(value) for value in values])
    is_small = len(values) <= _SHARED_VALUES_MAX and _SCALARS.issuperset(kinds)
    if is_small and max([len(value) for value in values if type(value) is str], default=0) <= _SHARED_CHARS_MAX:
        return _shared_leaf(leaf, kinds)
    return _new_leaf(leaf)


@lru_cache(maxsize=_SHARED_LEAVES_MAX)
def _shared_leaf(leaf: Leaf, _kinds: tuple[type, ...]) -> Asked:
    """The classes stand beside the leaf, for True equals 1."""
    return _new_leaf(leaf)


def _new_leaf(leaf: Leaf) -> Asked:
    fault = check_leaf(leaf, limits.READERS_FACTOR)
    if fault is not None:
        raise Uncompilable(f"{leaf.subject} {leaf.operator}: {fault.message}")
    missing = ON_MISSING[leaf.on_missing]
    test = build_test(leaf, missing)
    if leaf.is_unit:
        return _unit_leaf(leaf.subject, test, missing)
    if "." in leaf.subject:
        return _path_leaf(leaf.subject, test, missing)
    return _attribute_leaf(leaf.subject, test, missing)


def _attribute_leaf(name: str, test: Test, missing: bool | None) -> Asked:  # noqa: FBT001 - one of Kleene's three
    def asked(context: Context) -> bool | None:
        try:
            return test(context.attributes.get(name, MISSING))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - a context may hold anything, and evaluation is total
            return missing

    return asked


def _path_leaf(path: str, test: Test, missing: bool | None) -> Asked:  # noqa: FBT001 - one of Kleene's three
    def asked(context: Context) -> bool | None:
        try:
            return test(value_at(context, path))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - a context may hold anything, and evaluation is total
            return missing

    return asked


def _unit_leaf(kind: str, test: Test, missing: bool | None) -> Asked:  # noqa: FBT001 - one of Kleene's three
    def asked(context: Context) -> bool | None:
        try:
            return test(context.units.get(kind, MISSING))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - a context may hold anything, and evaluation is total
            return missing

    return asked


def value_of(leaf: Leaf, context: Context) -> object:
    """Return what a leaf looks at, or `values.MISSING`. Never raises."""
    try:
        return context.units.get(leaf.subject, MISSING) if leaf.is_unit else value_at(context, leaf.subject)
    except Exception:  # noqa: BLE001 - a context may hold anything, and evaluation is total
        return MISSING


def value_at(context: Context, path: str) -> object:
    """Return the attribute with this very name, else what the dots find in maps; `MISSING` where there is none."""
    found: object = context.attributes.get(path, MISSING)
    if found is not MISSING:
        return found
    found = context.attributes
    for name in path.split("."):
        entries = as_map(found)
        if entries is None:
            return MISSING
        found = dict.get(entries, name, MISSING)
    return found


def _conjunction(parts: list[Asked]) -> Asked:
    def asked(context: Context) -> bool | None:
        answer: bool | None = True
        for part in parts:
            said = part(context)
            if said is False:
                return False
            if said is None:
                answer = None
        return answer

    return parts[0] if len(parts) == 1 else asked


def _disjunction(parts: list[Asked]) -> Asked:
    def asked(context: Context) -> bool | None:
        answer: bool | None = False
        for part in parts:
            said = part(context)
            if said is True:
                return True
            if said is None:
                answer = None
        return answer

    return parts[0] if len(parts) == 1 else asked


def _negation(part: Asked) -> Asked:
    def asked(context: Context) -> bool | None:
        said = part(context)
        return None if said is None else not said

    return asked


# ----------------------------------------------------------------------------------------------------------- cohorts


def compile_cohort(
    cohort: Cohort, include: Membership | None, exclude: Membership | None, cohorts: Mapping[str, Asked]
) -> Asked:
    """Return membership of a cohort: not excluded, and listed or meeting its condition.

    Without the unit, membership of a list is unknown; of an empty list (None here) it is false.

    Raises:
        Uncompilable: as for `compile_condition`.
    """
    when = None if cohort.when is None else compile_condition(cohort.when, cohorts)
    parts = [_listed(cohort.unit, include)] if include is not None else []
    parts += [when] if when is not None else []
    included = _disjunction(parts)
    if exclude is None:
        return included
    return _conjunction([_negation(_listed(cohort.unit, exclude)), included])


def _listed(kind: str, membership: Membership) -> Asked:
    def asked(context: Context) -> bool | None:
        digest = context.key_hashes.get(kind)
        if digest is None:
            digest = context.key_hash(kind)
            if digest is None:
                return None
        return digest in membership

    return asked
