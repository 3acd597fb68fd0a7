"""The journal in Redis: every commit is one script, every reader tails one stream (docs/adr/0019)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from rollout_server.adapters import redis_backup, redis_compaction, redis_past, redis_tail
from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_link import InDoubt
from rollout_server.adapters.redis_refusals import DAMAGED_HINT
from rollout_server.domain.entries import Head, check_after, check_ground, check_reads, commit, read_entry
from rollout_server.errors import Conflict, Corrupt, Unavailable, Unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from rollout_sdk.engine.model import Position
    from rollout_server.adapters.redis_ground import Ground
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.entries import Line
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.resources import ResourceId
    from rollout_server.domain.verification import Verification

IDEMPOTENCY_KEEP_MS = 7 * 86_400_000
VOID_KEEP_MS = 86_400_000
"""How long a commit whose answer was lost is kept from running after all. No connection lives that long unheard."""

RACES_MAX = 200
_SETTLE_PAUSES_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


class RedisJournal:
    """One environment's log. See `ports.Journal` for what each method promises."""

    def __init__(self, ground: Ground, whole: Sequence[Ground], on_close: Callable[[], Awaitable[None]]) -> None:
        """Serve one environment of a store.

        Args:
            ground: its place.
            whole: of every environment of the store: what a backup holds.
            on_close: called when it was closed.
        """
        self.ground = ground
        self.link = ground.link
        self._whole = whole
        self._on_close = on_close
        self._writing = asyncio.Lock()

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.ground.environment

    async def load(self) -> State:
        """Return the state at the head, checked against the chain's end."""
        self.ground.check_open()
        known = self.ground.known
        answer = await self.link.ask(scripts.LOAD, self.ground.key, *([known.revision] if known else []))
        now, state = rows.read_state(answer, self.environment)
        if known is None or now.epoch != self.ground.epoch or now.is_after(known, now.digests[0]):
            if self.ground.known is known or now.epoch != self.ground.epoch:
                self.ground.known = now.head  # else a commit was quicker than this answer
            self.ground.lost.clear()
        self.ground.epoch = now.epoch
        return state

    async def commit(self, draft: Draft) -> Entry:
        """Write one entry; return once Redis has it as safely as it is set to, and the replicas that were asked for."""
        for _ in range(RACES_MAX):
            attempt, is_confirmed = secrets.token_hex(8), True
            async with self._writing:  # each entry is made upon the one before it
                ground = self.ground.known or (await self.ground.standing()).head
                entry, line = commit(ground, draft)
                try:
                    answer, is_confirmed = await self._send(attempt, draft, entry, line, ground)
                    made = self._judge(draft, entry, answer, ground)
                    doubt = None
                except InDoubt as error:
                    made, doubt = None, error
            if doubt is not None:
                is_written, is_confirmed = await self._settle(attempt, line, doubt)
                made = entry if is_written else None
            if made is not None:
                self.ground.advance(Head(made.revision, made.digest, made.at_ms))
                if not is_confirmed:
                    raise self._unconfirmed(made.revision)
                return made
        raise Unavailable("redis", f"{self.link.where}: other servers were quicker {RACES_MAX} times", "try again")

    async def recall(self, idempotency_key: str, fingerprint: str) -> Entry | None:
        """Return the entry that was written under this key, once the replicas that are asked for have it."""
        if not idempotency_key:
            return None
        self.ground.check_open()
        attempt = secrets.token_hex(8) if self.link.wait.replicas else ""
        arguments = (idempotency_key, self.ground.clock.now_ms(), IDEMPOTENCY_KEEP_MS, attempt)
        try:
            answer, is_confirmed = await self.link.tell(scripts.RECALL, self.ground.key, *arguments, has_written=bool)
        except InDoubt as doubt:
            raise Unavailable("redis", f"{self.link.where}: it does not answer ({doubt})", "try again") from doubt
        if not answer:
            return None
        entry = self._recalled(idempotency_key, fingerprint, answer)
        if not is_confirmed:
            raise self._unconfirmed(entry.revision)
        return entry

    async def confirm(self, position: Position) -> None:
        """Return once the replicas that are asked for have all that this position rests on."""
        if not self.link.wait.replicas:
            return
        self.ground.check_open()
        arguments = (position.revision, position.digest, secrets.token_hex(8))
        try:
            answer, is_confirmed = await self.link.tell(
                scripts.CONFIRM, self.ground.key, *arguments, has_written=lambda answer: answer == 1
            )
        except InDoubt as doubt:
            raise Unavailable("redis", f"{self.link.where}: it does not answer ({doubt})", "try again") from doubt
        if answer < 0:
            raise rows.gone(self.environment)
        if answer == 0:
            raise self._lost(position.revision)
        if not is_confirmed:
            raise self._unconfirmed(position.revision)

    async def entries(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Return the entries that follow a revision."""
        self.ground.check_open()
        answer = await self.link.ask(scripts.ENTRIES, self.ground.key, after, max(limit, 0))
        if not answer:
            raise rows.gone(self.environment)
        revision, oldest, found = answer
        check_after(after, int(oldest), int(revision))
        return tuple(read_entry(rows.read_line(row)) for row in found)

    async def history(self, resource: ResourceId | None, before: int, limit: int) -> tuple[Entry, ...]:
        """Return entries, newest first."""
        self.ground.check_open()
        name = "" if resource is None else rows.name_of(resource)
        upto = before or (await self.ground.standing()).head.revision + 1
        found = await self.link.ask(scripts.HISTORY, self.ground.key, name, upto, max(limit, 0))
        return tuple(read_entry(rows.read_line(row)) for row in found)

    def tail(self, after: int) -> AsyncIterator[Entry]:
        """Yield what follows a revision, as it is committed by any process."""
        return redis_tail.follow_log(self.ground, after)

    async def state_at(self, *, revision: int | None = None, at_ms: int | None = None) -> State:
        """Return a state of the past."""
        return await redis_past.state_at(self.ground, revision, at_ms)

    async def checkpoint(self) -> Checkpoint:
        """Return the oldest state that can be replayed from."""
        return await redis_past.checkpoint(self.ground)

    async def verify(self, expected_head: Position | None) -> Verification:
        """Read the whole log, fold it again, and compare."""
        return await redis_past.verify(self.ground, expected_head)

    async def compact(self, before_ms: int) -> int:
        """Put a signed checkpoint in the place of old entries."""
        return await redis_compaction.compact(self.ground, before_ms)

    async def renew_epoch(self) -> Position:
        """Make this history a new epoch. Of several servers that find the same loss, one does it."""
        fresh = secrets.token_hex(16)
        if await self.link.ask(scripts.RENEW, self.ground.key, self.ground.epoch or "", fresh) < 0:
            raise rows.gone(self.environment)
        self.ground.known = None
        return (await self.ground.standing()).position

    async def backup(self, target: Path) -> None:
        """Write a copy of every environment, as a file that `rollout serve` can use without Redis."""
        await redis_backup.write(self._whole, target)

    async def close(self) -> None:
        """End this journal's tails; the last journal closes the connections."""
        self.ground.closing.set()
        await self._on_close()

    async def _send(
        self, attempt: str, draft: Draft, entry: Entry, line: Line, ground: Head
    ) -> tuple[list[bytes], bool]:
        self.ground.check_open()
        return await self.link.tell(
            scripts.COMMIT,
            self.ground.key,
            attempt,
            ground.revision,
            ground.digest,
            draft.fence,
            draft.epoch,
            draft.idempotency_key,
            draft.fingerprint,
            self.ground.clock.now_ms(),
            IDEMPOTENCY_KEEP_MS,
            line.at_ms,
            line.digest,
            line.body,
            *rows.commit_arguments(draft, entry),
            has_written=lambda answer: answer[0] in {b"done", b"known"},
        )

    def _judge(self, draft: Draft, entry: Entry, answer: list[bytes], ground: Head) -> Entry | None:
        """Return the entry that was written, now or under this key before; None where another was quicker."""
        word, *rest = answer
        match word:
            case b"done":
                self.ground.advance(Head(entry.revision, entry.digest, entry.at_ms))
                return entry
            case b"known":
                return self._recalled(draft.idempotency_key, draft.fingerprint, rest)
            case b"moved":
                check_reads(draft.reads, rows.moved_versions(draft.reads, rest))
            case b"fenced":
                check_ground(draft, draft.epoch, int(rest[0]))
            case b"epoch":
                check_ground(draft, rest[0].decode(), draft.fence)
            case b"gone":
                raise rows.gone(self.environment)
            case b"head":
                self._take_ground(rest, ground)
                return None
            case _:
                pass
        raise AssertionError(f"commit.lua said {word!r}")

    def _take_ground(self, answer: list[bytes], sent: Head) -> None:
        """Build the next attempt upon the head that the store has, if that is of the history known here.

        Args:
            answer: of the store.
            sent: the head that it was asked about. What is known by now may be later than the answer: the tail goes on.
        """
        revision, digest, at_ms, oldest, digest_at_sent = answer
        now = Head(int(revision), digest, int(at_ms))
        if not rows.is_after(sent, now, int(oldest), digest_at_sent):
            raise self._lost(sent.revision)
        self.ground.advance(now)

    async def _settle(self, attempt: str, line: Line, doubt: InDoubt) -> tuple[bool, bool]:
        """Find out what became of a commit whose answer was lost, and keep it from running later.

        Returns:
            Whether it is written, and whether the replicas that were asked for have it.

        Raises:
            Unknown: the store does not say.
        """
        arguments = (attempt, line.revision, line.digest, VOID_KEEP_MS)
        for pause_s in _SETTLE_PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                answer, is_confirmed = await self.link.tell(
                    scripts.SETTLE, self.ground.key, *arguments, has_written=lambda answer: answer[0] == b"done"
                )
            except (InDoubt, Unavailable):
                continue
            return answer[0] == b"done", is_confirmed
        what = f"{self.link.where}: it was given the change and did not answer ({doubt}): it may be written, or not"
        raise Unknown("redis", what) from doubt

    def _recalled(self, idempotency_key: str, fingerprint: str, answer: list[bytes]) -> Entry:
        first, *row = answer
        if first.decode() != fingerprint:
            raise Conflict(
                f"idempotency key {idempotency_key!r}",
                f"the request of revision {int(row[0])}",
                "another request",
                "send each new request with a key of its own",
            )
        if not row[-1]:
            where = f"entry {int(row[0])}"
            raise Corrupt(where, "an idempotency key refers to it, and it is not there", DAMAGED_HINT)
        return read_entry(rows.read_line(row))

    def _lost(self, revision: int) -> Unavailable:
        """Have the tail find out what is left, and say that nothing was done."""
        self.ground.lost.set()
        what = f"{self.link.where}: it no longer has revision {revision}, which this server knows"
        return Unavailable("redis", what, "nothing was changed; the history is read anew, try again in a moment")

    def _unconfirmed(self, revision: int) -> Unknown:
        wait = self.link.wait
        return Unknown(
            "redis",
            f"revision {revision} is written in {self.link.where}, and {wait.replicas} of its replicas have not "
            f"confirmed it within {wait.ms} ms: a failover now would lose it",
        )
