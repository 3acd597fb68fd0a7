"""An empty Redis filled from a backup, whichever store it was made of."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import sqlite_file, sqlite_rows
from rollout_server.adapters.redis_backup import Copy
from rollout_server.adapters.redis_rows import FORMAT, NO_MARKS, Standing, key_mark, meta_key
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.domain.checkpoint import unseal
from rollout_server.domain.entries import outline
from rollout_server.errors import NotFound, Refused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from rollout_server.adapters.redis_link import RedisLink

BYTES_AT_ONCE = 1 << 20


async def fill(link: RedisLink, source: Path, environments: Iterable[str], key: bytes) -> None:
    """Fill a Redis with those of these environments that a backup holds, under new epochs.

    Raises:
        Corrupt: the file is damaged, or its checkpoints were signed with another server's key.
        NotFound: there is no such file, or it holds none of these environments.
        Refused: "store-not-empty", Redis holds one of them already; nothing was written.
        Unavailable: Redis is away. What was written until then is refused at the next start: empty it first.
    """
    wanted = frozenset(environments)
    copies = await asyncio.to_thread(_read_file, source, wanted, key)
    for copy in copies:
        if await link.command("EXISTS", meta_key(copy.name)):
            hint = "a restore overwrites nothing: empty this database of Redis first, or choose another in redis_url"
            raise Refused("store-not-empty", f"{link.where} holds environment {copy.name} already", hint)
    for copy in copies:
        batch: list[tuple[Any, ...]] = []
        size_bytes = 0
        for command in _commands(copy, key):
            batch.append(command)
            size_bytes += sum(len(word) if isinstance(word, bytes | str) else 8 for word in command)
            if size_bytes >= BYTES_AT_ONCE:
                await link.commands(batch)
                batch, size_bytes = [], 0
        await link.commands(batch)


def _commands(copy: Copy, key: bytes) -> Iterator[tuple[Any, ...]]:
    """All that makes the environment; what says that it is there comes last."""
    meta = meta_key(copy.name)
    prefix, now = meta.removesuffix("meta"), copy.now
    epoch = secrets.token_hex(16)
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
    yield ("XADD", f"{prefix}epochs", "*", "epoch", epoch)
    fields: dict[str, Any] = {
        "format": FORMAT,
        "environment": copy.name,
        "key": key_mark(key),
        "epoch": epoch,
        "revision": now.head.revision,
        "digest": now.head.digest,
        "at_ms": now.head.at_ms,
        "oldest": now.oldest,
        "oldest_digest": now.oldest_digest,
        "marks": now.marks,
        "fence": 0,
    }
    yield ("HSET", meta, *(word for pair in fields.items() for word in pair))


def _read_file(source: Path, wanted: frozenset[str], key: bytes) -> list[Copy]:
    source = source.expanduser().resolve()
    if not source.is_file():
        raise NotFound("file", str(source), "name a file that `rollout backup` wrote")
    with tempfile.TemporaryDirectory(prefix="rollout-restore-") as directory:
        path = Path(directory, "store.db")
        with refusals(source):
            path.write_bytes(source.read_bytes())  # opening a store changes it, and a backup must stay what it is
        sqlite_file.ensure(path)
        with refusals(source), closing(sqlite_file.connect(path)) as connection:
            sqlite_file.prepare(connection, source)
            numbers = dict(connection.execute("SELECT name, id FROM environment").fetchall())
            if not wanted & numbers.keys():
                hint = f"{source} holds: {', '.join(sorted(numbers)) or 'none'}"
                raise NotFound("environment", ", ".join(sorted(wanted)), hint)
            return [_read(connection, numbers[name], name, key) for name in sorted(wanted & numbers.keys())]


def _read(connection: sqlite3.Connection, number: int, name: str, key: bytes) -> Copy:
    position = sqlite_rows.load(connection, number).position  # what is current is what was committed
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
    standing = Standing(position.epoch, now.head, now.oldest, base.digest, marks, 0, "0-0")
    return Copy(name, standing, sealed, lines, bodies, keys)
