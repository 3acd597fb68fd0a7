"""What validation has found so far: problems of one resource, each with its place in the document."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

SUGGESTIONS_MAX = 50
"""Near misses looked for in one validation; each costs a pass over all names."""

_PLAIN = re.compile(r"[A-Za-z0-9_<>=-]+\Z")
_SHOWN_CHARS = 60


def child(path: str, step: str | int) -> str:
    """Return the place inside `path`: `spec.rules[2]`, `spec.targets.on`, `spec.variants["a b"]`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if not _PLAIN.match(step):
        return f"{path}[{json.dumps(step, ensure_ascii=not step.isprintable())}]"  # nothing in a place may hide
    return f"{path}.{step}" if path else step


def show(text: str) -> str:
    """Return text in quotes, short, on one line, with everything invisible as its code point."""
    cut = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
    return '"' + "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in cut) + '"'


@dataclass(slots=True)
class Findings:
    """Problems collected, in the order in which they were found.

    Attributes:
        resource: "flag/checkout-v2"; what `add` speaks of.
    """

    resource: str = ""
    problems: list[Problem] = field(default_factory=list)
    suggestions: int = 0

    def add(self, path: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem of the current resource."""
        self.problems.append(Problem(self.resource, path, code, message, hint))

    def unknown(self, path: str, what: str, name: str, known: Collection[str]) -> None:
        """Note that `name` names no `what` ("flag", "variant"), with the nearest of those that exist."""
        self.add(path, f"unknown_{what}", f"there is no {what} {show(name)}", self._suggestion(what, name, known))

    def _suggestion(self, what: str, name: str, known: Collection[str]) -> str:
        near: list[str] = []
        if self.suggestions < SUGGESTIONS_MAX:
            self.suggestions += 1
            near = get_close_matches(name, known, n=1)
        if near:
            return f"did you mean {show(near[0])}?"
        if what == "variant":
            return "the variants are " + ", ".join(show(key) for key in list(known)[:10])
        return f"create the {what} in the same apply, or take it out here"

    def too_many(self, path: str, count: int, limit: int, what: str, hint: str) -> None:
        """Note that there are more of something than may be made, if so."""
        if count > limit:
            self.add(path, "too_many", f"at most {limit:,} {what}, these are {count:,}", hint)
