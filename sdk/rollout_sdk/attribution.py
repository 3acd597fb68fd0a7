"""Whom an outcome belongs to: one unit in one arm of one run, without its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rollout_sdk.engine.conditions import value_at
from rollout_sdk.engine.sample import unit_hash
from rollout_sdk.engine.values import as_number, as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Arm

STRATUM_CHARS: Final = 64
_UNIT_HEX: Final = 12


class Place(NamedTuple):
    """One arm of one comparison, before strata."""

    rollout: str
    run: int
    allocation: int
    reach_ppm: int
    arm: Arm


class Attribution(NamedTuple):
    """One unit in its place.

    Attributes:
        stratum: empty where the rollout has none.
        unit: its keyed 64-bit hash in this run, `engine.sample.unit_hash`.
    """

    place: Place
    stratum: str
    unit: int


def stratum_of(strata: Sequence[str], context: Context, key: int) -> str:
    """Return what a context's outcomes are told apart by: "country=KR,tenant=3fa9c2e1b004", 64 characters at most.

    Args:
        strata: kinds of unit, or attribute paths.
        context: who decides.
        key: of the run, `engine.sample.run_key`: the key of a unit is hashed, for it must not leave the process.
    """
    return ",".join(f"{name}={_value(name, context, key)}" for name in strata)[:STRATUM_CHARS]


def _value(name: str, context: Context, key: int) -> str:
    unit = context.unit64(name)
    if unit is not None:
        return f"{unit_hash(key, unit):016x}"[:_UNIT_HEX]
    value = value_at(context, name)
    if type(value) is bool:
        return str(value).lower()
    number = as_number(value)
    text = str(number) if number is not None and abs(number) < 1 << 53 else as_text(value)
    return text if text is not None and text.isprintable() else ""
