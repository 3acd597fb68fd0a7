"""The delivery contract's messages and the words of the application, both ways.

What a client says of itself is shown to people and kept for an hour: it is cut to size and freed of what would move a
terminal's cursor.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Quarantined
from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Part

INSTANCE_ID_LENGTH_MAX = 64
NAME_LENGTH_MAX = 128
CAPABILITIES_MAX = 512
QUARANTINED_MAX = 10_000
ERROR_LENGTH_MAX = 256

_SHARED_BYTES_MAX = 256
"""Of an acknowledgement that is remembered: one that refuses nothing."""


def greeting_of(hello: delivery_pb2.Hello) -> Greeting:
    """Read a hello.

    Raises:
        InvalidInput: it does not say which instance this is.
    """
    instance_id = hello.instance_id
    if not (0 < len(instance_id) <= INSTANCE_ID_LENGTH_MAX and instance_id.isascii() and instance_id.isprintable()):
        message = f"an instance id has 1 to {INSTANCE_ID_LENGTH_MAX} printable ASCII characters"
        raise InvalidInput([Problem("", "hello.instance_id", "bad_instance_id", message, "use a random one")])
    return Greeting(
        instance_id=instance_id,
        # There are a few services on a few hosts, and many processes: equal names are one object.
        sdk_version=intern(shown(hello.sdk_version)),
        capabilities=_shared(tuple(shown(name) for name in hello.capabilities[:CAPABILITIES_MAX])),
        service=intern(shown(hello.service)),
        host=intern(shown(hello.host)),
        pid=hello.pid,
        held=_held(hello.held) if hello.HasField("held") else None,
        quarantined=_quarantined(hello.quarantined),
    )


def acknowledgement_of(message: delivery_pb2.Acknowledge) -> Acknowledgement:
    """Read an acknowledgement: one object for all processes that say the same, as all do that obeyed a revision."""
    data = message.SerializeToString()
    return _acknowledged(data) if len(data) <= _SHARED_BYTES_MAX else _acknowledgement(message)


@lru_cache(maxsize=64)
def _acknowledged(data: bytes) -> Acknowledgement:
    return _acknowledgement(delivery_pb2.Acknowledge.FromString(data))


def _acknowledgement(message: delivery_pb2.Acknowledge) -> Acknowledgement:
    return Acknowledgement(
        position=_held(message.position),
        ruleset_digest=message.ruleset_digest,
        quarantined=_quarantined(message.quarantined),
    )


def update(part: Part, committed_at_ms: int) -> bytes:
    """Write a part as the message that carries it."""
    message = delivery_pb2.Update(
        snapshot=part.snapshot,
        base_revision=part.base_revision,
        position=write_position(part.position),
        chunks=[ruleset_pb2.Chunk(digest=digest, data=data) for digest, data in part.chunks],
        removed=[_record_id(kind, key) for kind, key in part.removed],
        ruleset_digest=part.ruleset_digest,
        more=part.more,
        committed_at_ms=committed_at_ms,
    )
    for record in part.records:
        message.records.add().MergeFromString(record.data)
    return delivery_pb2.WatchResponse(update=message).SerializeToString()


def reset(reason: str) -> bytes:
    """Write a reset."""
    return delivery_pb2.WatchResponse(reset=delivery_pb2.Reset(reason=reason)).SerializeToString()


def bookmark(position: Position, ruleset_digest: bytes, reconnect_within_ms: int) -> bytes:
    """Write a bookmark."""
    message = delivery_pb2.Bookmark(
        position=write_position(position), ruleset_digest=ruleset_digest, reconnect_within_ms=reconnect_within_ms
    )
    return delivery_pb2.WatchResponse(bookmark=message).SerializeToString()


def drain(reconnect_within_ms: int) -> bytes:
    """Write a drain."""
    return delivery_pb2.WatchResponse(
        drain=delivery_pb2.Drain(reconnect_within_ms=reconnect_within_ms)
    ).SerializeToString()


def _record_id(kind: int, key: str) -> ruleset_pb2.RecordId:
    return ruleset_pb2.RecordId(kind=ruleset_pb2.RecordKind.ValueType(kind), key=key)


def _held(message: ruleset_pb2.Position) -> Position:
    """Read a position; one with an overlong epoch is of no history of ours, and is not kept at its length."""
    message.epoch = message.epoch[:NAME_LENGTH_MAX]
    message.digest = message.digest[:NAME_LENGTH_MAX]
    return read_position(message)


def _quarantined(messages: Iterable[delivery_pb2.Quarantine]) -> tuple[Quarantined, ...]:
    return tuple(
        Quarantined(shown(one.flag), one.version, shown(one.error, ERROR_LENGTH_MAX))
        for one, _ in zip(messages, range(QUARANTINED_MAX), strict=False)
    )


@lru_cache(maxsize=256)
def _shared(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for equal lists: there are a few releases of SDKs, and many processes."""
    return capabilities


def shown(text: str, length_max: int = NAME_LENGTH_MAX) -> str:
    """Return what may be shown of a text that anybody may have written."""
    cut = text[:length_max]
    return cut if cut.isprintable() else "".join(character if character.isprintable() else "?" for character in cut)
