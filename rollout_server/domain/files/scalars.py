"""What an unquoted word of a YAML file means, and which words mean different things to different readers.

YAML 1.2's core schema decides. Words that YAML 1.1 readers (most tools in the field) take for something else keep a
mark, so that the reader can ask for quotes instead of guessing: docs/files.md has the table.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from rollout_server.domain.files.bounds import DIGITS_MAX


class Unquoted(str):
    """Text to YAML 1.2, something else to YAML 1.1, written without quotes: `on`, `no`, 2027-06-01, 12:30."""

    __slots__ = ()


class SpelledInt(int):
    """An integer that was not written the way it reads back: 00123, 0x1F, +5.

    Attributes:
        written: as in the file.
    """

    written: str


class SpelledFloat(float):
    """A number that was not written the way it reads back: 1.10, 1e3, .5.

    Attributes:
        written: as in the file.
    """

    written: str


Scalar: TypeAlias = "str | int | float | bool | None"

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_OLD_WORDS = frozenset(
    word for base in ("yes", "no", "on", "off") for word in (base, base.capitalize(), base.upper())
) | {"=", "<<"}
_OLD_NUMBER = re.compile(
    r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9_]+"
    r"|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)"
)
_OLD_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?"
)


def looks_like_something_else(word: str) -> bool:
    """Whether a YAML 1.1 reader takes this YAML 1.2 text for a boolean, a number, a date or a merge."""
    if word in _OLD_WORDS:
        return True
    first = word[:1]
    if not (first.isdigit() or first in "+-."):
        return False
    return bool(_OLD_NUMBER.fullmatch(word) or _OLD_DATE.fullmatch(word))


def resolve(word: str) -> Scalar:
    """Return what an unquoted word means under YAML 1.2's core schema.

    Returns:
        `Unquoted`, `SpelledInt` or `SpelledFloat` where other readers, or eyes, may see something else.

    Raises:
        ValueError: infinite, not a number, or too many digits; the message says so.
    """
    first = word[:1]
    if first not in "0123456789+-.~nNtTfF":  # most words: no number, no null, no boolean
        return Unquoted(word) if word in _OLD_WORDS else word
    if word in _NULL:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if first in "nNtTfF":
        return Unquoted(word) if word in _OLD_WORDS else word
    return _number_or_text(word)


def _number_or_text(word: str) -> Scalar:
    if len(word) > DIGITS_MAX and (_FLOAT.fullmatch(word) or _HEX.fullmatch(word) or _OCTAL.fullmatch(word)):
        raise ValueError(f"is a number of more than {DIGITS_MAX} digits")
    if _INT.fullmatch(word):
        return _spelled_int(int(word), word)
    if _OCTAL.fullmatch(word) or _HEX.fullmatch(word):
        return _spelled_int(int(word, 0), word)
    if _FLOAT.fullmatch(word):
        number = float(word)
        if not math.isfinite(number):
            raise ValueError("is too large for a number")
        return _spelled_float(number, word)
    if _NO_NUMBER.fullmatch(word):
        raise ValueError("is not a finite number")
    return Unquoted(word) if looks_like_something_else(word) else word


def _spelled_int(number: int, word: str) -> int:
    if str(number) == word:
        return number
    spelled = SpelledInt(number)
    spelled.written = word
    return spelled


def _spelled_float(number: float, word: str) -> float:
    if repr(number) == word:
        return number
    spelled = SpelledFloat(number)
    spelled.written = word
    return spelled


def as_written(scalar: Scalar) -> str:
    """Return how a scalar stood in the file, or would stand there."""
    match scalar:
        case None:
            return "null"
        case bool():
            return "true" if scalar else "false"
        case SpelledInt() | SpelledFloat():
            return scalar.written
        case _:
            return str(scalar)
