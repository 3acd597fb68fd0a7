"""PromQL that could not be asked for each arm: refused at `apply`, before it makes a rollout blind.

Brackets, quotes and placeholders are told by their place in the text; the rest is what a parser of PromQL says. Whether
series of that name exist only Prometheus knows.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from rollout_server.domain.promql import (
    ARM,
    PLACEHOLDERS,
    TOKEN,
    VARIANT,
    NotPromql,
    counter_of,
    placeholders,
    value_of,
)

_RANGE = re.compile(r"\s*(?:(?:\d+(?:ms|s|m|h|d|w|y))+|\d+(?:\.\d+)?)\s*")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_WORD = re.compile(r"[A-Za-z0-9]")


def promql_fault(query: str, *, is_counter: bool) -> tuple[str, str]:
    """Return why this is no query that could be asked for each arm, and what to do; two empty texts when it may be.

    Args:
        query: with its placeholders.
        is_counter: it is one of two counters, not a bare ratio.
    """
    if not _WORD.search(query):
        return "the query is empty", 'write a counter, like sum(errors_total{arm="{arm}"})'
    if fault := _text_fault(query) or _placeholder_fault(placeholders(query)):
        return fault
    try:
        _ = counter_of(query) if is_counter else value_of(query)
    except NotPromql as error:
        return str(error), error.hint
    return "", ""


def _text_fault(query: str) -> tuple[str, str] | None:
    opened: list[tuple[str, int]] = []
    end = 0
    for found in TOKEN.finditer(query):
        outside = query[end : found.start()]
        end = found.end()
        if stray := _stray(outside):
            return stray
        place = f"at character {found.start() + 1}"
        if found["quote"]:
            return f"the quote {found[0]} {place} is not closed", "close it, or escape it with \\"
        if found["open"]:
            opened.append((found[0], found.start()))
        elif found["close"]:
            if not opened or opened[-1][0] != _PAIRS[found[0]]:
                return f"the bracket {found[0]} {place} closes nothing", "look for the one that is missing before it"
            start = opened.pop()[1]
            if found[0] == "]" and (fault := _range_fault(query[start + 1 : found.start()])):
                return fault
    if stray := _stray(query[end:]):
        return stray
    if opened:
        bracket, start = opened[-1]
        return f"the bracket {bracket} at character {start + 1} is not closed", "close it"
    return None


def _stray(outside: str) -> tuple[str, str] | None:
    strange = next((char for char in outside if not (char.isascii() and char.isprintable()) and not char.isspace()), "")
    if strange:
        return f"U+{ord(strange):04X} stands outside quotes", "put it into quotes, or take it out"
    if ";" in outside or "$" in outside or "&" in outside or "|" in outside:
        char = next(char for char in outside if char in ";$&|")
        return f"{char} is no part of PromQL", 'a placeholder is written "{arm}", inside the quotes of a label'
    return None


def _range_fault(inside: str) -> tuple[str, str] | None:
    length, colon, step = inside.partition(":")
    is_range = _RANGE.fullmatch(length) and not (colon and step.strip() and not _RANGE.fullmatch(step))
    if is_range:
        return None
    return f"[{inside[:60]}] is no range", "write a duration in it, like [5m]"


def _placeholder_fault(used: frozenset[str]) -> tuple[str, str] | None:
    unknown = sorted(used - set(PLACEHOLDERS))
    if unknown:
        near = get_close_matches(unknown[0], PLACEHOLDERS, 1)
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        hint = f'did you mean "{{{near[0]}}}"?' if near else f"known: {known}"
        return f'there is no placeholder "{{{unknown[0]}}}"', hint
    if not used & {ARM, VARIANT}:
        hint = 'select by a label that holds it: {arm="{arm}"}; it becomes candidate or control'
        return "nothing in the query tells the arms apart", hint
    return None
