"""Leaves compared: is one nowhere truer than the other?

Two leaves are comparable when they look at the same subject and take the same class of values for readable, so that
they are unknown over exactly the same contexts. Then one is at most the other when what it matches is a subset. What
is not recognised here is not comparable; that is always a safe answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from math import inf
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from rollout_sdk.engine.instants import parse_instant
from rollout_sdk.engine.model import OnMissing
from rollout_sdk.engine.operands import parse_network
from rollout_sdk.engine.sameness import same
from rollout_sdk.engine.semver import parse_range

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from rollout_sdk.engine.model import Leaf, Operand
    from rollout_sdk.engine.semver import Range

Scalar: TypeAlias = "bool | int | float | str"

_RANK = {OnMissing.NO_MATCH: 0, OnMissing.UNKNOWN: 1, OnMissing.MATCH: 2}
_TEXT_OPERATORS = frozenset({"starts_with", "ends_with", "contains"})
_LIST_OPERATORS = frozenset({"any_of", "all_of", "none_of"})


@dataclass(frozen=True, slots=True)
class _Values:
    """Matches exactly these values of one class: "bool", "number" or "string"."""

    kind: str
    values: frozenset[Scalar]


@dataclass(frozen=True, slots=True)
class _Range:
    """Matches what lies between; `kind` says of what: "number", "moment", or "list" for its size."""

    kind: str
    low: float
    high: float
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class _Texts:
    """Matches strings that start with, end with or contain any of these."""

    operator: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Versions:
    """Matches versions in any of these half-open ranges."""

    ranges: Range


@dataclass(frozen=True, slots=True)
class _Members:
    """Asks a list for members; what it can compare depends on the classes of its operands."""

    operator: str
    kinds: frozenset[str]
    members: frozenset[tuple[str, Scalar]]


@dataclass(frozen=True, slots=True)
class _Networks:
    """Matches addresses in any of these networks."""

    networks: tuple[IPv4Network | IPv6Network, ...]


Extent: TypeAlias = "_Values | _Range | _Texts | _Versions | _Members | _Networks"
"""What a leaf matches, where it is known to be comparable with other leaves."""


def leaf_at_most(one: Leaf, other: Leaf, narrow: Extent | None, wide: Extent | None) -> bool:
    """Whether `one` is nowhere truer than `other` (false < unknown < true), for every context.

    `narrow` and `wide` are their extents, by `extent_of`: whoever compares a leaf often keeps them.
    """
    if (one.subject, one.is_unit, one.ignore_case) != (other.subject, other.is_unit, other.ignore_case):
        return False
    if _RANK[one.on_missing] > _RANK[other.on_missing]:
        return False
    if one.operator == other.operator and same(one.operand, other.operand):
        return True
    return _is_subset(narrow, wide)


def leaves_exclude(one: Leaf, other: Leaf) -> bool:
    """Whether no context can make both true: proven for values and ranges of the same subject."""
    if (one.subject, one.is_unit, one.ignore_case) != (other.subject, other.is_unit, other.ignore_case):
        return False
    if OnMissing.MATCH in {one.on_missing, other.on_missing}:  # true over values of every other class
        return False
    return _is_disjoint(extent_of(one), extent_of(other))


def _is_disjoint(one: Extent | None, other: Extent | None) -> bool:
    if not isinstance(one, _Values | _Range) or not isinstance(other, _Values | _Range):
        return False
    if one.kind != other.kind:  # no value is of two classes, but moments are written as strings
        return "moment" not in {one.kind, other.kind}
    if isinstance(one, _Values):
        return one.values.isdisjoint(other.values) if isinstance(other, _Values) else not _holds_any(other, one)
    return not _holds_any(one, other) if isinstance(other, _Values) else _is_apart(one, other)


def _holds_any(wide: _Range, narrow: _Values) -> bool:
    return any(_within(_Range(wide.kind, value, value), wide) for value in narrow.values if _is_number(value))


def _is_apart(one: _Range, other: _Range) -> bool:
    low, high = (one, other) if (one.low, one.high) <= (other.low, other.high) else (other, one)
    return low.high < high.low or (low.high == high.low and (low.high_open or high.low_open))


def _is_subset(narrow: Extent | None, wide: Extent | None) -> bool:
    match narrow, wide:
        case _Values(), _Values():
            return narrow.kind == wide.kind and narrow.values <= wide.values
        case _Range(), _Range():
            return narrow.kind == wide.kind and _within(narrow, wide)
        case _Values(kind="number"), _Range(kind="number"):
            return all(_within(_Range("number", value, value), wide) for value in narrow.values if _is_number(value))
        case _Values(kind="string"), _Texts():
            return all(_text_matches(str(value), wide, _TEXT_OPERATORS) for value in narrow.values)
        case _Texts(), _Texts():
            return all(_text_matches(text, wide, {narrow.operator, "contains"}) for text in narrow.texts)
        case _Versions(), _Versions():
            return all(any(low >= start and high <= end for start, end in wide.ranges) for low, high in narrow.ranges)
        case _Members(), _Members() if (narrow.operator, narrow.kinds) == (wide.operator, wide.kinds):
            # A longer list is easier to meet for any_of only.
            return narrow.members <= wide.members if wide.operator == "any_of" else narrow.members >= wide.members
        case _Networks(), _Networks():
            return all(any(_is_inside(part, whole) for whole in wide.networks) for part in narrow.networks)
        case _:
            return False


def _text_matches(text: str, wide: _Texts, comparable: AbstractSet[str]) -> bool:
    """Whether every string that is, starts with, ends with or contains `text` is matched by `wide`."""
    if wide.operator not in comparable:
        return False
    if wide.operator == "starts_with":
        return text.startswith(wide.texts)
    if wide.operator == "ends_with":
        return text.endswith(wide.texts)
    return any(part in text for part in wide.texts)


def _within(narrow: _Range, wide: _Range) -> bool:
    """Compared without rounding: Python orders integers and floats exactly."""
    low = narrow.low > wide.low or (narrow.low == wide.low and (narrow.low_open or not wide.low_open))
    high = narrow.high < wide.high or (narrow.high == wide.high and (narrow.high_open or not wide.high_open))
    return low and high


def extent_of(leaf: Leaf) -> Extent | None:
    """What the leaf matches; None where that is not known here."""
    operator = leaf.operator
    operands = leaf.operand if isinstance(leaf.operand, tuple) else (leaf.operand,)
    if operator in {"equals", "in"}:
        return _values(operands, folds=leaf.ignore_case)
    if operator in _TEXT_OPERATORS:
        return _texts(operator, operands, folds=leaf.ignore_case)
    if operator in _LIST_OPERATORS:
        return _members(operator, operands, folds=leaf.ignore_case)
    if operator == "cidr":
        return _networks(operands)
    return _versions(leaf.operand) if operator == "semver" else _range(operator, leaf.operand)


def _values(operands: tuple[Operand, ...], *, folds: bool) -> _Values | None:
    """Of one class only: a list of several says nothing certain about which values it can read."""
    members = _members("in", operands, folds=folds)
    if members is None or len(members.kinds) != 1:
        return None
    return _Values(next(iter(members.kinds)), frozenset(value for _, value in members.members))


def _members(operator: str, operands: tuple[Operand, ...], *, folds: bool) -> _Members | None:
    found: set[tuple[str, Scalar]] = set()
    for operand in operands:
        kind = _kind(operand)
        if kind is None or isinstance(operand, tuple):
            return None
        found.add((kind, operand.casefold() if folds and isinstance(operand, str) else operand))
    return _Members(operator, frozenset(kind for kind, _ in found), frozenset(found))


def _networks(operands: tuple[Operand, ...]) -> _Networks | None:
    try:
        return _Networks(tuple(parse_network(str(operand)) for operand in operands))
    except ValueError:
        return None


def _is_inside(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    return (
        part.version == whole.version
        and int(part.network_address) >= int(whole.network_address)
        and int(part.broadcast_address) <= int(whole.broadcast_address)
    )


def _texts(operator: str, operands: tuple[Operand, ...], *, folds: bool) -> _Texts | None:
    texts = tuple(operand.casefold() if folds else operand for operand in operands if isinstance(operand, str))
    return _Texts(operator, texts) if texts and len(texts) == len(operands) else None


def _range(operator: str, operand: Operand) -> _Range | None:
    match operator, operand:
        case "between" | "size", (low, high) if _is_number(low) and _is_number(high):
            return _Range("list" if operator == "size" else "number", low, high)
        case "<" | "<=", high if _is_number(high):
            return _Range("number", -inf, high, high_open=operator == "<")
        case ">" | ">=", low if _is_number(low):
            return _Range("number", low, inf, low_open=operator == ">")
        case "size", size if _is_number(size):
            return _Range("list", size, size)
        case "before" | "after", str():
            moment = parse_instant(operand)
            if moment is None:
                return None
            return _Range("moment", -inf, moment) if operator == "before" else _Range("moment", moment, inf)
        case _:
            return None


def _versions(operand: Operand) -> _Versions | None:
    try:
        return _Versions(parse_range(operand)) if isinstance(operand, str) else None
    except ValueError:
        return None


def _is_number(operand: object) -> TypeGuard[int | float]:
    return isinstance(operand, int | float) and not isinstance(operand, bool) and operand == operand  # noqa: PLR0124 - NaN


def _kind(operand: object) -> str | None:
    if isinstance(operand, bool):
        return "bool"
    if isinstance(operand, int | float):
        return "number"
    return "string" if isinstance(operand, str) else None
