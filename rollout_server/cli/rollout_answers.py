"""Rollouts as commands read them: fetched by key, and as plain data for `-o json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.cli.screen import BAD, DIM, GOOD, WARN, Mark

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

PHASES = {
    "": Mark("· not started", DIM),
    "scheduled": Mark("· scheduled", DIM),
    "running": Mark("⟳ running", "cyan"),
    "held": Mark("◷ held", WARN),
    "paused": Mark("‖ paused", WARN),
    "awaiting approval": Mark("◷ awaiting approval", WARN),
    "watching": Mark("⟳ watching", "cyan"),
    "completed": Mark("✔ completed", GOOD),
    "rolled back": Mark("✘ rolled back", BAD),
    "cancelled": Mark("· cancelled", DIM),
}
"""How each phase looks."""

ENDED = frozenset({"completed", "rolled back", "cancelled"})


def fetch(session: Session, target: str) -> control_pb2.Rollout:
    """Return a rollout, by its key or its flag's.

    Raises:
        ServerRefused: there is none; the server suggests what is near.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    request = control_pb2.GetRolloutRequest(rollout=target)
    return connection.ask(connection.stub.GetRollout, request).rollout


def phase(rollout: control_pb2.Rollout) -> Mark:
    """Return the phase as it is drawn; a killed flag says so first."""
    if rollout.killed:
        return Mark("✘ killed", BAD)
    if rollout.phase == "completed" and rollout.finished:
        return Mark("✔ finished", GOOD)
    return PHASES.get(rollout.phase, Mark(rollout.phase))


def plain(message: Message) -> dict[str, Data]:
    """Return a message as maps and lists, every field by its name; null where it has no value."""
    found: dict[str, Data] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = [_plain(field, item) for item in value]
        elif field.has_presence and not message.HasField(field.name):
            found[field.name] = None
        else:
            found[field.name] = _plain(field, value)
    return found


def _plain(field: object, value: object) -> Data:
    message_type, enum_type = getattr(field, "message_type", None), getattr(field, "enum_type", None)
    if message_type is not None:
        return plain(value)  # type: ignore[arg-type]  # a field of a message type holds a message
    if enum_type is not None:
        name: str = enum_type.values_by_number[value].name
        return name.removeprefix(_prefix(enum_type.name)).lower().replace("_", " ")
    if isinstance(value, bytes):
        return value.hex()
    return value  # type: ignore[return-value]  # all other fields are texts, numbers and booleans


def _prefix(name: str) -> str:
    """Return "STAGE_STATE_" for "StageState": what the contract puts before each value."""
    return "".join(f"_{char}" if char.isupper() and at else char for at, char in enumerate(name)).upper() + "_"
