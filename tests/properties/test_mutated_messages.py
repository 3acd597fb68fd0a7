"""Promise 3, a whole message at a time: whatever arrives is put in force as it was sent, or not at all.

Bytes of a message are flipped, cut, inserted, repeated; fields of a later schema are added. The digest over all records
decides: no message with other records in it than were sent can come into force.
"""

# ruff: noqa: S311 - a seed that fails must fail again
from __future__ import annotations

import random
from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError

from rollout_sdk.cache import Cache
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.model import Cohort, Flag, FlagState, Leaf, Origin, Rule, Serve
from rollout_sdk.runtime import Runtime
from rollout_sdk.settings import Settings
from rollout_sdk.wire.delivery import read_response
from rollout_sdk.wire.messages import Part, Resync
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import delivery_pb2
from tests.doubles.delivery_server import bookmark, drain, record, update
from tests.small_rules import boolean, broken, cohort, for_cohort, full, position

SHORT = 3_000
SOAK = 100_000

STAFF = cohort("staff", "u-1", "u-2")
RESOURCES: tuple[Flag | Cohort | FlagState, ...] = (
    full("big"),
    boolean("parent"),
    cohort("barred", "u-9"),
    STAFF,
    for_cohort("by-cohort", "staff"),
    boolean("plain", rules=(Rule("th", Serve("off"), Leaf("country", "in", ("TH",))),)),
    boolean("killed"),
    FlagState("killed", killed=True),
)
RECORDS = tuple(record(resource, 1) for resource in RESOURCES)
CHUNKS = tuple(
    (chunk.digest, chunk.data)
    for resource in RESOURCES
    if isinstance(resource, Cohort)
    for chunk in resource.include.chunks
)
CHANGED = (record(boolean("parent", on=False), 2),)
AFTER = (*RECORDS[:1], *CHANGED, *RECORDS[2:])
SNAPSHOT = update(position(1), RECORDS, chunks=CHUNKS)
DELTA = update(position(2), CHANGED, base=1, holding=AFTER)
MESSAGES = (SNAPSHOT, DELTA, bookmark(position(3), RECORDS), drain(5))
CONTEXTS = (Context(), Context("u-1", country="TH"), Context.of({"user": "u-9", "tenant": "t-1"}, {"country": "DE"}))
LATER = b"\xa2\x1f\x05later"
"""A field that no release of today knows."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = rng.randbytes(rng.randint(1, 4))
            case 3:
                changed[place:place] = changed[place : place + rng.randint(1, 60)]
            case 4:
                del changed[place : place + rng.randint(1, 8)]
            case _:
                changed += LATER
    return bytes(changed)


def decisions(runtime: Runtime) -> list[str]:
    held = runtime._cache.held if runtime._cache else None
    assert held is not None
    decider = held.compiled.bind(Origin())
    return [
        decision_json(decider.decide(resource.key, context))
        for resource in RESOURCES
        if isinstance(resource, Flag)
        for context in CONTEXTS
    ]


def served() -> Runtime:
    """A client's life without threads, at revision 1."""
    runtime = Runtime(Settings())
    runtime._cache = Cache()
    take(runtime, SNAPSHOT.SerializeToString())
    return runtime


def take(runtime: Runtime, data: bytes) -> bool:
    """Receive bytes as the stream does; return whether they were put in force."""
    try:
        message = read_response(delivery_pb2.WatchResponse.FromString(data))
        if message is None:
            return False
        runtime.receive(message)
    except (DecodeError, WireError, Resync, UnicodeDecodeError):
        return False
    return isinstance(message, Part)


def run(count: int, start: int = 0) -> None:
    before = decisions(served())
    changed = served()
    take(changed, DELTA.SerializeToString())
    after = decisions(changed)
    assert before != after
    for seed in range(start, start + count):
        rng = random.Random(seed)
        runtime = served()
        take(runtime, mutated(rng.choice(MESSAGES).SerializeToString(), rng))
        assert decisions(runtime) in (before, after), seed
        runtime._ready_cache().begin()
        mended = replace(position(1), epoch="mended")
        assert take(runtime, update(mended, RECORDS, chunks=CHUNKS).SerializeToString()), seed
        assert decisions(runtime) == before, seed


def test_a_mutated_message_is_in_force_as_it_was_sent_or_not_at_all() -> None:
    """No exception that the stream does not know, no other rules, and the next good message mends everything."""
    run(SHORT)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_mutated_messages() -> None:
    """The promised number."""
    run(SOAK, start=SHORT)


def test_what_a_newer_server_says_beside_is_not_heard() -> None:
    """Fields and kinds of messages of a later schema change nothing; a flag that needs them is quarantined alone."""
    runtime = served()
    before = decisions(runtime)
    assert read_response(delivery_pb2.WatchResponse.FromString(LATER)) is None
    newer = (*RECORDS[:1], record(broken(boolean("parent")), 2), *RECORDS[2:])
    message = update(position(2), newer[1:2], base=1, holding=newer)
    message.update.MergeFromString(LATER)
    assert take(runtime, message.SerializeToString() + LATER)
    assert decisions(runtime) == before
    assert runtime.status().quarantined.keys() == {"parent"}
