"""An empty Redis filled from a backup, whichever store it was made of."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout_server.adapters import backup_file, redis_telemetry_restore, sqlite_rows
from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_backup import Copy
from rollout_server.adapters.redis_rows import FORMAT, NO_MARKS, Standing, key_mark, meta_key
from rollout_server.adapters.redis_telemetry_rows import telemetry_key
from rollout_server.domain.checkpoint import unseal
from rollout_server.domain.entries import outline
from rollout_server.errors import NotFound, Refused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from rollout_server.adapters.backup_file import Part
    from rollout_server.adapters.redis_link import RedisLink

BYTES_AT_ONCE = 1 << 20
RESTORING_HINT = (
    "wait until the server that restores it serves; if that one is gone, empty this database of Redis and restore again"
)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a backup has filled.

    Attributes:
        environments: that are in Redis now.
        without_telemetry: those of them of which the backup has none.
        left_out: that the backup holds, and that nobody asked for.
    """

    environments: tuple[str, ...]
    without_telemetry: tuple[str, ...]
    left_out: tuple[str, ...]


async def fill(link: RedisLink, source: Path, environments: Iterable[str], key: bytes) -> Filled:
    """Fill a Redis with those of these environments that a backup holds, under new epochs.

    Raises:
        Corrupt, NotFound, Refused: the backup cannot be used, as `backup_file.open_backup` says.
        NotFound: it holds none of these environments.
        Refused: "store-not-empty", Redis holds one of them already, or its telemetry; nothing was written.
            "store-restoring", another server is at it, or was interrupted.
        Unavailable: Redis is away. What was written until then is refused at the next start: empty it first.
    """
    backup = await asyncio.to_thread(backup_file.open_backup, source, key)
    with closing(backup.connection):
        wanted = sorted(frozenset(environments) & backup.numbers.keys())
        if not wanted:
            hint = f"{source} holds: {', '.join(sorted(backup.numbers)) or 'none'}"
            raise NotFound("environment", ", ".join(sorted(environments)), hint)
        copies = [_read(backup.connection, backup.numbers[name], name, key) for name in wanted]
        await _claim(link, wanted)
        for copy in copies:
            await _send(link, _journal(copy))
            if part := backup.parts.get(copy.name):
                await _send(link, _beside(backup.connection, copy.name, part))
        for copy in copies:
            await _settle(link, copy, key)
        bare = [name for name in wanted if name not in backup.parts or not backup.parts[name].window_ms]
        return Filled(tuple(wanted), tuple(bare), tuple(sorted(backup.numbers.keys() - frozenset(wanted))))


async def _claim(link: RedisLink, names: Sequence[str]) -> None:
    """Mark the environments as being restored; whoever else begins, or starts a server, is refused meanwhile."""
    claimed, token = [], secrets.token_bytes(16)
    for name in names:
        mark, is_refused = _beside_meta(name, "restoring"), True
        try:
            if not await link.command("SET", mark, token, "NX") and await link.command("GET", mark) != token:
                what = f"{link.where}: environment {name} is being restored, or the restore of it was interrupted"
                raise Refused("store-restoring", what, RESTORING_HINT)
            claimed.append(mark)
            others = (_beside_meta(name, each) for each in ("meta", "epochs", "log", "versions"))
            if await link.command("EXISTS", *others, telemetry_key(name)):
                hint = "if it was restored before, take `restore` out; else empty this database, or choose another"
                raise Refused("store-not-empty", f"{link.where} holds environment {name} already", hint)
            is_refused = False
        finally:
            if is_refused:
                for each in claimed:
                    await link.command("DEL", each)


async def _send(link: RedisLink, commands: Iterable[tuple[Any, ...]]) -> None:
    batch: list[tuple[Any, ...]] = []
    size_bytes = 0
    for command in commands:
        batch.append(command)
        size_bytes += sum(len(word) if isinstance(word, bytes | str) else 8 for word in command)
        if size_bytes >= BYTES_AT_ONCE:
            await link.commands(batch)
            batch, size_bytes = [], 0
    if batch:
        await link.commands(batch)


