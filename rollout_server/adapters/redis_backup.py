"""The journal of every environment of a Redis as one file of SQLite.

It is what `backup_file` makes a backup of. Lines, checkpoints and signatures go over byte for byte.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rollout_server.adapters import redis_past, sqlite_file, sqlite_rows
from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.sqlite_refusals import refusals
from rollout_server.domain.entries import Line, outline
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Sequence

    from rollout_server.adapters.redis_ground import Ground
    from rollout_server.adapters.redis_rows import Standing
    from rollout_server.domain.checkpoint import Sealed

ATTEMPTS_MAX = 5
_SUM_MODULUS = 1 << (8 * rows.MARK_BYTES)


Key: TypeAlias = tuple[str, str, int, int, int | None, bytes | None, bytes | None]
"""Idempotency key, fingerprint, revision, time, and the entry itself where it was compacted away."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One environment, read at one moment.

    Attributes:
        bodies: of the current resources, by name, each with its version.
        keys: idempotency keys that still answer.
    """

    name: str
    now: Standing
    sealed: Sealed | None
    lines: list[Line]
    bodies: list[tuple[bytes, int, bytes]]
    keys: list[Key]


async def write(grounds: Sequence[Ground], target: Path) -> None:
    """Write every environment of a store into one file; see `ports.Journal.backup`."""
    copies = [await _read(ground) for ground in grounds]
    await asyncio.to_thread(_write, copies, target)


async def _read(ground: Ground) -> Copy:
    for _ in range(ATTEMPTS_MAX):
        meta, _last, versions, bodies = await ground.link.ask(scripts.LOAD, ground.key)
        now = rows.read_standing(meta, ground.environment)
        sealed = await redis_past.sealed(ground)
        lines = await redis_past.lines(ground, now.oldest, now.head.revision)
        if len(lines) != now.head.revision - now.oldest or (await ground.standing()).oldest != now.oldest:
            continue  # compacted meanwhile
        marked = dict(zip(versions[::2], versions[1::2], strict=True))
        return Copy(
            ground.environment,
            now,
            sealed,
            lines,
            [
                (name, int(marked[name][: -rows.MARK_BYTES - 1]), body)
                for name, body in zip(bodies[::2], bodies[1::2], strict=True)
            ],
            [key async for key in _keys(ground, now.head.revision)],
        )
    raise Unavailable("redis", f"{ground.link.where}: its log is being compacted", "try again")


async def _keys(ground: Ground, upto: int) -> AsyncIterator[Key]:
    prefix = ground.beside("key:")
    cursor, told = b"0", set[bytes]()
    while True:
        pattern = prefix.replace("[", "\\[") + "*"
        cursor, found = await ground.link.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1_000)
        for name in (each for each in found if each not in told):
            told.add(name)  # a scan may tell a key again while the table shrinks, as it does when others expire
            fields = await ground.link.command(
                "HMGET", name, "fingerprint", "revision", "at_ms", "entry_at_ms", "digest", "body"
            )
            fingerprint, revision, at_ms, entry_at_ms, digest, body = fields
            if revision is not None and int(revision) <= upto:
                entry_at = None if entry_at_ms is None else int(entry_at_ms)
                key = name.decode().removeprefix(prefix)
                yield key, fingerprint.decode(), int(revision), int(at_ms), entry_at, digest, body
        if cursor == b"0":
            return


def _write(copies: Sequence[Copy], target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rollout-backup-", dir=target.resolve().parent) as directory:
        path = Path(directory, "store.db")
        sqlite_file.ensure(path)
        with refusals(target), closing(sqlite_file.connect(path)) as connection:
            sqlite_file.prepare(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            numbers = sqlite_rows.ensure_environments(connection, [copy.name for copy in copies])
            for copy in copies:
                _write_environment(connection, numbers[copy.name], copy)
            connection.execute("COMMIT")
            sqlite_file.copy(connection, path, target)


def _write_environment(connection: sqlite3.Connection, number: int, copy: Copy) -> None:
    connection.executemany(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?)",
        ((number, line.revision, line.at_ms, line.digest, line.body) for line in copy.lines),
    )
    connection.executemany(
        "INSERT INTO change VALUES (?, ?, ?, ?)",
        (
            (number, resource.kind.value, resource.key, line.revision)
            for line in copy.lines
            for resource, _ in outline(line).changes
        ),
    )
    marks = 0
    for name, version, body in copy.bodies:
        resource = rows.resource_of(name)
        marks += int.from_bytes(rows.mark_of(resource, version, body), "big")
        row = (number, resource.kind.value, resource.key, version, body)
        connection.execute("INSERT INTO resource VALUES (?, ?, ?, ?, ?)", row)
    if copy.sealed is not None:
        checkpoint = (number, copy.sealed.body, copy.sealed.signature)
        connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", checkpoint)
    connection.executemany(
        "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ((number, *key) for key in copy.keys)
    )
    connection.execute("INSERT INTO lease VALUES (?, ?)", (number, copy.now.fence))
    head, total = copy.now.head, (marks % _SUM_MODULUS).to_bytes(rows.MARK_BYTES, "big")
    connection.execute(
        "UPDATE environment SET revision = ?, digest = ?, at_ms = ?, oldest = ?, marks = ? WHERE id = ?",
        (head.revision, head.digest, head.at_ms, copy.now.oldest, total, number),
    )
