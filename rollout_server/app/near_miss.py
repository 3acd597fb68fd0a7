"""Near misses: what somebody named, and the flags that may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rollout_sdk.engine.limits import KEY_CHARS


def cut(key: str) -> str:
    """Return a key as errors name it: whatever was sent, a refusal stays short."""
    return key if len(key) <= KEY_CHARS else f"{key[:KEY_CHARS]}..."


def did_you_mean(key: str, flags: Iterable[str]) -> str:
    """Return a hint for who named a flag that is not there."""
    near = difflib.get_close_matches(key[:KEY_CHARS], dict.fromkeys(flags), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "`rollout get flags` lists what there is"
