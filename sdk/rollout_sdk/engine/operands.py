"""The operators, by name, and what may stand behind each: one checker for who makes conditions and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from rollout_sdk.engine import limits
from rollout_sdk.engine.instants import parse_instant
from rollout_sdk.engine.model import Leaf, Operand
from rollout_sdk.engine.semver import parse_range

TYPE_NAMES = ("boolean", "string", "number", "list", "map", "null")
"""What the operator `type` may ask for."""


class Fault(NamedTuple):
    """What is wrong with a leaf.

    Attributes:
        code: stable, "bad_regex".
    """

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Operator:
    """How one operator reads its operand.

    Attributes:
        check: the operand, and how many times the limits are allowed; None when it is good.
        takes_text: compares text, so that `ignore_case` and a unit's key may go with it.
        folds: `ignore_case` may go with it.
    """

    check: Check
    takes_text: bool = False
    folds: bool = False


Check: TypeAlias = Callable[[Operand, int], Fault | None]


def check_leaf(leaf: Leaf, factor: int = 1) -> Fault | None:
    """Return the first thing that is wrong with a leaf, or None.

    Args:
        leaf: may hold anything that its types allow.
        factor: 1 where conditions are made, `limits.READERS_FACTOR` where they are read.
    """
    fault = _check_subject(leaf, factor)
    if fault is not None:
        return fault
    operator = OPERATORS.get(leaf.operator)
    if operator is None:
        known = ", ".join(OPERATORS)
        return Fault("unknown_operator", f"there is no operator {_shown(leaf.operator)}", f"the operators are {known}")
    fault = operator.check(leaf.operand, factor)
    if fault is not None:
        return fault
    if leaf.ignore_case and not (operator.folds and _has_text(leaf.operand)):
        return Fault(
            "bad_ignore_case",
            f"ignore_case goes with text, and {leaf.operator!r} compares none here",
            "leave ignore_case out",
        )
    if leaf.is_unit and not _compares_text(leaf.operator, operator, leaf.operand):
        return Fault(
            "never_true",
            f"a unit's key is text, so {leaf.operator!r} with this operand is true for nobody",
            "compare it with text, or name an attribute",
        )
    return None


def _check_subject(leaf: Leaf, factor: int) -> Fault | None:
    if not leaf.subject:
        return Fault("bad_subject", "the leaf names no attribute and no unit", "write attribute: NAME or unit: KIND")
    if len(leaf.subject) > limits.ATTRIBUTE_PATH_CHARS * factor:
        return Fault(
            "too_long",
            f"an attribute's path has at most {limits.ATTRIBUTE_PATH_CHARS} characters, this one {len(leaf.subject)}",
            "shorten the path",
        )
    return None


def _compares_text(name: str, operator: Operator, operand: Operand) -> bool:
    if name in ("equals", "in"):
        return _has_text(operand)
    return operator.takes_text or name in ("exists", "type")


def _has_text(operand: Operand) -> bool:
    return type(operand) is str or (type(operand) is tuple and any(type(value) is str for value in operand))


# ------------------------------------------------------------------------------------------------------- shapes


def _shown(operand: object) -> str:
    """Return an operand for a message, at most 60 characters."""
    try:
        text = repr(list(operand) if type(operand) is tuple else operand)
    except ValueError:  # an integer of more digits than Python prints
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - see above


def _shape(wanted: str, operand: Operand, hint: str = "") -> Fault:
    return Fault("bad_operand", f"the operand must be {wanted}, not {_shown(operand)}", hint)


def _check_text(text: str, factor: int) -> Fault | None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Fault("bad_text", f"{_shown(text)} is not Unicode text", "remove the lone surrogate")
    if size > limits.OPERAND_TEXT_BYTES * factor:
        return Fault(
            "too_long",
            f"text to compare with has at most {limits.OPERAND_TEXT_BYTES} bytes, this one {size}",
            "compare with a shorter text",
        )
    return None


def _check_scalar(operand: Operand, factor: int) -> Fault | None:
    if type(operand) is str:
        return _check_text(operand, factor)
    if type(operand) is bool:
        return None
    return _check_number(operand, factor, "text, a number or a boolean")


def _check_number(operand: Operand, _factor: int, wanted: str = "a number") -> Fault | None:
    if type(operand) is int:
        return _check_integer(operand)
    if type(operand) is not float:
        return _shape(wanted, operand)
    if not isfinite(operand):
        return _shape("a finite number", operand)
    return None


def _check_integer(operand: int) -> Fault | None:
    if limits.INTEGER_MIN <= operand <= limits.INTEGER_MAX:
        return None
    return Fault("out_of_range", f"{_shown(operand)} does not fit into 64 bits", "use a smaller number, or text")


def _check_count(operand: Operand, factor: int, wanted: str) -> Fault | None:
    """A list of at least one value, and not too long."""
    if type(operand) is not tuple:
        return _shape(wanted, operand)
    if not operand:
        return Fault("empty_list", "the list is empty, so nothing can be compared with it", "list at least one value")
    if len(operand) > limits.VALUES_PER_OPERAND * factor:
        return Fault(
            "too_many",
            f"a list to compare with has at most {limits.VALUES_PER_OPERAND} values, this one {len(operand)}",
            "put the keys into a cohort",
        )
    return None


def _check_each(operand: Operand, factor: int, wanted: str, check: Check) -> Fault | None:
    fault = _check_count(operand, factor, wanted)
    if fault is not None or type(operand) is not tuple:
        return fault
    return next((fault for value in operand if (fault := check(value, factor)) is not None), None)


# ---------------------------------------------------------------------------------------------------- operators


def _check_scalars(operand: Operand, factor: int) -> Fault | None:
    return _check_each(operand, factor, "a list of text, numbers or booleans", _check_scalar)


def _check_in(operand: Operand, factor: int) -> Fault | None:
    fault = _check_scalars(operand, factor)
    if fault is not None or type(operand) is not tuple:
        return fault
    if len({float if type(value) is int else type(value) for value in operand}) > 1:
        return Fault("mixed_types", "the list mixes text, numbers and booleans", "quote the numbers, or split the leaf")
    return None


def _check_texts(operand: Operand, factor: int) -> Fault | None:
    if type(operand) is tuple:
        return _check_each(operand, factor, "text or a list of text", _check_texts_member)
    return _check_texts_member(operand, factor)


def _check_texts_member(operand: Operand, factor: int) -> Fault | None:
    if type(operand) is not str:
        return _shape("text or a list of text", operand, "quote it")
    if not operand:
        return _shape("text that is not empty", operand, "every text holds the empty one; use exists or type instead")
    return _check_text(operand, factor)


def _check_regex(operand: Operand, factor: int) -> Fault | None:
    if type(operand) is not str:
        return _shape("a regular expression as text", operand, "quote it")
    fault = _check_text(operand, factor)
    if fault is not None:
        return fault
    if len(operand.encode()) > limits.REGEX_BYTES * factor:
        return Fault(
            "too_long",
            f"a regular expression has at most {limits.REGEX_BYTES} bytes, this one {len(operand.encode())}",
            "split it into several leaves",
        )
    from rollout_sdk.engine.regex import regex_fault

    reason = regex_fault(operand, factor)
    if reason:
        hint = "RE2 has no look-around and no back-references; where it is too large, repeat less"
        return Fault("bad_regex", f"{_shown(operand)} is no RE2 expression: {reason[:100]}", hint)
    return None


def _check_between(operand: Operand, factor: int) -> Fault | None:
    wanted = "[low, high]"
    if type(operand) is not tuple or len(operand) != len(("low", "high")):
        return _shape(wanted, operand)
    for bound in operand:
        fault = _check_number(bound, factor)
        if fault is not None:
            return fault
    low, high = operand
    if type(low) in (int, float) and type(high) in (int, float) and low > high:  # type: ignore[operator] # numbers
        return _shape("[low, high] with low <= high", operand, "swap the two")
    return None


def _check_semver(operand: Operand, _factor: int) -> Fault | None:
    hint = 'write ">=1.2.0 <2.0.0", "^1.2", "~1.2.3", "1.x" or alternatives joined by "||"'
    if type(operand) is not str:
        return _shape("a range of versions as text", operand, "quote it")
    try:
        parse_range(operand)
    except ValueError as error:
        return Fault("bad_semver", str(error), hint)
    return None


def _check_instant(operand: Operand, _factor: int) -> Fault | None:
    if type(operand) is str and parse_instant(operand) is not None:
        return None
    hint = 'write "2026-12-01T09:00:00+09:00", in quotes and with its zone'
    return Fault("bad_date", f"{_shown(operand)} is no date and time as in RFC 3339", hint)


def _check_exists(operand: Operand, _factor: int) -> Fault | None:
    return None if type(operand) is bool else _shape("true or false", operand)


def _check_type(operand: Operand, _factor: int) -> Fault | None:
    return None if operand in TYPE_NAMES else _shape("one of " + ", ".join(TYPE_NAMES), operand)


def _check_size(operand: Operand, _factor: int) -> Fault | None:
    bounds = operand if type(operand) is tuple else (operand, operand)
    if len(bounds) != len(("low", "high")) or not all(type(bound) is int for bound in bounds):
        return _shape("a whole number or [low, high]", operand)
    low, high = bounds
    if not 0 <= low <= high <= limits.INTEGER_MAX:  # type: ignore[operator] # both are int, see above
        return _shape("[low, high] with 0 <= low <= high", operand)
    return None


def _check_cidr(operand: Operand, factor: int) -> Fault | None:
    if type(operand) is tuple:
        return _check_each(operand, factor, "a network as text, or a list of them", _check_network)
    return _check_network(operand, factor)


def _check_network(operand: Operand, _factor: int) -> Fault | None:
    if type(operand) is not str:
        return _shape("a network as text, or a list of them", operand, "quote it")
    hint = 'write "10.0.0.0/8" or "2001:db8::/32"'
    try:
        parse_network(operand)
    except ValueError:
        meant = _meant_network(operand)
        hint = f'write "{meant}"' if meant else hint
        return Fault("bad_cidr", f"{_shown(operand)} is no network", hint)
    return None


def _meant_network(text: str) -> str:
    """Return the network that an address with a prefix lies in; empty where the text is neither."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return ""


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network; an address alone is a network of one.

    Raises:
        ValueError: it is none, or has bits set beyond its prefix.
    """
    return ip_network(text)


def _check_modulo(operand: Operand, _factor: int) -> Fault | None:
    if type(operand) is not tuple or len(operand) != len(("divisor", "remainder")):
        return _shape("[divisor, remainder]", operand)
    divisor, remainder = operand
    if type(divisor) is not int or type(remainder) is not int:
        return _shape("[divisor, remainder] in whole numbers", operand)
    if not 0 <= remainder < divisor <= limits.INTEGER_MAX:
        return _shape("[divisor, remainder] with 0 <= remainder < divisor", operand)
    return None


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "equals": Operator(_check_scalar, folds=True),
        "in": Operator(_check_in, folds=True),
        "starts_with": Operator(_check_texts, takes_text=True, folds=True),
        "ends_with": Operator(_check_texts, takes_text=True, folds=True),
        "contains": Operator(_check_texts, takes_text=True, folds=True),
        "regex": Operator(_check_regex, takes_text=True, folds=True),
        "<": Operator(_check_number),
        "<=": Operator(_check_number),
        ">": Operator(_check_number),
        ">=": Operator(_check_number),
        "between": Operator(_check_between),
        "semver": Operator(_check_semver, takes_text=True),
        "before": Operator(_check_instant, takes_text=True),
        "after": Operator(_check_instant, takes_text=True),
        "exists": Operator(_check_exists),
        "type": Operator(_check_type),
        "any_of": Operator(_check_scalars, folds=True),
        "all_of": Operator(_check_scalars, folds=True),
        "none_of": Operator(_check_scalars, folds=True),
        "size": Operator(_check_size),
        "cidr": Operator(_check_cidr, takes_text=True),
        "modulo": Operator(_check_modulo),
    }
)
"""Every operator of a leaf, by its name in files and on the wire."""
