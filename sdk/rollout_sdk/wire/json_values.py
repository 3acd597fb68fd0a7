"""JSON text in records: bounded, finite, without anything that another language would read differently."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import Json
from rollout_sdk.wire.records import WireError


def write_json(value: object) -> str:
    """Return compact JSON; the order of a map is kept as written."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_json(text: str, what: str, bytes_max: int) -> Json:
    """Parse one value.

    Args:
        text: what came in a string field, so it is Unicode.
        what: names the place in errors.
        bytes_max: longest text that is read, in UTF-8 bytes.

    Raises:
        WireError: not JSON, too long, too deep, not finite, or text that is not Unicode.
    """
    size = len(text.encode())
    if size > bytes_max:
        raise WireError(f"{what} has {size} bytes of JSON, at most {bytes_max} are read")
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what} is not JSON that can be read: {error}") from None
    if not _is_shallow(value, limits.READERS_FACTOR * limits.JSON_DEPTH):
        raise WireError(f"{what} nests deeper than {limits.READERS_FACTOR * limits.JSON_DEPTH}")
    return value


def _is_shallow(value: Json, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in inner)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a float")
    return number
