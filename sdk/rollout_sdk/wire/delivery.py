"""The Watch stream's messages between protobuf and plain data, as an SDK speaks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.codec import wire_record
from rollout_sdk.wire.messages import Bookmark, Drain, Part, Reset
from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.wire.messages import Acknowledgement, Greeting, Message, Quarantined


def read_position(message: ruleset_pb2.Position) -> Position:
    """Return the model of a position; blank fields stay blank."""
    return Position(message.epoch, message.revision, message.digest)


def write_position(position: Position) -> ruleset_pb2.Position:
    """Return the message of a position."""
    return ruleset_pb2.Position(epoch=position.epoch, revision=position.revision, digest=position.digest)


def read_response(response: delivery_pb2.WatchResponse | delivery_pb2.RelayResponse) -> Message | None:
    """Return what the server said; None for a message that a later release invented."""
    match response.WhichOneof("message"):
        case "reset":
            return Reset(response.reset.reason)
        case "update":
            return _read_update(response.update)
        case "bookmark":
            said = response.bookmark
            return Bookmark(read_position(said.position), said.ruleset_digest, said.reconnect_within_ms)
        case "drain":
            return Drain(response.drain.reconnect_within_ms)
        case _:
            return None


def _read_update(update: delivery_pb2.Update) -> Part:
    return Part(
        snapshot=update.snapshot,
        base_revision=update.base_revision,
        position=read_position(update.position),
        ruleset_digest=update.ruleset_digest,
        chunks=tuple((chunk.digest, chunk.data) for chunk in update.chunks),
        records=tuple(wire_record(record) for record in update.records),
        removed=tuple((int(gone.kind), gone.key) for gone in update.removed),
        more=update.more,
    )


def write_greeting(greeting: Greeting) -> delivery_pb2.WatchRequest:
    """Return the first message of a stream."""
    return delivery_pb2.WatchRequest(
        hello=delivery_pb2.Hello(
            instance_id=greeting.instance_id,
            sdk_version=greeting.sdk_version,
            capabilities=greeting.capabilities,
            held=None if greeting.held is None else write_position(greeting.held),
            service=greeting.service,
            host=greeting.host,
            pid=greeting.pid,
            quarantined=_write_quarantined(greeting.quarantined),
        )
    )


def write_acknowledgement(acknowledgement: Acknowledgement) -> delivery_pb2.WatchRequest:
    """Return the answer to an update."""
    return delivery_pb2.WatchRequest(
        acknowledge=delivery_pb2.Acknowledge(
            position=write_position(acknowledgement.position),
            ruleset_digest=acknowledgement.ruleset_digest,
            quarantined=_write_quarantined(acknowledgement.quarantined),
        )
    )


def write_goodbye(reason: str) -> delivery_pb2.WatchRequest:
    """Return the last message of a stream: this process ends on purpose."""
    return delivery_pb2.WatchRequest(goodbye=delivery_pb2.Goodbye(reason=reason))


def _write_quarantined(quarantined: Iterable[Quarantined]) -> list[delivery_pb2.Quarantine]:
    return [delivery_pb2.Quarantine(flag=one.flag, version=one.version, error=one.error) for one in quarantined]
