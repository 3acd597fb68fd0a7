"""Near misses: the flags that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rollout_sdk.engine.limits import KEY_CHARS


def did_you_mean(key: str, flags: Iterable[str]) -> str:
    """Return a hint for who named a flag that is not there."""
    near = difflib.get_close_matches(key[:KEY_CHARS], flags, n=3)
    return f"did you mean {' or '.join(near)}?" if near else "`rollout get flags` lists what there is"
