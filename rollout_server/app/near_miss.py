"""Near misses: what somebody named, and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rollout_sdk.engine.limits import KEY_CHARS


def cut(key: str) -> str:
    """Return a key as errors name it: whatever was sent, a refusal stays short."""
    return key if len(key) <= KEY_CHARS else f"{key[:KEY_CHARS]}..."


def did_you_mean(key: str, known: Iterable[str], kind: str = "flags") -> str:
    """Return a hint for who named something that is not there.

    Args:
        key: as it was named.
        known: what there is.
        kind: of it, as `rollout get` lists them.
    """
    near = difflib.get_close_matches(key[:KEY_CHARS], dict.fromkeys(known), n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"`rollout get {kind}` lists what there is"
