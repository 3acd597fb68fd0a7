"""JSON that is the same bytes everywhere: what the journal's digests cover (docs/adr/0003)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def canonical_json(tree: Json) -> bytes:
    """Return UTF-8 JSON without insignificant white space, maps in the order given.

    Numbers are written the shortest way that reads back as the same number.

    Raises:
        ValueError: a number is not finite, a text is not Unicode (half of a surrogate pair), or a map contains itself.
        RecursionError: nested deeper than Python allows; `read` refuses such trees long before.
    """
    return _ENCODER.encode(tree).encode("utf-8")
