"""Semantic versions and ranges, by the precedence of SemVer 2.0.0.

A range is alternatives joined by "||"; an alternative is comparators joined by spaces, all of which must hold.
Comparators: `=` `<` `<=` `>` `>=` before a version, `^` and `~`, and partial versions ("1.2", "1.x", "*").

Precedence is the only order: 2.0.0-rc.1 lies below 2.0.0. Bounds that a person did not spell out in full ("<2", "^1.2",
"1.x") end before the prereleases of what they exclude, so that 2.0.0-rc.1 is in none of them; "<2.0.0" holds it.
"""

from __future__ import annotations

import re
from typing import TypeAlias

VERSION_CHARS = 256

Version: TypeAlias = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
"""Compares as SemVer precedence: major, minor, patch, prerelease; build metadata is dropped."""

Range: TypeAlias = tuple[tuple[Version, Version], ...]
"""Alternatives, each a half-open interval [low, high)."""

_RELEASED = ((2, 0, ""),)
_BEFORE_ALL = ((-1, 0, ""),)
_END: Version = (10**VERSION_CHARS, 0, 0, _BEFORE_ALL)
_START: Version = (0, 0, 0, _BEFORE_ALL)

_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_NUMBER = r"0|[1-9][0-9]*"
_VERSION = re.compile(rf"({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER})(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?)?)?")
_PLACE = rf"{_NUMBER}|[xX*]"
_COMPARATOR = re.compile(
    rf"(<=|>=|<|>|=|\^|~)?\s*({_PLACE})(?:\.({_PLACE})(?:\.({_PLACE})(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?)?)?"
)
_GAP = re.compile(r"\s+|$")


def parse_version(text: str) -> Version | None:
    """Return the version, or None where the text is none.

    Missing minor and patch numbers are zero ("1.2" is 1.2.0); a leading "v" is not part of a version.
    """
    if len(text) > VERSION_CHARS:
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor, patch, prerelease = match.groups()
    tail = _prerelease(prerelease)
    return None if tail is None else (int(major), int(minor or 0), int(patch or 0), tail)


def parse_range(text: str) -> Range:
    """Return what the range holds.

    Raises:
        ValueError: the text is no range; the message says which part of it.
    """
    if len(text) > VERSION_CHARS:
        raise ValueError(f"a range has at most {VERSION_CHARS} characters, this one {len(text)}")
    return tuple(_alternative(part.strip()) for part in text.split("||"))


def holds(versions: Range, version: Version) -> bool:
    """Whether any alternative holds the version."""
    return any(low <= version < high for low, high in versions)


def _prerelease(text: str | None) -> tuple[tuple[int, int, str], ...] | None:
    """Return what orders after the three numbers; None where a number has a leading zero."""
    if text is None:
        return _RELEASED
    identifiers = text.split(".")
    if any(part.isdigit() and part != "0" and part.startswith("0") for part in identifiers):
        return None
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in identifiers)


def _alternative(text: str) -> tuple[Version, Version]:
    if not text:
        raise ValueError('the range has an empty alternative; write "*" for every version')
    low, high = _START, _END
    at = 0
    while at < len(text):
        match = _COMPARATOR.match(text, at)
        gap = _GAP.match(text, match.end()) if match else None
        if match is None or gap is None:
            raise ValueError(f"{text[at:].split(maxsplit=1)[0]!r} is not a comparator of versions")
        at = gap.end()
        comparator_low, comparator_high = _comparator(match)
        low, high = max(low, comparator_low), min(high, comparator_high)
    if low >= high:
        raise ValueError(f"no version is in {text!r}")
    return low, high


def _comparator(match: re.Match[str]) -> tuple[Version, Version]:
    sign, *places, prerelease = match.groups()
    numbers = _numbers(places, match.group())
    tail = _prerelease(prerelease)
    if tail is None:
        raise ValueError(f"{match.group()!r} has a number with a leading zero")
    if prerelease is not None and len(numbers) < len(places):
        raise ValueError(f"{match.group()!r} names a prerelease of a version that is not complete")
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    complete = len(numbers) == len(places)
    low: Version = (major, minor, patch, tail) if numbers else _START
    if sign == "^":
        return low, _caret_end(numbers)
    if sign == "~":
        return low, _after(numbers[:2])
    # The first version above: of a complete one its own successor, of a partial one the end of what it stands for.
    past: Version = (major, minor, patch, (*tail, (-1, 0, ""))) if complete else _after(numbers)
    below: Version = low if complete else (major, minor, patch, _BEFORE_ALL)
    return {
        "<": (_START, below),
        "<=": (_START, past),
        ">": (past if complete else _released(past), _END),
        ">=": (low, _END),
    }.get(sign or "=", (low, past))


def _numbers(places: list[str | None], text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for index, place in enumerate(places):
        if place is None or place in "xX*":
            if any(later is not None and later not in "xX*" for later in places[index:]):
                raise ValueError(f"{text!r} has a number after a wildcard")
            break
        numbers.append(int(place))
    return tuple(numbers)


def _caret_end(numbers: tuple[int, ...]) -> Version:
    """Where compatibility ends: at the leftmost number that is not zero."""
    for index, number in enumerate(numbers):
        if number:
            return _after(numbers[: index + 1])
    return _after(numbers)


def _after(numbers: tuple[int, ...]) -> Version:
    """Return the bound past every version that begins with these numbers, prereleases of the next excluded too."""
    if not numbers:
        return _END
    major, minor, patch = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return (major, minor, patch, _BEFORE_ALL)


def _released(bound: Version) -> Version:
    return (*bound[:3], _RELEASED) if bound != _END else bound
