"""A journal in memory: a real class that keeps every promise of the port but durability."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from rollout_sdk.engine.model import Position
from rollout_server.domain import checkpoint as checkpoints
from rollout_server.domain.checkpoint import Checkpoint, Sealed
from rollout_server.domain.entries import (
    Head,
    Line,
    check_after,
    check_ground,
    check_reads,
    commit,
    follow,
    outline,
    read_entry,
)
from rollout_server.domain.files import canonical_json, write_stored
from rollout_server.domain.history import state_at
from rollout_server.domain.journal import Draft, Entry, State, fold
from rollout_server.domain.resources import ResourceId
from rollout_server.domain.verification import StoredHistory, StoredResource, Verification, verify_history
from rollout_server.errors import Conflict, Unavailable
from rollout_server.ports import Clock
from tests.doubles.fake_clock import FakeClock

KEY = bytes(range(32))
IDEMPOTENCY_KEEP_MS = 7 * 86_400_000


class MemoryJournal:
    """Keeps lines, as a store would. `is_away = True` makes the store fail until it is set back."""

    def __init__(self, environment: str = "production", clock: Clock | None = None, key: bytes = KEY) -> None:
        self._environment = environment
        self._clock = clock or FakeClock()
        self._key = key
        self._epoch = secrets.token_hex(8)
        self._loaded_epoch: str | None = None
        self._lines: list[Line] = []
        self._sealed: Sealed | None = None
        self._base = Head()
        self._state = State(Position(self._epoch, 0, self._base.digest))
        self._keys: dict[str, tuple[str, Line, int]] = {}
        self._changed = asyncio.Condition()
        self.newest_fence = 0
        self._is_closed = False
        self.is_away = False

    @property
    def environment(self) -> str:
        return self._environment

    async def load(self) -> State:
        self._check()
        self._loaded_epoch = self._epoch
        return self._state

    async def commit(self, draft: Draft) -> Entry:
        self._check()
        if known := await self.recall(draft.idempotency_key, draft.fingerprint):
            return known
        check_ground(draft, self._epoch, self.newest_fence)
        check_reads(draft.reads, {name: resource.version for name, resource in self._state.resources.items()})
        entry, line = commit(self._head(), draft)
        read_entry(line)  # what a store could not read back must not be taken
        self._lines.append(line)
        self._state = fold(self._state, [entry])
        if draft.idempotency_key:
            forgotten_ms = self._clock.now_ms() - IDEMPOTENCY_KEEP_MS
            self._keys = {key: known for key, known in self._keys.items() if known[2] > forgotten_ms}
            self._keys[draft.idempotency_key] = (draft.fingerprint, line, self._clock.now_ms())
        await self._wake()
        return entry

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        self._check()
        first, line, at_ms = self._keys.get(idempotency_key, ("", None, 0))
        if line is None or at_ms <= self._clock.now_ms() - IDEMPOTENCY_KEEP_MS:
            return None
        if first != fingerprint:
            raise Conflict("idempotency key", f"the request of revision {line.revision}", "another request")
        return read_entry(line)

    async def entries(self, after: int, limit: int) -> tuple[Entry, ...]:
        self._check()
        check_after(after, self._base.revision, self._state.position.revision)
        start = after - self._base.revision
        return tuple(map(read_entry, self._lines[start : start + max(limit, 0)]))

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        self._check()
        found = [
            read_entry(line)
            for line in reversed(self._lines)
            if (not before or line.revision < before)
            and (resource is None or resource in {name for name, _ in outline(line).changes})
        ]
        return tuple(found[: max(limit, 0)])

    async def tail(self, after: int) -> AsyncIterator[Entry]:
        epoch = self._loaded_epoch or self._epoch
        while not self._is_closed:
            if self._epoch != epoch:
                raise Conflict("epoch", epoch, self._epoch, "load the state again")
            found = await self.entries(after, 256)
            for entry in found:
                yield entry
                after = entry.revision
            if not found:
                async with self._changed:
                    if self._state.position.revision == after and self._epoch == epoch and not self._is_closed:
                        await self._changed.wait()

    async def state_at(self, *, revision: int | None = None, at_ms: int | None = None) -> State:
        return state_at(await self.checkpoint(), map(read_entry, self._lines), revision=revision, at_ms=at_ms)

    async def checkpoint(self) -> Checkpoint:
        self._check()
        return checkpoints.read_checkpoint(self._sealed, self._environment, self._key, self._epoch)

    async def verify(self, expected_head: Position | None) -> Verification:
        self._check()
        stored = StoredHistory(
            self._environment,
            self._key,
            self._state.position,
            self._sealed,
            self._lines,
            [
                (line.revision, name)
                for line in self._lines
                for name in sorted((name for name, _ in outline(line).changes), key=lambda n: (n.kind.value, n.key))
            ],
            [StoredResource(name, canonical_json(write_stored(r))) for name, r in self._state.resources.items()],
        )
        return verify_history(stored, expected_head)

    async def compact(self, before_ms: int) -> int:
        self._check()
        head, trees = checkpoints.unseal(self._sealed, self._environment, self._key)
        dropped = [line for line in self._lines if line.at_ms < before_ms]
        for line in dropped:
            head = follow(head, line)
            for name, after in outline(line).changes:
                trees.pop(name, None)
                if after is not None:
                    trees[name] = after
        if dropped:
            self._sealed = checkpoints.seal(self._environment, head, trees, self._key)
            self._base, self._lines = head, self._lines[len(dropped) :]
        return len(dropped)

    async def confirm(self, position: Position) -> None:
        self._check()

    async def renew_epoch(self) -> Position:
        self._check()
        self._epoch = secrets.token_hex(8)
        position = Position(self._epoch, self._state.position.revision, self._state.position.digest)
        self._state = State(position, self._state.resources, self._state.at_ms)
        await self._wake()
        return position

    async def fence(self) -> int:
        self._check()
        return self.newest_fence

    async def raise_fence(self) -> int:
        self._check()
        self.newest_fence += 1
        return self.newest_fence

    async def backup(self, target: Path) -> None:
        self._check()
        base = None if self._sealed is None else [self._sealed.body.hex(), self._sealed.signature.hex()]
        keys = {key: [fingerprint, _write(line), at_ms] for key, (fingerprint, line, at_ms) in self._keys.items()}
        text = json.dumps([self._environment, base, list(map(_write, self._lines)), keys])
        await asyncio.to_thread(target.write_text, text, encoding="ascii")

    @classmethod
    def restored(cls, source: Path, clock: Clock) -> MemoryJournal:
        """Open what `backup` wrote: a new epoch."""
        environment, base, lines, keys = json.loads(source.read_text(encoding="ascii"))
        made = cls(environment, clock)
        if base is not None:
            made._sealed = Sealed(*map(bytes.fromhex, base))
            made._base, _ = checkpoints.unseal(made._sealed, environment, made._key)
        made._lines = list(map(_read, lines))
        made._keys = {key: (fingerprint, _read(line), at_ms) for key, (fingerprint, line, at_ms) in keys.items()}
        checkpoint = checkpoints.read_checkpoint(made._sealed, environment, made._key, made._epoch)
        made._state = fold(checkpoint.state, map(read_entry, made._lines))
        return made

    async def close(self) -> None:
        self._is_closed = True
        await self._wake()

    def _head(self) -> Head:
        return Head(self._state.position.revision, self._state.position.digest, self._state.at_ms)

    def _check(self) -> None:
        if self._is_closed:
            raise Unavailable("journal", "it was closed")
        if self.is_away:
            raise Unavailable("journal", "the store is away")

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _write(line: Line) -> list[int | str]:
    return [line.revision, line.at_ms, line.digest.hex(), line.body.hex()]


def _read(row: Sequence[Any]) -> Line:
    revision, at_ms, digest, body = row
    return Line(revision, at_ms, bytes.fromhex(digest), bytes.fromhex(body))
