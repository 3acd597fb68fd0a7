"""What each operator asks of a value: closures that answer True, False or, over a value of the wrong type, `missing`.

Every builder takes a leaf that `operands.check_leaf` has found good, and what to answer over a missing or wrong value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, cast

from rollout_sdk.engine.instants import instant_of, parse_instant
from rollout_sdk.engine.limits import SUBJECT_CHARS, SUBJECT_MEMBERS
from rollout_sdk.engine.operands import parse_network
from rollout_sdk.engine.regex import compile_regex
from rollout_sdk.engine.semver import holds, parse_range, parse_version
from rollout_sdk.engine.values import MISSING, as_list, as_number, as_text, class_of

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Leaf

Ternary: TypeAlias = "bool | None"
Test: TypeAlias = Callable[[object], "bool | None"]
Builder: TypeAlias = "Callable[[Leaf, Ternary], Test]"

ADDRESS_CHARS = 64
"""Longer text is no address; the longest one has 45 characters, and a zone beside."""


def build_test(leaf: Leaf, missing: Ternary) -> Test:
    """Return the leaf's question to a value.

    Raises:
        KeyError, ValueError: the leaf is not good, see `operands.check_leaf`.
    """
    return BUILDERS[leaf.operator](leaf, missing)


# --------------------------------------------------------------------------------------------------------- equality


def _equals(leaf: Leaf, missing: Ternary) -> Test:
    operand = leaf.operand
    if type(operand) is str:
        return _text_test(leaf, missing, _folded(leaf, operand).__eq__)
    if type(operand) is bool:
        return _bool_test(missing, frozenset({operand}))
    return _number_test(missing, frozenset({operand}).__contains__)


def _in(leaf: Leaf, missing: Ternary) -> Test:
    values = _tuple(leaf)
    if type(values[0]) is str:
        return _text_test(leaf, missing, frozenset(_folded(leaf, cast("str", value)) for value in values).__contains__)
    if type(values[0]) is bool:
        return _bool_test(missing, frozenset(values))
    return _number_test(missing, frozenset(values).__contains__)


def _bool_test(missing: Ternary, wanted: frozenset[object]) -> Test:
    def test(value: object) -> bool | None:
        return value in wanted if type(value) is bool else missing

    return test


def _number_test(missing: Ternary, compare: Callable[[int | float], bool]) -> Test:
    def test(value: object) -> bool | None:
        number = value if type(value) is int else as_number(value)
        return missing if number is None else compare(number)

    return test


# ------------------------------------------------------------------------------------------------------------- text


def _text_test(leaf: Leaf, missing: Ternary, compare: Callable[[str], bool]) -> Test:
    """Ask about text; all that compare it take the same text for readable, which proofs about leaves rest on."""
    longest = SUBJECT_CHARS

    def folding(value: object) -> bool | None:
        text = as_text(value)
        return missing if text is None or len(text) > longest else compare(text.casefold())

    def test(value: object) -> bool | None:
        if type(value) is str:
            return compare(value) if len(value) <= longest else missing
        text = as_text(value)
        return missing if text is None or len(text) > longest else compare(text)

    return folding if leaf.ignore_case else test


def _starts_with(leaf: Leaf, missing: Ternary) -> Test:
    starts = _texts(leaf)
    return _text_test(leaf, missing, lambda text: text.startswith(starts))


def _ends_with(leaf: Leaf, missing: Ternary) -> Test:
    ends = _texts(leaf)
    return _text_test(leaf, missing, lambda text: text.endswith(ends))


def _contains(leaf: Leaf, missing: Ternary) -> Test:
    parts = _texts(leaf)
    return _text_test(leaf, missing, lambda text: any(part in text for part in parts))


def _regex(leaf: Leaf, missing: Ternary) -> Test:
    matches = compile_regex(cast("str", leaf.operand), ignore_case=leaf.ignore_case)
    return _parsed_test(missing, lambda text: text, matches)


def _parsed_test(missing: Ternary, parse: Callable[[str], object], ask: Callable[..., bool | None]) -> Test:
    """Ask about what a text says; text that does not say it is of the wrong type."""

    def test(value: object) -> bool | None:
        text = as_text(value)
        if text is None:
            return missing
        parsed = parse(text)
        if parsed is None:
            return missing
        answer = ask(parsed)
        return missing if answer is None else answer

    return test


def _semver(leaf: Leaf, missing: Ternary) -> Test:
    versions = parse_range(cast("str", leaf.operand))
    return _parsed_test(missing, parse_version, lambda version: holds(versions, version))


# ---------------------------------------------------------------------------------------------------------- numbers


def _ordered(compare: Callable[[float, float], bool]) -> Builder:
    def build(leaf: Leaf, missing: Ternary) -> Test:
        bound = cast("float", leaf.operand)

        def test(value: object) -> bool | None:
            number = value if type(value) is int else as_number(value)
            return missing if number is None else compare(number, bound)

        return test

    return build


def _between(leaf: Leaf, missing: Ternary) -> Test:
    low, high = cast("tuple[float, float]", leaf.operand)
    return _number_test(missing, lambda number: low <= number <= high)


def _modulo(leaf: Leaf, missing: Ternary) -> Test:
    divisor, remainder = cast("tuple[int, int]", leaf.operand)

    def test(value: object) -> bool | None:
        number = as_number(value)
        return number % divisor == remainder if type(number) is int else missing

    return test


# ------------------------------------------------------------------------------------------------------------- time


def _in_time(compare: Callable[[int, int], bool]) -> Builder:
    def build(leaf: Leaf, missing: Ternary) -> Test:
        bound = cast("int", parse_instant(cast("str", leaf.operand)))

        def test(value: object) -> bool | None:
            if issubclass(type(value), datetime):
                instant = instant_of(cast("datetime", value))
            else:
                text = as_text(value)
                instant = None if text is None else parse_instant(text)
            return missing if instant is None else compare(instant, bound)

        return test

    return build


# ------------------------------------------------------------------------------------------------------------ types


def _exists(leaf: Leaf, _missing: Ternary) -> Test:
    wanted = leaf.operand

    def test(value: object) -> bool | None:
        return (value is not MISSING) is wanted

    return test


def _type(leaf: Leaf, missing: Ternary) -> Test:
    wanted = leaf.operand

    def test(value: object) -> bool | None:
        found = class_of(value)
        return missing if found is None else found == wanted

    return test


# ------------------------------------------------------------------------------------------------------------ lists


def _listed(leaf: Leaf) -> Callable[[object], tuple[set[object], bool] | None]:
    """Return a reader of lists: which of the operand's values are in one, and whether all of it could be compared."""
    classes = {_class_key(value) for value in _tuple(leaf)}
    fold = leaf.ignore_case
    wanted = frozenset(_member_key(value, fold=fold) for value in _tuple(leaf))

    def read(value: object) -> tuple[set[object], bool] | None:
        members = as_list(value)
        if members is None or len(members) > SUBJECT_MEMBERS:
            return None
        found: set[object] = set()
        comparable = True
        for member in members:
            key = _member_key(member, fold=fold)
            if key in wanted:
                found.add(key)
            elif _class_key(member) not in classes:
                comparable = False
        return found, comparable

    return read


