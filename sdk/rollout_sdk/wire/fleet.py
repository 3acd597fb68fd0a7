"""What servers on one store tell each other of their processes, by way of that store. See `FleetWord`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Quarantined
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.relaying import Joined, News, news_message
from rollout_sdk.wire.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Position

PLAIN, PACKED = b"\x00", b"\x01"
"""First byte: how the rest is to be read."""

PACKED_FROM_BYTES = 1_024
"""Processes are alike, and a roster becomes a sixteenth; what is smaller than this is not worth the work."""

WORD_BYTES_MAX = 64 * 1024 * 1024
"""A word that says that it is larger is none of ours."""


@dataclass(frozen=True, slots=True)
class FleetWord:
    """One thing that a server told.

    Attributes:
        news: of its processes.
        position: where it stands, said once all of them have been told; None before.
        forgotten: processes that count there, and of which nothing more is known.
    """

    news: News
    position: Position | None = None
    forgotten: int = 0


def write_fleet_word(word: FleetWord) -> bytes:
    """Return it as it is kept in the store."""
    position = None if word.position is None else write_position(word.position)
    message = pb.FleetWord(news=news_message(word.news), position=position, forgotten=word.forgotten)
    data = message.SerializeToString()
    return PLAIN + data if len(data) < PACKED_FROM_BYTES else PACKED + zlib.compress(data, 1)


def read_fleet_word(data: bytes) -> FleetWord:
    """Read it again.

    Raises:
        WireError: it is no such word, or one of a later release that this one cannot read.
    """
    try:
        message = pb.FleetWord.FromString(_unpacked(data))
    except (DecodeError, zlib.error) as error:
        raise WireError(f"this is nothing that a server told: {error}") from None
    news = News(
        joined=tuple(_joined(one) for one in message.news.joined),
        acknowledged=tuple((_word(one.acknowledge), tuple(one.numbers)) for one in message.news.acknowledged),
        left=tuple(message.news.left),
        lost=tuple(message.news.lost),
    )
    position = read_position(message.position) if message.HasField("position") else None
    return FleetWord(news, position, message.forgotten)


def _unpacked(data: bytes) -> bytes:
    if data[:1] == PLAIN:
        return data[1:]
    if data[:1] != PACKED:
        raise WireError("this is nothing that a server told, or it was told by a later release")
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(data[1:], WORD_BYTES_MAX)
    if not unpacking.eof:
        raise WireError("this is nothing that a server told: it is cut, or too large")
    return plain


def _joined(message: pb.RelayedProcess) -> Joined:
    return Joined(
        number=message.number,
        token_id=message.token_id,
        greeting=_greeting(message.hello),
        connected_ms_ago=message.connected_ms_ago,
        away_ms=message.away_ms if message.HasField("away_ms") else None,
        behind=message.behind,
    )


def _greeting(hello: pb.Hello) -> Greeting:
    return Greeting(
        instance_id=hello.instance_id,
        sdk_version=hello.sdk_version,
        capabilities=_shared(tuple(hello.capabilities)),
        service=hello.service,
        host=hello.host,
        pid=hello.pid,
        held=read_position(hello.held) if hello.HasField("held") else None,
        quarantined=_quarantined(hello.quarantined),
    )


def _word(message: pb.Acknowledge) -> Acknowledgement:
    return Acknowledgement(read_position(message.position), message.ruleset_digest, _quarantined(message.quarantined))


def _quarantined(messages: Iterable[pb.Quarantine]) -> tuple[Quarantined, ...]:
    return tuple(Quarantined(one.flag, one.version, one.error) for one in messages)


@lru_cache(maxsize=256)
def _shared(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for equal lists: there are a few releases of SDKs, and many processes."""
    return capabilities
