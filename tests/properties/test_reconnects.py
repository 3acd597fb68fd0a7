"""Promises 4 and 5: any number of reconnects, among replicas that lag, restores and drops in the middle of updates.

The cache is the real one; the replicas are a history from which each serves what it has, as the contract says.
"""

# ruff: noqa: S311 - a seed that fails must fail again
from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rollout_sdk.cache import Cache
from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Bookmark, Part, Resync
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean

if TYPE_CHECKING:
    from rollout_sdk.wire.records import WireRecord

SHORT = 1_000
SOAK = 10_000
FLAGS = 6
REPLICAS = 3


def at(epoch: int, revision: int) -> Position:
    return Position(f"epoch-{epoch}", revision, f"{epoch}:{revision}".encode().ljust(32, b".")[:32])


@dataclass
class History:
    """All that was ever committed in one epoch: at each revision, every record."""

    epoch: int
    states: list[dict[str, WireRecord]] = field(default_factory=lambda: [{}])

    def commit(self, rng: random.Random) -> None:
        """Change one flag, or remove it."""
        now, revision = dict(self.states[-1]), len(self.states)
        key = f"flag-{rng.randrange(FLAGS)}"
        if key in now and rng.random() < 0.2:
            del now[key]
        else:
            now[key] = record(boolean(key, on=rng.random() < 0.5), revision)
        self.states.append(now)

    def says(self, replica_at: int, held: Position | None, rng: random.Random) -> list[Part | Bookmark]:
        """Return what a replica at a revision tells a client that holds a position."""
        there, now = at(self.epoch, replica_at), self.states[replica_at]
        digest = digest_of(now.values())
        if held is not None and held == at(self.epoch, held.revision) and held.revision <= replica_at:
            before = self.states[held.revision]
            if held.revision == replica_at:
                return [Bookmark(there, digest)]
            changed = [each for key, each in now.items() if before.get(key) != each]
            removed = tuple((1, key) for key in before if key not in now)
            return _cut(Part(False, held.revision, there, digest, (), tuple(changed), removed), rng)
        return _cut(Part(True, 0, there, digest, (), tuple(now.values())), rng)


def _cut(whole: Part, rng: random.Random) -> list[Part | Bookmark]:
    """Cut an update into parts, as a server does with large ones."""
    parts: list[Part | Bookmark] = []
    records, size = whole.records, rng.randint(1, 4)
    firsts = list(range(0, max(1, len(records)), size))
    for first in firsts:
        is_last = first == firsts[-1]
        removed = whole.removed if is_last else ()
        piece = records[first : first + size]
        parts.append(
            Part(
                whole.snapshot,
                whole.base_revision,
                whole.position,
                whole.ruleset_digest,
                (),
                piece,
                removed,
                not is_last,
            )
        )
    return parts


def hear(cache: Cache, said: list[Part | Bookmark], rng: random.Random) -> None:
    """Receive what is said, or the beginning of it: the line may break at any message."""
    for message in said:
        if rng.random() < 0.1:
            return
        try:
            if isinstance(message, Part):
                cache.apply(message)
            else:
                cache.confirm(message)
        except Resync:
            return


def run(reconnects: int, seed: int) -> None:
    rng = random.Random(seed)
    cache, history = Cache(), History(1)
    highest = 0
    for _ in range(reconnects):
        for _ in range(rng.randrange(3)):
            history.commit(rng)
        if rng.random() < 0.01:  # restored from a backup: another epoch, which begins in the past
            kept = history.states[: rng.randint(1, len(history.states))]
            history = History(history.epoch + 1, kept[-50:])
            highest = 0
        newest = len(history.states) - 1
        replica_at = max(0, newest - rng.choice((0, 0, 0, 1, 5, 40)) * rng.randrange(REPLICAS))
        cache.begin()
        hear(cache, history.says(replica_at, cache.resumes_from, rng), rng)
        held = cache.held
        if held is not None and held.position.epoch == f"epoch-{history.epoch}":
            assert held.position.revision >= highest, "it went back"
            highest = held.position.revision
            expected = history.states[held.position.revision]
            assert held.digest.to_bytes() == digest_of(expected.values())
            assert held.compiled.flags.keys() == expected.keys()
    history.commit(rng)
    for _ in range(100):
        cache.begin()
        hear(cache, history.says(len(history.states) - 1, cache.resumes_from, rng), rng)
        if cache.held is not None and cache.held.position == at(history.epoch, len(history.states) - 1):
            return
    raise AssertionError("it never arrived at the present")


def test_it_never_goes_back_and_arrives() -> None:
    """Within an epoch the revision only rises; each state is the server's; and the end is the present."""
    run(SHORT, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_ten_thousand_reconnects_of_ten_clients() -> None:
    """The promised number, with ten histories."""
    for seed in range(10):
        run(SOAK, seed)
