"""What a newer server or a broken flag sends, over real gRPC: only that flag is quarantined, and the server is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout_sdk import Client, Context, Reason, Settings
from rollout_sdk.engine.model import Flag, FlagState, Leaf, Reach, Rule, Serve, Split, Weight
from rollout_sdk.wire.records import WireRecord
from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2
from tests.doubles.delivery_server import DeliveryServer, Stream, record, update
from tests.small_rules import boolean, broken, by_rollout, position, rollout

USER = Context("u-1")
LATER = b"\xa2\x1f\x05later"
"""A field that no release of today knows."""

LAUNCH = rollout("launch", "moved", Reach("canary", 1_000_000))
GOOD = {
    "healthy": record(boolean("healthy"), 1),
    "moved": record(by_rollout("moved", "launch"), 1),
    "launch": record(LAUNCH, 1),
    "bad": record(boolean("bad"), 1),
}


def uncompilable(key: str) -> Flag:
    """Well made, and of a regular expression that does not compile."""
    return boolean(key, rules=(Rule("r", Serve("off"), Leaf("country", "regex", "((((")),))


def unreadable(key: str) -> WireRecord:
    """A record whose payload is no flag."""
    message = ruleset_pb2.Record.FromString(GOOD[key].data)
    message.payload, message.version = b"\xff\xff\xff", 2
    return WireRecord(GOOD[key].kind, key, 2, message.SerializeToString(deterministic=True))


@pytest.fixture
def line() -> Iterator[tuple[Client, Stream]]:
    """A client that holds everything good, and the server's end of its stream."""
    with (
        DeliveryServer() as server,
        Client.of(Settings(server.target, backoff_base_ms=1, backoff_max_ms=5)) as client,
    ):
        stream = server.stream()
        stream.hello()
        stream.send(update(position(1), GOOD.values()))
        assert not stream.acknowledged().quarantined
        yield client, stream


def send(stream: Stream, revision: int, now: dict[str, WireRecord], *changed: WireRecord) -> set[str]:
    """Send a delta; return the flags that the client refused."""
    stream.send(update(position(revision), changed, base=revision - 1, holding=now.values()))
    return {refused.flag for refused in stream.acknowledged().quarantined}


BAD = {
    "an operator of a later release": record(broken(boolean("bad")), 2),
    "an expression that does not compile": record(uncompilable("bad"), 2),
    "a payload that is no flag": unreadable("bad"),
    "a law of a later release": record(
        boolean("bad", rules=(Rule("s", Split((Weight("on", 1_000_000),), law=99)),)), 2
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_only_the_bad_flag_is_quarantined_and_kill_acts_on_it(line: tuple[Client, Stream], bad: WireRecord) -> None:
    """Its last good rules stay, all others change, a kill turns it off, and good rules bring it back."""
    client, stream = line
    off = record(boolean("healthy", on=False), 2)
    now = {**GOOD, "bad": bad, "healthy": off}
    assert send(stream, 2, now, bad, off) == {"bad"}
    assert client.decide("bad", USER).value is True
    assert client.decide("healthy", USER).value is False
    assert client.status().quarantined.keys() == {"bad"}
    kill = record(FlagState("bad", killed=True), 3)
    now |= {"state": kill}
    assert send(stream, 3, now, kill) == {"bad"}
    assert client.decide("bad", USER).reason is Reason.KILLED
    unkill, mended = record(FlagState("bad"), 4), record(boolean("bad", on=False), 4)
    now |= {"state": unkill, "bad": mended}
    assert send(stream, 4, now, unkill, mended) == set()
    assert client.decide("bad", USER).value is False
    assert client.status().quarantined == {}


def test_a_rollback_acts_on_a_quarantined_flag(line: tuple[Client, Stream]) -> None:
    """Rollout states are records of their own: nobody is exposed any more, though the flag's rules cannot be read."""
    client, stream = line
    assert client.enabled("moved", USER) is True
    bad = record(broken(by_rollout("moved", "launch")), 2)
    assert send(stream, 2, {**GOOD, "moved": bad}, bad) == {"moved"}
    assert client.enabled("moved", USER) is True
    back = record(replace(LAUNCH, reaches=()), 3)
    assert send(stream, 3, {**GOOD, "moved": bad, "launch": back}, back) == {"moved"}
    assert client.enabled("moved", USER) is False
    assert client.decide("healthy", USER).value is True


def test_what_a_newer_server_says_beside_is_passed_over(line: tuple[Client, Stream]) -> None:
    """A kind of message, fields of messages and of records, and a kind of record that nobody knew."""
    client, stream = line
    stream.send(delivery_pb2.WatchResponse.FromString(LATER))
    grown = ruleset_pb2.Record.FromString(record(boolean("healthy", on=False), 2).data)
    grown.payload += LATER
    grown.MergeFromString(LATER)
    later = WireRecord(GOOD["healthy"].kind, "healthy", 2, grown.SerializeToString(deterministic=True))
    stranger = ruleset_pb2.Record(key="dream", version=2, payload=b"?")
    stranger.kind = 99  # type: ignore[assignment] # of a later release
    strange = WireRecord(99, "dream", 2, stranger.SerializeToString(deterministic=True))
    message = update(position(2), [later, strange], base=1, holding=[*GOOD.values(), later, strange][1:])
    message.MergeFromString(LATER)
    stream.send(message)
    assert not stream.acknowledged().quarantined
    assert client.enabled("healthy", USER, default=True) is False
    assert client.status().connected
