"""PromQL as far as it can be judged without Prometheus: brackets, quotes, comments, ranges, placeholders.

Whether functions exist and types fit is for Prometheus to say: a query that it refuses makes its metric blind, which
holds a rollout and says why.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

PLACEHOLDERS = ("arm", "rollout", "run", "flag", "variant", "environment")
"""What may stand in a query as `{arm}`, inside the quotes of a label's value, which are filled in escaped."""

_ARM = "arm"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_RANGE = re.compile(r"\s*(?:(?:\d+(?:ms|s|m|h|d|w|y))+|\d+(?:\.\d+)?)\s*")
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<quote>["'`])""",
    re.VERBOSE,
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_WORD = re.compile(r"[A-Za-z0-9]")


def promql_fault(query: str) -> tuple[str, str]:
    """Return why this is no query that could be asked for each arm, and what to do; two empty texts when it may be."""
    if not _WORD.search(query):
        return "the query is empty", 'write a counter, like sum(errors_total{arm="{arm}"})'
    opened: list[tuple[str, int]] = []
    placeholders: set[str] = set()
    end = 0
    for found in _TOKEN.finditer(query):
        outside = query[end : found.start()]
        end = found.end()
        if stray := _stray(outside):
            return stray
        place = f"at character {found.start() + 1}"
        if found["quote"]:
            return f"the quote {found[0]} {place} is not closed", "close it, or escape it with \\"
        if found["quoted"]:
            placeholders.update(_PLACEHOLDER.findall(found[0]))
        elif found["open"]:
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
    return _placeholder_fault(placeholders)


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


def _placeholder_fault(placeholders: set[str]) -> tuple[str, str]:
    unknown = sorted(placeholders - set(PLACEHOLDERS))
    if unknown:
        near = get_close_matches(unknown[0], PLACEHOLDERS, 1)
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        hint = f'did you mean "{{{near[0]}}}"?' if near else f"known: {known}"
        return f'there is no placeholder "{{{unknown[0]}}}"', hint
    if _ARM not in placeholders:
        hint = 'select by a label that holds it: {arm="{arm}"}; it becomes candidate or control'
        return "nothing in the query tells the arms apart", hint
    return "", ""