def _class_key(value: object) -> str | None:
    text = as_text(value)
    if text is not None:
        return "string" if len(text) <= SUBJECT_CHARS else None
    found = class_of(value)
    return found if found in ("boolean", "number") else None


def _member_key(value: object, *, fold: bool) -> object:
    """Return what tells scalars apart: True from 1, "1" from 1; None for everything that cannot be compared."""
    if type(value) is bool:
        return ("boolean", value)
    text = as_text(value)
    if text is None:
        return as_number(value)
    if len(text) > SUBJECT_CHARS:
        return None
    return text.casefold() if fold else text


def _of_list(answer: Callable[[int, int, bool], Ternary]) -> Builder:
    """Build from (how many of the operand's values are there, how many there are, whether all could be compared)."""

    def build(leaf: Leaf, missing: Ternary) -> Test:
        read = _listed(leaf)
        wanted_count = len({_member_key(value, fold=leaf.ignore_case) for value in _tuple(leaf)})

        def test(value: object) -> bool | None:
            listed = read(value)
            if listed is None:
                return missing
            found, comparable = listed
            result = answer(len(found), wanted_count, comparable)
            return missing if result is None else result

        return test

    return build


def _any_answer(found: int, _wanted: int, comparable: bool) -> Ternary:  # noqa: FBT001 - see _of_list
    return True if found else False if comparable else None


