"""Places in a document as people read them: `spec.rules[2].when.all[0]`, `spec.targets["a b"]`."""

from __future__ import annotations

import json
import re
from typing import TypeAlias

from rollout_sdk.engine import findings

Step: TypeAlias = "str | int"


def child(path: str, step: Step) -> str:
    """Return the path of one entry of the map or list at `path`; "" is the document itself."""
    return findings.child(path, step).removeprefix("" if path else ".")


def resolve(tree: object, path: str) -> tuple[Step, ...]:
    """Return the steps from the tree's root towards `path`, as many as exist.

    The tree decides how a path is cut, so that a key with dots in it is found however the path writes it.
    """
    steps: list[Step] = []
    rest = path
    while rest:
        step, rest = _next_step(tree, rest)
        if step is None:
            break
        steps.append(step)
        tree = tree[step]  # type: ignore[index]  # the step was taken from this very map or list
    return tuple(steps)


def _next_step(tree: object, rest: str) -> tuple[Step | None, str]:
    if isinstance(tree, list):
        index = re.match(r"\[(\d{1,9})\]", rest)
        if index and int(index[1]) < len(tree):
            return int(index[1]), rest[index.end() :]
        return None, ""
    if not isinstance(tree, dict):
        return None, ""
    if rest.startswith('["'):
        try:
            quoted, end = json.JSONDecoder().raw_decode(rest, 1)
        except ValueError:
            return None, ""
        return (quoted, rest[end + 1 :]) if quoted in tree else (None, "")
    bare = rest.removeprefix(".")
    if (word := re.match(r"[^.\[]+", bare)) and word[0] in tree:
        return word[0], bare[word.end() :]
    fits = [key for key in tree if key and bare.startswith(key) and bare[len(key) : len(key) + 1] in {"", ".", "["}]
    longest = max(fits, key=len, default=None)
    return (longest, bare[len(longest) :]) if longest is not None else (None, "")
