"""What a relay and its upstream say to each other survives the wire."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Greeting, Part, Reset
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.relaying import (
    Joined,
    News,
    TokenHash,
    Tokens,
    Told,
    Update,
    read_relay_file,
    read_told,
    write_news,
    write_relay_file,
    write_relay_hello,
    write_tokens,
)
from rollout_sdk.wire.snapshot import pack
from rollout_sdk.wire.v1 import delivery_pb2 as pb

HERE = Position("e1", 7, b"d7")
TOKENS = Tokens("production", (TokenHash("0a1b2c3d", "ff" * 32, 99),))


def watched(told: Told) -> bytes:
    """What a server says to processes, as the bytes that processes get."""
    position = write_position(HERE)
    match told:
        case Reset(reason):
            return pb.WatchResponse(reset=pb.Reset(reason=reason)).SerializeToString()
        case Drain(within_ms):
            return pb.WatchResponse(drain=pb.Drain(reconnect_within_ms=within_ms)).SerializeToString()
        case Bookmark(_, digest, within_ms):
            said = pb.Bookmark(position=position, ruleset_digest=digest, reconnect_within_ms=within_ms)
            return pb.WatchResponse(bookmark=said).SerializeToString()
        case Update(part, at_ms):
            update = pb.Update(
                snapshot=part.snapshot,
                base_revision=part.base_revision,
                position=position,
                ruleset_digest=part.ruleset_digest,
                committed_at_ms=at_ms,
            )
            return pb.WatchResponse(update=update).SerializeToString()
        case Tokens():
            raise AssertionError("processes hear of no tokens")


WHOLE = Part(snapshot=True, base_revision=0, position=HERE, ruleset_digest=b"r")


@pytest.mark.parametrize("told", [Reset("why"), Drain(5), Bookmark(HERE, b"r", 9), Update(WHOLE, 42)])
def test_what_processes_hear_is_what_relays_hear(told: Told) -> None:
    """The same bytes, so that they are written once."""
    assert read_told(watched(told)) == told


def test_tokens_travel_as_hashes() -> None:
    assert read_told(write_tokens(TOKENS)) == TOKENS


def test_what_a_later_release_says_is_passed_over() -> None:
    assert read_told(b"\xfa\x01\x02hi") is None


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(WireError):
        read_told(b"\xff\xff\xff")
    with pytest.raises(WireError):
        read_relay_file(b"\xff\xff\xff")


def test_a_hello_says_what_is_held() -> None:
    """Nothing is no position."""
    first = pb.RelayRequest.FromString(write_relay_hello("eu", HERE)).hello
    assert (first.name, first.held.revision) == ("eu", 7)
    assert not pb.RelayRequest.FromString(write_relay_hello("eu", None)).hello.HasField("held")


def test_news_name_processes_by_number() -> None:
    """A word that many say travels once."""
    here = Joined(1, "0a1b2c3d", Greeting("i-1", "1", ("op:in",), "web", "h", 7, HERE), 30)
    gone = Joined(2, "0a1b2c3d", Greeting("i-2", "1", (), "web", "h", 8), 50, away_ms=0)
    word = Acknowledgement(HERE, b"r")
    message = pb.RelayRequest.FromString(write_news(News((here, gone), ((word, (1, 3)),), (4,), (5,)))).news
    assert [one.HasField("away_ms") for one in message.joined] == [False, True]
    assert (message.joined[0].hello.instance_id, message.joined[0].hello.held.revision) == ("i-1", 7)
    assert list(message.acknowledged[0].numbers) == [1, 3]
    assert message.acknowledged[0].acknowledge.position.revision == 7
    assert (list(message.left), list(message.lost)) == ([4], [5])


def test_a_relays_file_holds_ruleset_and_tokens() -> None:
    snapshot, tokens, at_ms = read_relay_file(
        write_relay_file(pack(HERE, (), (), environment="production"), TOKENS, 42)
    )
    assert (snapshot.position, snapshot.environment, tokens, at_ms) == (HERE, "production", TOKENS, 42)