def _all_answer(found: int, wanted: int, comparable: bool) -> Ternary:  # noqa: FBT001 - see _of_list
    return True if found == wanted else False if comparable else None


def _none_answer(found: int, _wanted: int, comparable: bool) -> Ternary:  # noqa: FBT001 - see _of_list
    return False if found else True if comparable else None


def _size(leaf: Leaf, missing: Ternary) -> Test:
    operand = leaf.operand
    low, high = cast("tuple[int, int]", operand if type(operand) is tuple else (operand, operand))

    def test(value: object) -> bool | None:
        members = as_list(value)
        return missing if members is None else low <= len(members) <= high

    return test


# ---------------------------------------------------------------------------------------------------------- networks


def _cidr(leaf: Leaf, missing: Ternary) -> Test:
    by_length: dict[tuple[int, int], set[int]] = {}
    for text in _texts(leaf):
        network = parse_network(text)
        host_bits = network.max_prefixlen - network.prefixlen
        by_length.setdefault((network.version, host_bits), set()).add(int(network.network_address) >> host_bits)
    networks = tuple((version, bits, frozenset(prefixes)) for (version, bits), prefixes in by_length.items())

    def ask(address: tuple[int, int]) -> bool:
        asked, number = address
        return any(version == asked and number >> bits in prefixes for version, bits, prefixes in networks)

    return _parsed_test(missing, parse_address, ask)


def parse_address(text: str) -> tuple[int, int] | None:
    """Return IP version and address as a number, or None where the text is no address.

    An IPv4 address in IPv6 clothes (::ffff:10.0.0.1) is that IPv4 address: dual-stack sockets report it so.
    """
    if len(text) > ADDRESS_CHARS:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


# ---------------------------------------------------------------------------------------------------------- operands


def _tuple(leaf: Leaf) -> tuple[object, ...]:
    return cast("tuple[object, ...]", leaf.operand)


def _texts(leaf: Leaf) -> tuple[str, ...]:
    operand = leaf.operand if type(leaf.operand) is tuple else (leaf.operand,)
    return tuple(_folded(leaf, cast("str", text)) for text in operand)


def _folded(leaf: Leaf, text: str) -> str:
    return text.casefold() if leaf.ignore_case else text


BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "equals": _equals,
        "in": _in,
        "starts_with": _starts_with,
        "ends_with": _ends_with,
        "contains": _contains,
        "regex": _regex,
        "<": _ordered(operator.lt),
        "<=": _ordered(operator.le),
        ">": _ordered(operator.gt),
        ">=": _ordered(operator.ge),
        "between": _between,
        "semver": _semver,
        "before": _in_time(operator.lt),
        "after": _in_time(operator.gt),
        "exists": _exists,
        "type": _type,
        "any_of": _of_list(_any_answer),
        "all_of": _of_list(_all_answer),
        "none_of": _of_list(_none_answer),
        "size": _size,
        "cidr": _cidr,
        "modulo": _modulo,
    }
)
"""The same operators as `operands.OPERATORS`."""
