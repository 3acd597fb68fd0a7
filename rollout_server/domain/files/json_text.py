"""JSON text to trees as fast as Python parses, and the place of anything in it, found only when asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.domain.files import names, scalars
from rollout_server.domain.files.bounds import DEPTH_MAX, DIGITS_MAX
from rollout_server.domain.files.shape import too_deep
from rollout_server.domain.files.text import BadText, line_and_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_server.domain.files.paths import Step

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]')
_LONG_NUMBER = re.compile(rf"[0-9.]{{{DIGITS_MAX},}}")
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class _Twice(Exception):
    """A map holds a name twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not a finite number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=scalars.resolve, parse_float=scalars.resolve, parse_constant=_no_constant
)
# To step over a value without looking inside.
_STEPPER = json.JSONDecoder(parse_int=str, parse_float=str)


def parse(text: str) -> object:
    """Return the tree of one JSON text.

    Raises:
        BadText: no JSON, a name twice in one map, too deep, a number that is not finite or too long, no Unicode.
    """
    try:
        found = _DECODER.decode(text)
    except RecursionError:
        raise _deep() from None
    except _Twice:
        raise _duplicate(text) from None
    except json.JSONDecodeError as wrong:
        raise BadText("bad_json", f"not valid JSON: {wrong.msg}", wrong.pos) from None
    except ValueError as wrong:
        place = _LONG_NUMBER.search(text)
        raise BadText("bad_number", f"a number {wrong}", place.start() if place else 0, "write it as text") from None
    if too_deep(found):
        raise _deep()
    if _HALF_PAIR.search(text) and (start := _half_pair(text)) >= 0:
        raise BadText("not_unicode", "half of a surrogate pair stands here", start, "write the whole character")
    return found


def _deep() -> BadText:
    return BadText("too_deep", f"maps and lists lie more than {DEPTH_MAX} inside each other", 0, "flatten it")


def _half_pair(text: str) -> int:
    """Return where the first text with half of a surrogate pair begins, or -1."""
    for token in _TOKEN.finditer(text):
        if token[0][0] == '"' and not names.is_unicode(json.loads(token[0])):
            return token.start()
    return -1


def _duplicate(text: str) -> BadText:
    """Find the name that stands twice in one map."""
    maps: list[dict[str, int] | None] = []
    previous, waiting = "", ("", 0)
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            maps.append({} if word == "{" else None)
        elif word in "}]":
            maps.pop()
        elif word == ":" and previous == "text" and (seen := maps[-1]) is not None:
            name, start = waiting
            if name in seen:
                first = "{}:{}".format(*line_and_column(text, seen[name]))
                message = f"{names.show(name)} stands here for the second time, the first is at {first}"
                return BadText("duplicate_field", message, start, "keep one of them")
            seen[name] = start
        if word[0] == '"':
            waiting = (json.loads(word), token.start())
            previous = "text"
        else:
            previous = word
    message = "the parser saw a name twice that is not there"
    raise AssertionError(message)


@dataclass(frozen=True, slots=True)
class _Entry:
    step: Step
    start: int
    value: int


def place(text: str, steps: Sequence[Step]) -> int:
    """Return the index of the entry that the steps lead to, in text that `parse` accepts.

    For an entry of a map it is where its name begins. Steps that do not exist end at what holds them.
    """
    index = start = _after_space(text, 0)
    for step in steps:
        entry = _find(text, index, step)
        if entry is None:
            break
        start, index = entry.start, entry.value
    return start


def items(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each item of the outer list begins and ends."""
    index = _after_space(text, _after_space(text, 0) + 1)
    while text[index] != "]":
        _, end = _STEPPER.raw_decode(text, index)
        yield index, end
        index = _after_space(text, end)
        if text[index] == ",":
            index = _after_space(text, index + 1)


def _find(text: str, index: int, step: Step) -> _Entry | None:
    closing = {"{": "}", "[": "]"}.get(text[index])
    if closing is None:
        return None
    count = 0
    index = _after_space(text, index + 1)
    while text[index] != closing:
        start = index
        name: Step = count
        if closing == "}":
            name, index = _STEPPER.raw_decode(text, index)
            index = _after_space(text, _after_space(text, index) + 1)
        if name == step:
            return _Entry(name, start, index)
        _, index = _STEPPER.raw_decode(text, index)
        index = _after_space(text, index)
        if text[index] == ",":
            index = _after_space(text, index + 1)
        count += 1
    return None


def _after_space(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found else index
