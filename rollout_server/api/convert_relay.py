"""What relays say, read: a relay is trusted to speak for its processes, and bounded like everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.delivery import read_position
from rollout_sdk.wire.relaying import Joined, News
from rollout_server.api.convert_delivery import acknowledgement_of, greeting_of, shown
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.v1 import delivery_pb2 as pb

NAME_LENGTH_MAX = 64
NEWS_MAX = 20_000
"""Processes that one message may speak of."""
AGO_MAX_MS = 366 * 86_400_000


def relay_of(hello: pb.RelayHello) -> tuple[str, Position | None]:
    """Return a relay's name, and what it holds.

    Raises:
        InvalidInput: it has no name.
    """
    if not hello.name.strip():
        raise InvalidInput([Problem("", "hello.name", "no_name", "a relay says its name", "set relay_name")])
    return shown(hello.name, NAME_LENGTH_MAX), read_position(hello.held) if hello.HasField("held") else None


def news_of(message: pb.RelayNews) -> News:
    """Read a piece of news.

    Raises:
        InvalidInput: there is too much in one message, or a process does not say which it is.
    """
    words = message.acknowledged
    count = len(message.joined) + sum(len(one.numbers) for one in words) + len(message.left) + len(message.lost)
    if count > NEWS_MAX or len(words) > NEWS_MAX:
        text = f"{count} processes in one message, and it takes {NEWS_MAX}"
        raise InvalidInput([Problem("", "news", "too_large", text, "use a relay of this release")])
    return News(
        joined=tuple(_joined(one) for one in message.joined),
        acknowledged=tuple((acknowledgement_of(one.acknowledge), tuple(one.numbers)) for one in words),
        left=tuple(message.left),
        lost=tuple(message.lost),
    )


def _joined(message: pb.RelayedProcess) -> Joined:
    return Joined(
        number=message.number,
        token_id=message.token_id,
        greeting=greeting_of(message.hello),
        connected_ms_ago=min(message.connected_ms_ago, AGO_MAX_MS),
        away_ms=min(message.away_ms, AGO_MAX_MS) if message.HasField("away_ms") else None,
    )
