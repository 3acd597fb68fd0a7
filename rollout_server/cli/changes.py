"""Changes of resources, field by field, as plan, apply, diff and history draw them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout_server.cli import messages, references
from rollout_server.cli.screen import BAD, DIM, GOOD, WARN, Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.screen import Screen
    from rollout_server.cli.yaml_text import Data

_SIGNS = {"create": ("+", GOOD), "update": ("~", WARN), "delete": ("-", BAD)}
_VALUE_CHARACTERS_MAX = 60
_FIELDS_MAX = 12


def draw(screen: Screen, changes: Iterable[control_pb2.ResourceChange]) -> None:
    """Draw each change with its fields; a whole new resource's fields are left to `-o wide`."""
    for change in changes:
        operation = messages.OPERATIONS.get(change.operation, "unknown")
        if operation == "unchanged":
            continue
        sign, style = _SIGNS.get(operation, ("?", ""))
        version = f"  version {change.version_before}" if change.version_before else ""
        screen.line(Mark(f"{sign} {references.named(change)}", style), f"  {operation}", Mark(version, DIM))
        if operation == "update" or screen.is_wide:
            _draw_fields(screen, list(change.fields))


def _draw_fields(screen: Screen, fields: list[control_pb2.FieldChange]) -> None:
    shown = fields if screen.is_wide else fields[:_FIELDS_MAX]
    for field in shown:
        before, after = messages.parsed(field.before_json), messages.parsed(field.after_json)
        path = Mark(f"    {field.path}  ", DIM)
        if not field.before_json:
            screen.line(path, Mark(f"+ {text(screen, after)}", GOOD))
        elif not field.after_json:
            screen.line(path, Mark(f"- {text(screen, before)}", BAD))
        else:
            old, new = text(screen, before), text(screen, after)
            screen.line(path, Mark(old, BAD), " -> ", Mark(new, GOOD))
    if len(fields) > len(shown):
        screen.line(Mark(f"    and {len(fields) - len(shown)} more fields: -o wide", DIM))


def text(screen: Screen, value: Data) -> str:
    """Return a value as one line; cut where it is long and nothing asked for all of it."""
    line = json.dumps(value, ensure_ascii=False)
    if screen.is_wide or len(line) <= _VALUE_CHARACTERS_MAX:
        return line
    return line[: _VALUE_CHARACTERS_MAX - 1] + "…"


def count(changes: Iterable[control_pb2.ResourceChange]) -> str:
    """Return "1 created, 2 updated"; empty when nothing changes."""
    tally: dict[str, int] = {}
    for change in changes:
        operation = messages.OPERATIONS.get(change.operation, "unknown")
        tally[operation] = tally.get(operation, 0) + 1
    words = {"create": "created", "update": "updated", "delete": "deleted"}
    return ", ".join(f"{tally[operation]} {word}" for operation, word in words.items() if tally.get(operation))
