"""What a relay and its upstream say to each other, beside what every process hears. See `delivery.proto`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf.message import DecodeError

from rollout_sdk.wire.delivery import read_response, write_acknowledgement, write_greeting, write_position
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.snapshot import unpack
from rollout_sdk.wire.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Greeting, Reset
    from rollout_sdk.wire.snapshot import Snapshot

ADMITTED: Final = ("rollout-admitted", "1")
"""Initial metadata of a stream that was let in. Who is refused gets none; who writes all the same may not hear why."""


@dataclass(frozen=True, slots=True)
class TokenHash:
    """A token as a relay knows it.

    Attributes:
        id: the visible part.
        hash: SHA-256 of the whole, lowercase hex.
        expires_at_ms: Unix epoch, UTC.
    """

    id: str
    hash: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Who may come to a relay of this environment, from now on."""

    environment: str
    tokens: tuple[TokenHash, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """A part of a snapshot or of a delta.

    Attributes:
        committed_at_ms: when its revision was, by the clock of the server that wrote it; 0 where nobody knows.
    """

    part: Part
    committed_at_ms: int


Told: TypeAlias = "Tokens | Update | Reset | Bookmark | Drain"
"""What a relay is told."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A process behind a relay.

    Attributes:
        number: stands for it in the rest of the stream.
        token_id: what it came with.
        away_ms: since it was heard of last; None while it is connected.
        behind: name of the relay between it and the server that tells of it; empty where there is none.
    """

    number: int
    token_id: str
    greeting: Greeting
    connected_ms_ago: int
    away_ms: int | None = None
    behind: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """What changed among the processes behind a relay. Each of the four may speak of those that joined before it.

    Attributes:
        acknowledged: a word, and the numbers of all that said it.
        left: who said goodbye.
        lost: who went without.
    """

    joined: tuple[Joined, ...] = ()
    acknowledged: tuple[tuple[Acknowledgement, tuple[int, ...]], ...] = ()
    left: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


def write_relay_hello(name: str, held: Position | None) -> bytes:
    """Return the first message of a relay."""
    hello = pb.RelayHello(name=name, held=None if held is None else write_position(held))
    return pb.RelayRequest(hello=hello).SerializeToString()


def write_news(news: News) -> bytes:
    """Return the message of a piece of news."""
    return pb.RelayRequest(news=news_message(news)).SerializeToString()


def news_message(news: News) -> pb.RelayNews:
    """Return a piece of news as a part of some message."""
    message = pb.RelayNews(left=news.left, lost=news.lost)
    for one in news.joined:
        message.joined.add(
            number=one.number,
            token_id=one.token_id,
            hello=write_greeting(one.greeting).hello,
            connected_ms_ago=one.connected_ms_ago,
            away_ms=one.away_ms,
            behind=one.behind,
        )
    for word, numbers in news.acknowledged:
        message.acknowledged.add(acknowledge=write_acknowledgement(word).acknowledge, numbers=numbers)
    return message


def write_tokens(tokens: Tokens) -> bytes:
    """Return the message that says who may come in."""
    return pb.RelayResponse(tokens=_tokens_message(tokens)).SerializeToString()


def read_told(data: bytes) -> Told | None:
    """Return what a relay was told; None for a message that a later release invented.

    Raises:
        WireError: it is no message.
    """
    try:
        response = pb.RelayResponse.FromString(data)
    except DecodeError as error:
        raise WireError(f"this is no message to a relay: {error}") from None
    if response.HasField("tokens"):
        return _read_tokens(response.tokens)
    message = read_response(response)
    return Update(message, response.update.committed_at_ms) if isinstance(message, Part) else message


def write_relay_file(ruleset: bytes, tokens: Tokens, committed_at_ms: int) -> bytes:
    """Return what a relay keeps: a packed ruleset, and who may come in."""
    file = pb.RelayFile(ruleset=ruleset, tokens=_tokens_message(tokens), committed_at_ms=committed_at_ms)
    return file.SerializeToString()


def read_relay_file(data: bytes) -> tuple[Snapshot, Tokens, int]:
    """Read it again: ruleset, tokens, and when the ruleset was committed.

    Raises:
        WireError: it is no such file, or damaged.
    """
    try:
        file = pb.RelayFile.FromString(data)
    except DecodeError as error:
        raise WireError(f"this is not a relay's file: {error}") from None
    return unpack(file.ruleset), _read_tokens(file.tokens), file.committed_at_ms


def _tokens_message(tokens: Tokens) -> pb.Tokens:
    hashes = [pb.TokenHash(id=one.id, hash=one.hash, expires_at_ms=one.expires_at_ms) for one in tokens.tokens]
    return pb.Tokens(environment=tokens.environment, tokens=hashes)


def _read_tokens(message: pb.Tokens) -> Tokens:
    hashes = tuple(TokenHash(one.id, one.hash, one.expires_at_ms) for one in message.tokens)
    return Tokens(message.environment, hashes)