def _journal(copy: Copy) -> Iterator[tuple[Any, ...]]:
    """All that makes the environment's journal, but for what says that it is there."""
    prefix = _beside_meta(copy.name, "")
    for line in copy.lines:
        entry_id = f"{line.revision}-0"
        yield ("XADD", f"{prefix}log", entry_id, "at_ms", line.at_ms, "digest", line.digest, "body", line.body)
        for resource, _ in outline(line).changes:
            name = rows.name_of(resource)
            yield ("XADD", f"{prefix}changes:{name}", entry_id, "r", "")
            yield ("SADD", f"{prefix}names", name)
    for stored_name, version, body in copy.bodies:
        mark = rows.mark_of(rows.resource_of(stored_name), version, body)
        yield ("HSET", f"{prefix}versions", stored_name, b"%d " % version + mark)
        yield ("HSET", f"{prefix}bodies", stored_name, body)
    if copy.sealed is not None:
        yield ("HSET", f"{prefix}checkpoint", "body", copy.sealed.body, "signature", copy.sealed.signature)
    for idempotency_key, fingerprint, revision, at_ms, *entry in copy.keys:
        words = ["fingerprint", fingerprint, "revision", revision, "at_ms", at_ms]
        if entry[2] is not None:
            words += ["entry_at_ms", entry[0], "digest", entry[1], "body", entry[2]]
        yield ("HSET", f"{prefix}key:{idempotency_key}", *words)
        yield ("PEXPIRE", f"{prefix}key:{idempotency_key}", 7 * 86_400_000)


def _beside(file: sqlite3.Connection, name: str, part: Part) -> Iterator[tuple[Any, ...]]:
    """What lies beside the journal: telemetry, and who was told what."""
    if part.window_ms:
        yield from redis_telemetry_restore.commands(file, name, part.window_ms)
    if part.note is not None:
        yield ("HSET", _beside_meta(name, "notes"), "fence", 0, "body", part.note, "serial", 1)


async def _settle(link: RedisLink, copy: Copy, key: bytes) -> None:
    """Say that the environment is there, under a new epoch, and no longer being restored: at once."""
    now = copy.now
    fields: dict[str, Any] = {
        "format": FORMAT,
        "environment": copy.name,
        "key": key_mark(key),
        "revision": now.head.revision,
        "digest": now.head.digest,
        "at_ms": now.head.at_ms,
        "oldest": now.oldest,
        "oldest_digest": now.oldest_digest,
        "marks": now.marks,
        "fence": now.fence,
    }
    words = (word for pair in fields.items() for word in pair)
    await link.ask(scripts.RESTORED, meta_key(copy.name), secrets.token_hex(16), *words)


def _beside_meta(name: str, key: str) -> str:
    return meta_key(name).removesuffix("meta") + key


def _read(connection: sqlite3.Connection, number: int, name: str, key: bytes) -> Copy:
    now = sqlite_rows.standing(connection, number)
    sealed = sqlite_rows.sealed(connection, number)
    base, _ = unseal(sealed, name, key)
    found = connection.execute("SELECT kind, key, version, body FROM resource WHERE environment = ?", (number,))
    bodies = [(f"{kind}/{resource_key}".encode(), version, body) for kind, resource_key, version, body in found]
    marks = NO_MARKS
    for resource_name, version, body in bodies:
        mark = rows.mark_of(rows.resource_of(resource_name), version, body)
        marks = bytes(left ^ right for left, right in zip(marks, mark, strict=True))
    keys = connection.execute(
        "SELECT key, fingerprint, revision, at_ms, entry_at_ms, digest, body FROM idempotency WHERE environment = ?",
        (number,),
    ).fetchall()
    lines = sqlite_rows.lines(connection, number, now.oldest, now.head.revision - now.oldest)
    has_lease = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone()
    fence = sqlite_rows.fence(connection, number) if has_lease else 0
    standing = Standing(now.epoch, now.head, now.oldest, base.digest, marks, fence, "0-0")
    return Copy(name, standing, sealed, lines, bodies, keys)
