"""Any sequence of use, against a model that a reader can check by eye: a journal is a list of dictionaries."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rollout_sdk.engine.model import Position
from rollout_server.domain.history import state_at
from rollout_server.domain.journal import Entry
from rollout_server.domain.resources import ResourceId
from rollout_server.errors import Conflict, NotFound
from rollout_server.ports import Journal
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.journal_world import draft, flag, flag_id, sqlite_store

T = TypeVar("T")

KEYS = st.sampled_from(["a", "b", "c", "d"])
WEEK_MS = 7 * 86_400_000
Written = dict[str, str | None]


@dataclass
class Model:
    """All that a journal is: what was written, when, and which requests are remembered."""

    writes: list[tuple[Written, int, bytes]]
    requests: dict[str, tuple[str, int, int]]
    oldest: int = 0

    def versions(self, upto: int | None = None) -> dict[str, tuple[int, str]]:
        """Version and default variant of each flag."""
        found: dict[str, tuple[int, str]] = {}
        for revision, (written, _, _) in enumerate(self.writes[:upto], start=1):
            for key, default in written.items():
                found.pop(key, None)
                if default is not None:
                    found[key] = (revision, default)
        return found


class JournalMachine(RuleBasedStateMachine):
    """Commits, stale reads, repeats, clock steps, compaction, epochs, restarts and restores, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model = Model([], {})
        self.copies = 0
        self.known_head: Position | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def path(self) -> Path:
        return Path(self.directory.name) / f"store-{self.copies}.db"

    async def made(self) -> Journal:
        raise AssertionError("each store has its own")

    async def restored(self, target: Path) -> Journal:
        raise AssertionError("each store has its own")

    @initialize()
    def start(self) -> None:
        self.journal = self.run(self.made())
        self.epoch = self.run(self.journal.load()).position.epoch

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.runner.close()
        self.directory.cleanup()

    @rule(
        written=st.dictionaries(KEYS, st.sampled_from(["on", "off", None]), min_size=1),
        read=st.sets(KEYS),
        stale=st.booleans(),
        request=st.sampled_from(["", "", "r1", "r2"]),
        fingerprint=st.sampled_from(["f1", "f2"]),
    )
    def commit(self, written: Written, read: set[str], stale: bool, request: str, fingerprint: str) -> None:  # noqa: FBT001
        now_ms = self.clock.now_ms()
        versions = self.model.versions()
        reads = {flag_id(key): versions.get(key, (0, ""))[0] for key in read}
        if stale and reads:
            reads[min(reads)] += 1
        resources = [flag_id(key) if default is None else flag(key, default) for key, default in written.items()]
        item = draft(
            *resources, reads=reads, at_ms=now_ms, idempotency_key=request, fingerprint=fingerprint if request else ""
        )
        first, revision, at_ms = self.model.requests.get(request, ("", 0, 0))
        is_remembered = bool(request) and bool(first) and at_ms > now_ms - WEEK_MS
        if is_remembered and first == fingerprint:
            assert self.run(self.journal.commit(item)).revision == revision
        elif is_remembered or (stale and reads):
            with pytest.raises(Conflict):
                self.run(self.journal.commit(item))
        else:
            self.accept(self.run(self.journal.commit(item)), written, request, fingerprint)

    def accept(self, entry: Entry, written: Written, request: str, fingerprint: str) -> None:
        latest_ms = self.model.writes[-1][1] if self.model.writes else 0
        self.model.writes.append((written, max(self.clock.now_ms(), latest_ms), entry.digest))
        assert (entry.revision, entry.at_ms) == (len(self.model.writes), self.model.writes[-1][1])
        if request:
            requests, forgotten_ms = self.model.requests, self.clock.now_ms() - WEEK_MS
            self.model.requests = {key: known for key, known in requests.items() if known[2] > forgotten_ms}
            self.model.requests[request] = (fingerprint, entry.revision, self.clock.now_ms())

    @rule(by_ms=st.sampled_from([-WEEK_MS, -1, 1, 1000, WEEK_MS]))
    def step_clock(self, by_ms: int) -> None:
        self.clock.step(by_ms)

    @precondition(lambda self: self.model.writes)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        before_ms = data.draw(st.sampled_from([at_ms for _, at_ms, _ in self.model.writes])) + data.draw(
            st.integers(0, 1)
        )
        kept = [n for n, (_, at_ms, _) in enumerate(self.model.writes) if at_ms >= before_ms or n < self.model.oldest]
        expected = len(self.model.writes) - len(kept)
        assert self.run(self.journal.compact(before_ms)) == expected
        self.model.oldest += expected

    @rule()
    def renew_epoch(self) -> None:
        position = self.run(self.journal.renew_epoch())
        assert position.epoch != self.epoch
        self.epoch = position.epoch

    @rule()
    def restore_a_backup(self) -> None:
        """The copy is a new epoch of the same history, and life goes on with it."""
        target = self.path().with_suffix(".backup")
        self.run(self.journal.backup(target))
        self.run(self.journal.close())
        self.copies += 1
        self.journal = self.run(self.restored(target))
        epoch = self.run(self.journal.load()).position.epoch
        assert epoch != self.epoch
        self.epoch = epoch

    @rule()
    def keep_head(self) -> None:
        self.known_head = self.run(self.journal.load()).position

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(self.model.oldest, len(self.model.writes)))
        checkpoint = self.run(self.journal.checkpoint())
        entries = self.run(self.journal.entries(self.model.oldest, 10_000))
        state = state_at(checkpoint, entries, revision=revision)
        assert self.seen(state.resources) == self.model.versions(revision)
        assert self.run(self.journal.state_at(revision=revision)) == state
        if self.model.oldest > 0:
            with pytest.raises(NotFound):
                self.run(self.journal.entries(self.model.oldest - 1, 1))

    @rule(key=KEYS)
    def history(self, key: str) -> None:
        found = self.run(self.journal.history(flag_id(key), 0, 10_000))
        wanted = [
            revision
            for revision, (written, _, _) in enumerate(self.model.writes, start=1)
            if key in written and revision > self.model.oldest
        ]
        assert [entry.revision for entry in reversed(found)] == wanted

    @rule()
    def verify(self) -> None:
        found = self.run(self.journal.verify(None))
        assert (found.intact, found.problem) == (True, "")
        assert (found.entries, found.oldest_revision) == (len(self.model.writes) - self.model.oldest, self.model.oldest)
        if self.known_head is not None and self.known_head.revision >= self.model.oldest:
            assert self.run(self.journal.verify(self.known_head)).intact

    @invariant()
    def the_state_is_the_model(self) -> None:
        state = self.run(self.journal.load())
        assert (state.position.epoch, state.position.revision) == (self.epoch, len(self.model.writes))
        assert self.seen(state.resources) == self.model.versions()
        if self.model.writes:
            assert state.position.digest == self.model.writes[-1][2]

    @staticmethod
    def seen(resources: Any) -> dict[str, tuple[int, str]]:
        found: dict[str, tuple[int, str]] = {}
        for name, resource in resources.items():
            assert isinstance(name, ResourceId)
            found[name.key] = (resource.version, resource.spec.default)
        return found


class MemoryMachine(JournalMachine):
    async def made(self) -> Journal:
        return MemoryJournal(clock=self.clock)

    async def restored(self, target: Path) -> Journal:
        return MemoryJournal.restored(target, self.clock)


class SqliteMachine(JournalMachine):
    async def made(self) -> Journal:
        return sqlite_store(self.path(), self.clock).journal("production")

    async def restored(self, target: Path) -> Journal:
        await asyncio.to_thread(target.rename, self.path())
        return await self.made()

    @rule()
    def restart(self) -> None:
        """Closing and opening again changes nothing, the epoch included."""
        self.run(self.journal.close())
        self.journal = self.run(self.made())


MACHINES = [MemoryMachine, SqliteMachine]


def drive(machine: type[JournalMachine], examples: int, steps: int) -> None:
    """Run the machine; slowness is no failure."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_any_sequence_behaves_as_the_model(machine: type[JournalMachine]) -> None:
    """Everything that can be done to a journal, in any order."""
    drive(machine, examples=20, steps=30)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", MACHINES)
def test_any_long_sequence_behaves_as_the_model(machine: type[JournalMachine]) -> None:
    """The same, longer and more often."""
    drive(machine, examples=150, steps=60)
