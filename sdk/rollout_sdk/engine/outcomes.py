"""What a flag can answer, numbered: variants with their checked values, and the ways to get to each."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import Uncompilable
from rollout_sdk.engine.model import Arm, Flag, Json, Reason, ValueType, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping


_SHARED_OUTCOMES_MAX = 4_096
_SHARED_TABLE_MAX = 16
"""Larger tables are each flag's own: what is shared outlives its ruleset."""


class Exposure(NamedTuple):
    """What a rollout says of a context, in the words of `model.Decision`."""

    rollout: str
    run: int
    stage: str | None
    arm: Arm | None
    allocation: int
    reach_ppm: int


class Outcome(NamedTuple):
    """One way for a flag to answer; `exposure` where a rollout did."""

    variant: str
    reason: Reason
    rule: str | None = None
    exposure: Exposure | None = None


class Outcomes:
    """Numbers the outcomes of one flag as they are named; the same outcome has the same number."""

    def __init__(self, variants: Mapping[str, Json]) -> None:
        self._variants = variants
        self._numbers: dict[Outcome, int] = {}

    def number(self, variant: str, reason: Reason, rule: str | None = None, exposure: Exposure | None = None) -> int:
        """Return the number of an outcome.

        Raises:
            Uncompilable: the flag has no such variant.
        """
        if variant not in self._variants:
            place = f"rule {rule!r}" if rule is not None else reason.value
            raise Uncompilable(f"{place} names variant {variant!r}, which the flag does not have")
        outcome = _outcome(variant, reason, rule) if exposure is None else Outcome(variant, reason, rule, exposure)
        return self._numbers.setdefault(outcome, len(self._numbers))

    def table(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the order of their numbers."""
        outcomes = tuple(self._numbers)
        is_shared = len(outcomes) <= _SHARED_TABLE_MAX and not any(outcome.exposure for outcome in outcomes)
        return _table(outcomes) if is_shared else outcomes


@lru_cache(maxsize=_SHARED_OUTCOMES_MAX)
def _table(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """Return the first of equal tables: flags of one shape have the same."""
    return outcomes


@lru_cache(maxsize=_SHARED_OUTCOMES_MAX)
def _outcome(variant: str, reason: Reason, rule: str | None) -> Outcome:
    """Return an outcome that no rollout made; many flags have the same few."""
    return Outcome(variant, reason, rule)


def variant_values(flag: Flag) -> dict[str, Json]:
    """Return the flag's variants by key, each value exactly of the flag's type and owned by nobody else. Read only.

    Raises:
        Uncompilable: there are none or too many, a key is there twice, or a value is of another type.
    """
    if not flag.variants:
        raise Uncompilable("the flag has no variants")
    if len(flag.variants) > limits.VARIANTS_PER_FLAG * limits.READERS_FACTOR:
        raise Uncompilable(f"the flag has {len(flag.variants)} variants")
    values = [variant.value for variant in flag.variants]
    is_shared = len(values) <= _SHARED_TABLE_MAX and all(value is True or value is False for value in values)
    if is_shared and flag.type is ValueType.BOOLEAN:
        return _shared_values(flag.variants)
    return _values(flag.type, flag.variants)


@lru_cache(maxsize=_SHARED_OUTCOMES_MAX)
def _shared_values(variants: tuple[Variant, ...]) -> dict[str, Json]:
    """For booleans only: to a cache, True is 1."""
    return _values(ValueType.BOOLEAN, variants)


def _values(wanted: ValueType, variants: tuple[Variant, ...]) -> dict[str, Json]:
    values = {variant.key: value_as(wanted, variant.value, variant.key) for variant in variants}
    if len(values) < len(variants):
        raise Uncompilable("two variants have the same key")
    return values


def value_as(wanted: ValueType, value: Json, variant: str) -> Json:
    """Return a variant's value as its flag's type has it: a float flag's whole numbers become floats.

    Raises:
        Uncompilable: the value is of another type; True is no number.
    """
    kind = type(value)
    if wanted is ValueType.JSON:
        return copy_json(value)
    if wanted is ValueType.BOOLEAN and kind is bool:
        return value
    if wanted is ValueType.STRING and kind is str:
        return value
    if type(value) is int and limits.INTEGER_MIN <= value <= limits.INTEGER_MAX:
        if wanted is ValueType.INTEGER:
            return value
        if wanted is ValueType.FLOAT:
            return float(value)
    if wanted is ValueType.FLOAT and type(value) is float and isfinite(value):
        return value
    raise Uncompilable(f"variant {variant!r} holds a {kind.__name__} that is no {wanted.value}")


def copy_json(value: Json, depth: int = 0) -> Json:
    """Return a copy that shares no list and no map with the value.

    Raises:
        Uncompilable: it is no JSON, or nested more deeply than a reader accepts.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth >= limits.JSON_DEPTH * limits.READERS_FACTOR:
            raise Uncompilable(f"a value is nested more than {depth} deep")
        if type(value) is dict:
            if any(type(name) is not str for name in value):
                raise Uncompilable("a value has a name that is no text")
            return {name: copy_json(inner, depth + 1) for name, inner in value.items()}
        return [copy_json(inner, depth + 1) for inner in value]  # type: ignore[union-attr] # a list, see above
    if value is None or kind in (bool, str, int) or (type(value) is float and isfinite(value)):
        return value
    raise Uncompilable(f"a value holds a {kind.__name__}, which JSON does not have")
