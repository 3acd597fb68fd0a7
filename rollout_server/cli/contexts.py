"""A context for `explain`, as people type it: a key, attributes, other units, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli.failures import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_server.cli.yaml_text import Data

DEFAULT_UNIT = "user"
_EXAMPLE = """'{"units": {"user": "u-1"}, "attributes": {"country": "TH"}}'"""


def typed(words: Sequence[str], units: Sequence[str], whole: str | None) -> dict[str, Data]:
    """Return {"units": ..., "attributes": ...}.

    Args:
        words: a unit's key ("user-42"), attributes as text ("country=TH") and as JSON ("age:=42"), in any order.
        units: "tenant=t-9", a kind and a key.
        whole: JSON, or "@file"; the words are added to it.

    Raises:
        CommandFailed: usage.
    """
    context = _whole(whole) if whole is not None else {"units": {}, "attributes": {}}
    chosen, attributes = context["units"], context["attributes"]
    if not isinstance(chosen, dict) or not isinstance(attributes, dict):
        raise usage("a context's units and attributes are maps", f"write --context {_EXAMPLE}")
    keys = [word for word in words if "=" not in word]
    if len(keys) > 1:
        raise usage(
            f"one unit key is expected, these are {len(keys)}: {', '.join(keys)}",
            "attributes are written NAME=TEXT or NAME:=JSON, other units --unit KIND=KEY",
        )
    if keys:
        chosen[DEFAULT_UNIT] = keys[0]
    for word in units:
        kind, equals, key = word.partition("=")
        if not equals or not kind:
            raise usage(f"{word!r} is no unit", "write --unit KIND=KEY, for example --unit tenant=t-9")
        chosen[kind] = key
    for word in words:
        if "=" in word:
            name, value = _attribute(word)
            attributes[name] = value
    return context


def _attribute(word: str) -> tuple[str, Data]:
    name, _, text = word.partition("=")
    if not name.removesuffix(":"):
        raise usage(f"{word!r} names no attribute", "write NAME=TEXT or NAME:=JSON")
    if not name.endswith(":"):
        return name, text
    try:
        value: Data = json.loads(text)
    except (ValueError, RecursionError):
        raise usage(f"{text!r} is no JSON", f"after := comes JSON; for text write {name[:-1]}={text}") from None
    return name[:-1], value


def _whole(text: str) -> dict[str, Data]:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"the context {text[1:]} cannot be read: {error}") from error
    try:
        context = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise usage(f"the context is no JSON: {error}", f"write --context {_EXAMPLE}") from error
    if not isinstance(context, dict) or not context.keys() <= {"units", "attributes"}:
        raise usage("a context has units and attributes and nothing else", f"write --context {_EXAMPLE}")
    return {"units": context.get("units", {}), "attributes": context.get("attributes", {})}


def looks_numeric(context: dict[str, Data]) -> list[tuple[str, str]]:
    """Return the attributes that are text and could have been meant as a number or a boolean, with that text."""
    attributes = context["attributes"]
    if not isinstance(attributes, dict):
        return []
    return [(name, value) for name, value in attributes.items() if isinstance(value, str) and _is_other(value)]


def _is_other(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (int, float))
    except (ValueError, RecursionError):
        return False
