"""One environment at a relay: records and tokens that upstream told, processes of its own, and no store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.codec import chunk_digests
from rollout_sdk.wire.key_sets import read_chunk
from rollout_sdk.wire.messages import Resync
from rollout_sdk.wire.records import RecordKind, WireError
from rollout_sdk.wire.relaying import Tokens
from rollout_server.app.record_feed import RETRY_HINT, RecordFeed
from rollout_server.app.record_log import RecordLog
from rollout_server.app.roster import Roster
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, TokenSpec, TokenStatus
from rollout_server.domain.rights import Role
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_sdk.engine.model import Chunk
    from rollout_sdk.wire.messages import Part
    from rollout_sdk.wire.records import WireRecord
    from rollout_sdk.wire.relaying import TokenHash
    from rollout_sdk.wire.snapshot import Snapshot
    from rollout_server.ports import Clock


class RelayedFeed(RecordFeed):
    """Records as upstream sent them: unread, so that what a relay does not know passes it unchanged."""

    def __init__(self) -> None:
        """Hold nothing."""
        super().__init__(RecordLog(Position("", 0)))

    @property
    def held(self) -> Position | None:
        """Where the records lead; None while there are none."""
        return self.position if self.position.epoch else None

    def take(self, parts: Sequence[Part], committed_at_ms: int) -> None:
        """Stand where these parts lead.

        Args:
            parts: of one update, in order.
            committed_at_ms: when its revision was.

        Raises:
            Resync: they do not follow what is held, or lead elsewhere than they say. Nothing was changed.
        """
        last = parts[-1]
        records = [record for part in parts for record in part.records]
        chunks = _chunks(pair for part in parts for pair in part.chunks)
        if last.snapshot:
            self._replace(last.position, records, chunks, last.ruleset_digest, committed_at_ms)
            return
        if self.held is None or (self.held.epoch, self.held.revision) != (last.position.epoch, last.base_revision):
            raise Resync("a delta from elsewhere")
        removed = [id_ for part in parts for id_ in part.removed]
        if self._digest_after(records, removed) != last.ruleset_digest:
            raise Resync("what arrived is not what upstream holds")
        for id_ in removed:
            self._log.drop(id_)
            self._log.bury(id_, last.position.revision)
        for record in records:
            _put(self._log, record, last.position.revision, chunks)
        self._log.stand(last.position, committed_at_ms)
        self._ring()

    def recall(self, snapshot: Snapshot, committed_at_ms: int) -> None:
        """Stand where a file left off.

        Raises:
            Resync: the file's records are not those that it says.
        """
        chunks = _chunks(snapshot.chunks)
        self._replace(snapshot.position, list(snapshot.records), chunks, snapshot.ruleset_digest, committed_at_ms)

    def agrees(self, position: Position, ruleset_digest: bytes) -> bool:
        """Whether this is what upstream holds."""
        return position == self.position and ruleset_digest == self.ruleset_digest

    def everything(self) -> tuple[list[Chunk], list[WireRecord]]:
        """Return all chunks and records."""
        return self._log.everything()

    async def admit(self, held: Position | None) -> str:
        """See `RecordFeed`."""
        if self.held is None:
            raise Unavailable("upstream", "this relay has not heard from its upstream yet", RETRY_HINT)
        return await super().admit(held)

    async def _find(self, held: Position) -> None:
        told = f"this relay stands at revision {self.position.revision}, the client is at {held.revision} or elsewhere"
        raise Unavailable("upstream", told, RETRY_HINT)

    def _replace(
        self,
        position: Position,
        records: list[WireRecord],
        chunks: dict[bytes, Chunk],
        ruleset_digest: bytes,
        committed_at_ms: int,
    ) -> None:
        log = RecordLog(position)
        for record in records:
            _put(log, record, position.revision, chunks)
        if log.digest.to_bytes() != ruleset_digest:
            raise Resync("what arrived is not what upstream holds")
        log.stand(position, committed_at_ms)
        self._log = log
        self._ring()

    def _digest_after(self, records: list[WireRecord], removed: list[tuple[int, str]]) -> bytes:
        digest = self._log.digest
        new = {record.id: record for record in records}
        for id_ in {*removed, *new}:
            old = self._log.record(id_)
            if old is not None:
                digest = digest.remove(old.data)
        for record in new.values():
            digest = digest.add(record.data)
        return digest.to_bytes()


class Relayed:
    """Fulfils `speaking.Outlet` and `tokens.Keyring`.

    Attributes:
        streams: how many are open now.
        is_following: upstream was heard on the stream that is open.
        knows_tokens: upstream, or what was kept, said who may come in.
        changes: counts what came that is worth keeping.
    """

    def __init__(self, name: str, clock: Clock, instances_max: int) -> None:
        """Know nothing: nobody may come in.

        Args:
            name: of the environment.
            clock: by which tokens expire and processes are out of reach.
            instances_max: processes remembered.
        """
        self.name = name
        self.clock = clock
        self.fan_out = RelayedFeed()
        self.instances = Roster(clock, lambda: self.fan_out.position, self.fan_out.mark, instances_max=instances_max)
        self.streams = 0
        self.is_following = False
        self.knows_tokens = False
        self.tokens = Tokens(name, ())
        self.changes = 0
        self._resources: dict[ResourceId, Resource] = {}
        self._bell = asyncio.Event()

    def resource(self, resource_id: ResourceId) -> Resource | None:
        """Return a token that processes may come with; there is nothing else here."""
        return self._resources.get(resource_id)

    def admit(self, tokens: Tokens) -> None:
        """Let these in, and nobody else."""
        self.tokens, self.knows_tokens = tokens, True
        made = [_token(one) for one in tokens.tokens]
        self._resources = {token.id: token for token in made}
        self._note()

    def take(self, parts: Sequence[Part], committed_at_ms: int) -> None:
        """See `RelayedFeed`."""
        self.fan_out.take(parts, committed_at_ms)
        self._note()

    async def changed_from(self, changes: int) -> None:
        """Return once there is something that was not there after so many changes."""
        while self.changes == changes:
            await self._bell.wait()

    def _note(self) -> None:
        self.changes += 1
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


def _token(known: TokenHash) -> Resource:
    spec = TokenSpec(known.hash, Role.SDK.value, "", 0, known.expires_at_ms)
    return Resource(Kind.TOKEN, Metadata(known.id), spec, TokenStatus())


def _chunks(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Chunk]:
    """Return those that are what they are called; who uses another is refused by each process."""
    found: dict[bytes, Chunk] = {}
    for digest, data in pairs:
        try:
            found[digest] = read_chunk(digest, data)
        except WireError:
            continue
    return found


def _put(log: RecordLog, record: WireRecord, since: int, chunks: dict[bytes, Chunk]) -> None:
    digests = chunk_digests(record) if record.kind == RecordKind.COHORT else ()
    named = (chunks.get(digest) or log.chunk(digest) for digest in digests)
    log.put(record, since, tuple(chunk for chunk in named if chunk is not None))
