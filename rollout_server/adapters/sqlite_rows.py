"""Rows of one environment: all that is asked of the tables or written to them, inside the caller's transaction."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from itertools import starmap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rollout_sdk.engine.model import Position
from rollout_server.adapters.sqlite_telemetry_schema import TELEMETRY
from rollout_server.domain.checkpoint import Sealed
from rollout_server.domain.entries import (
    DAMAGED_HINT,
    Head,
    Line,
    check_ground,
    check_reads,
    commit,
    follow,
    read_entry,
)
from rollout_server.domain.files import canonical_json, read_stored, write_stored
from rollout_server.domain.journal import GENESIS_DIGEST, State
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.verification import StoredHistory, StoredResource
from rollout_server.errors import Conflict, Corrupt, NotFound, RolloutError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rollout_server.domain.journal import Draft, Entry

IDEMPOTENCY_KEEP_MS = 7 * 86_400_000
OF_BACKUPS = ("backup", "part")
"""Tables that a backup has besides those of a journal and of telemetry."""
_FORGET_AT_ONCE = 100
_MARK_BYTES = 32
_MARK_MODULUS = 1 << (8 * _MARK_BYTES)
_LINE = "SELECT revision, at_ms, digest, body FROM entry"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an environment stands.

    Attributes:
        oldest: revision of the checkpoint; 0 where there is none.
        marks: sum of the marks of all resources, modulo 2^256.
    """

    epoch: str
    head: Head
    oldest: int
    marks: int

    @property
    def position(self) -> Position:
        """The head as a position."""
        return Position(self.epoch, self.head.revision, self.head.digest)


def new_epoch() -> str:
    """Return an identity that no other history has."""
    return secrets.token_hex(16)


def ensure_environments(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """Make the environments that are missing; return the number of each. A copy gets new epochs first."""
    if connection.execute("SELECT is_copy FROM store").fetchone() == (1,):
        for (environment,) in connection.execute("SELECT id FROM environment").fetchall():
            renew_epoch(connection, environment)
        for table in (*OF_BACKUPS, *sorted(TELEMETRY.tables)):
            connection.execute(f"DROP TABLE IF EXISTS {table}")  # `sqlite_restore` has put it where it belongs
        connection.execute("UPDATE store SET is_copy = 0")
    numbers = _environments(connection)
    for name in names:
        if name not in numbers:
            row = (name, new_epoch(), GENESIS_DIGEST, bytes(_MARK_BYTES))
            made = connection.execute("INSERT INTO environment VALUES (NULL, ?, ?, 0, ?, 0, 0, ?)", row)
            numbers[name] = made.lastrowid or 0  # an INSERT always has one
    return {name: numbers[name] for name in names}


def number_of(connection: sqlite3.Connection, name: str, path: Path) -> int:
    """Return the number of an environment that is in the file.

    Raises:
        NotFound: it is not; the hint names those that are.
    """
    numbers = _environments(connection)
    if name not in numbers:
        raise NotFound("environment", name, f"{path} holds {', '.join(sorted(numbers)) or 'none'}")
    return numbers[name]


def _environments(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, id FROM environment").fetchall())


def standing(connection: sqlite3.Connection, environment: int) -> Standing:
    """Return where the environment stands."""
    row = connection.execute(
        "SELECT epoch, revision, digest, at_ms, oldest, marks FROM environment WHERE id = ?", (environment,)
    ).fetchone()
    epoch, revision, digest, at_ms, oldest, marks = _typed("environment", row, str, int, bytes, int, int, bytes)
    return Standing(epoch, Head(revision, digest, at_ms), oldest, int.from_bytes(marks, "big"))


def renew_epoch(connection: sqlite3.Connection, environment: int) -> Position:
    """Make the history a new epoch; return the position under it."""
    connection.execute("UPDATE environment SET epoch = ? WHERE id = ?", (new_epoch(), environment))
    return standing(connection, environment).position


def fence(connection: sqlite3.Connection, environment: int) -> int:
    """Return the newest token of the lease; 0 before the first."""
    found = connection.execute("SELECT fence FROM lease WHERE environment = ?", (environment,)).fetchone()
    return 0 if found is None else int(found[0])


def raise_fence(connection: sqlite3.Connection, environment: int) -> int:
    """Make the next token of the lease, and return it."""
    token = fence(connection, environment) + 1
    connection.execute("INSERT OR REPLACE INTO lease VALUES (?, ?)", (environment, token))
    return token


def append(connection: sqlite3.Connection, environment: int, draft: Draft, now_ms: int) -> Entry:
    """Write the draft as the next entry, or return the one that its idempotency key already wrote.

    Raises:
        Conflict: as `ports.Journal.commit` says; nothing was written.
    """
    if known := recall(connection, environment, draft.idempotency_key, draft.fingerprint, now_ms):
        return known
    check_ground(draft, standing(connection, environment).epoch, fence(connection, environment))
    touched = draft.reads.keys() | {change.id for change in draft.changes}
    stored = {resource: row for resource in touched if (row := _resource(connection, environment, resource))}
    check_reads(draft.reads, {resource: version for resource, (version, _) in stored.items()})
    now = standing(connection, environment)
    entry, line = commit(now.head, draft)
    connection.execute(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?)", (environment, line.revision, line.at_ms, line.digest, line.body)
    )
    marks = now.marks
    for change in entry.changes:
        name = (environment, change.id.kind.value, change.id.key)
        if change.id in stored:
            marks -= _mark(change.id, *stored[change.id])
        if change.after is None:
            connection.execute("DELETE FROM resource WHERE environment = ? AND kind = ? AND key = ?", name)
        else:
            body = canonical_json(write_stored(change.after))
            marks += _mark(change.id, entry.revision, body)
            connection.execute("INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?)", (*name, entry.revision, body))
        connection.execute("INSERT INTO change VALUES (?, ?, ?, ?)", (*name, entry.revision))
    connection.execute(
        "UPDATE environment SET revision = ?, digest = ?, at_ms = ?, marks = ? WHERE id = ?",
        (line.revision, line.digest, line.at_ms, (marks % _MARK_MODULUS).to_bytes(_MARK_BYTES, "big"), environment),
    )
    if draft.idempotency_key:
        _remember(connection, environment, draft, line.revision, now_ms)
    return entry


def recall(
    connection: sqlite3.Connection, environment: int, idempotency_key: str, fingerprint: str, now_ms: int
) -> Entry | None:
    """Return the entry written under this key within the last 7 days.

    Raises:
        Conflict: the key was used for another request.
    """
    found = connection.execute(
        "SELECT fingerprint, revision, entry_at_ms, digest, body FROM idempotency"
        " WHERE environment = ? AND key = ? AND at_ms > ?",
        (environment, idempotency_key, now_ms - IDEMPOTENCY_KEEP_MS),
    ).fetchone()
    if not idempotency_key or found is None:
        return None
    first, revision, *kept = found
    if first != fingerprint:
        raise Conflict(
            f"idempotency key {idempotency_key!r}",
            f"the request of revision {revision}",
            "another request",
            "send each new request with a key of its own",
        )
    if kept[-1] is not None:
        return read_entry(_line(revision, *kept))
    return read_entry(line_at(connection, environment, revision))


def load(connection: sqlite3.Connection, environment: int) -> State:
    """Return the state at the head, checked against the end of the chain and against the resources' marks.

    Raises:
        Corrupt: what is stored does not parse, or does not agree with itself.
    """
    now = standing(connection, environment)
    _check_head(connection, environment, now)
    resources, marks = {}, 0
    for stored, version in _resources(connection, environment):
        marks += _mark(stored.id, version, stored.body)
        try:
            resources[stored.id] = read_stored(json.loads(stored.body))
        except (ValueError, KeyError, TypeError, RecursionError, RolloutError) as error:
            raise Corrupt(str(stored.id), f"it does not parse: {error!r}", DAMAGED_HINT) from error
    if marks % _MARK_MODULUS != now.marks:
        raise Corrupt(
            "resources",
            "what is stored as current is not what was committed: somebody changed the file",
            f"see `rollout audit verify`; {DAMAGED_HINT}",
        )
    return State(now.position, MappingProxyType(resources), now.head.at_ms)


def lines(connection: sqlite3.Connection, environment: int, after: int, limit: int) -> list[Line]:
    """Return at most `limit` lines with revision > `after`, ascending."""
    rows = connection.execute(
        f"{_LINE} WHERE environment = ? AND revision > ? ORDER BY revision LIMIT ?", (environment, after, limit)
    )
    return list(starmap(_line, rows))


def line_at(connection: sqlite3.Connection, environment: int, revision: int) -> Line:
    """Return the line of one revision.

    Raises:
        Corrupt: it is not there, though something else in the store says so.
    """
    for line in lines(connection, environment, revision - 1, 1):
        if line.revision == revision:
            return line
    raise Corrupt(f"entry {revision}", "the store refers to it, and it is not there", DAMAGED_HINT)


def head_at(connection: sqlite3.Connection, environment: int, revision: int) -> Head:
    """Return the end of the chain as it was at a revision whose entry is kept; raises as `line_at`."""
    line = line_at(connection, environment, revision)
    return Head(line.revision, line.digest, line.at_ms)


def last_changes(
    connection: sqlite3.Connection, environment: int, after: int, upto: int
) -> Iterator[tuple[int, ResourceId]]:
    """Yield the last revision in (after, upto] that changed each resource, and the resource."""
    found = connection.execute(
        "SELECT max(revision), kind, key FROM change WHERE environment = ? AND revision > ? AND revision <= ?"
        " GROUP BY kind, key",
        (environment, after, upto),
    )
    for row in found:
        revision, kind, key = _typed("index", row, int, str, str)
        yield revision, _name(kind, key)


def lines_before(
    connection: sqlite3.Connection, environment: int, resource: ResourceId | None, before: int, limit: int
) -> list[Line]:
    """Return at most `limit` lines with revision < `before` that are kept, newest first."""
    oldest = standing(connection, environment).oldest
    if resource is None:
        rows = connection.execute(
            f"{_LINE} WHERE environment = ? AND revision > ? AND revision < ? ORDER BY revision DESC LIMIT ?",
            (environment, oldest, before, limit),
        )
    else:
        rows = connection.execute(
            "SELECT revision, at_ms, digest, body FROM change CROSS JOIN entry USING (environment, revision)"
            " WHERE environment = ? AND kind = ? AND key = ? AND revision > ? AND revision < ?"
            " ORDER BY revision DESC LIMIT ?",
            (environment, resource.kind.value, resource.key, oldest, before, limit),
        )
    return list(starmap(_line, rows))


def sealed(connection: sqlite3.Connection, environment: int) -> Sealed | None:
    """Return the checkpoint as it is stored."""
    row = connection.execute("SELECT body, signature FROM checkpoint WHERE environment = ?", (environment,)).fetchone()
    return None if row is None else Sealed(*_typed("checkpoint", row, bytes, bytes))


def stored_history(connection: sqlite3.Connection, environment: int, name: str, key: bytes) -> StoredHistory:
    """Return all that is stored, for verification; to be read within the caller's transaction."""
    now = standing(connection, environment)
    kept = (environment, now.oldest)
    return StoredHistory(
        name,
        key,
        now.position,
        sealed(connection, environment),
        starmap(_line, connection.execute(f"{_LINE} WHERE environment = ? AND revision > ? ORDER BY revision", kept)),
        _index(connection, environment, now.oldest),
        (stored for stored, _ in _resources(connection, environment)),
    )


def _check_head(connection: sqlite3.Connection, environment: int, now: Standing) -> None:
    revision = now.head.revision
    (last,) = connection.execute("SELECT max(revision) FROM entry WHERE environment = ?", (environment,)).fetchone()
    if revision > now.oldest:
        found = lines(connection, environment, revision - 1, 1)
        before = Head(revision - 1, _digest_at(connection, environment, revision - 1, now.oldest))
        if last != revision or follow(before, found[0]) != now.head:
            raise Corrupt("head", "the last entry is not the one that the store says it is", DAMAGED_HINT)
    elif last is not None and last > revision:
        raise Corrupt("head", f"there are entries after the last one, {revision}", DAMAGED_HINT)


def _digest_at(connection: sqlite3.Connection, environment: int, revision: int, oldest: int) -> bytes:
    if revision == 0:
        return GENESIS_DIGEST
    if revision == oldest and (checkpoint := sealed(connection, environment)):
        return bytes.fromhex(json.loads(checkpoint.body)["digest"])
    found = connection.execute(
        "SELECT digest FROM entry WHERE environment = ? AND revision = ?", (environment, revision)
    ).fetchone()
    return b"" if found is None else bytes(found[0])


def _resource(connection: sqlite3.Connection, environment: int, resource: ResourceId) -> tuple[int, bytes] | None:
    row = connection.execute(
        "SELECT version, body FROM resource WHERE environment = ? AND kind = ? AND key = ?",
        (environment, resource.kind.value, resource.key),
    ).fetchone()
    if row is None:
        return None
    version, body = _typed(str(resource), row, int, bytes)
    return version, body


def _resources(connection: sqlite3.Connection, environment: int) -> Iterator[tuple[StoredResource, int]]:
    rows = connection.execute("SELECT kind, key, version, body FROM resource WHERE environment = ?", (environment,))
    for row in rows:
        kind, key, version, body = _typed("resources", row, str, str, int, bytes)
        yield StoredResource(_name(kind, key), body), version


def _index(connection: sqlite3.Connection, environment: int, after: int) -> Iterator[tuple[int, ResourceId]]:
    rows = connection.execute(
        "SELECT revision, kind, key FROM change WHERE environment = ? AND revision > ? ORDER BY revision, kind, key",
        (environment, after),
    )
    for row in rows:
        revision, kind, key = _typed("index", row, int, str, str)
        yield revision, _name(kind, key)


def _typed(where: str, row: tuple[Any, ...] | None, *types: type) -> tuple[Any, ...]:
    """SQLite keeps any type in any column: somebody with a shell, or a damaged page, may have left another one."""
    if row is None or tuple(map(type, row)) != types:
        raise Corrupt(where, "a row is missing, or holds a value of another type", DAMAGED_HINT)
    return row


def _line(*row: Any) -> Line:  # noqa: ANN401 - what lies in the file, which `_typed` judges
    return Line(*_typed(f"entry {row[0]}", row, int, int, bytes, bytes))


def _name(kind: str, key: str) -> ResourceId:
    try:
        return ResourceId(Kind(kind), key)
    except ValueError as error:
        raise Corrupt(f"{kind}/{key}", "there is no such kind of resource", DAMAGED_HINT) from error


def _remember(connection: sqlite3.Connection, environment: int, draft: Draft, revision: int, now_ms: int) -> None:
    connection.execute(
        "DELETE FROM idempotency WHERE rowid IN"
        " (SELECT rowid FROM idempotency WHERE environment = ? AND at_ms <= ? LIMIT ?)",
        (environment, now_ms - IDEMPOTENCY_KEEP_MS, _FORGET_AT_ONCE),
    )
    connection.execute(
        "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL)",
        (environment, draft.idempotency_key, draft.fingerprint, revision, now_ms),
    )


def _mark(resource: ResourceId, version: int, body: bytes) -> int:
    """A number that stands for one resource: adding it says that it is there, subtracting it that it no longer is."""
    name = f"{resource.kind.value}\0{resource.key}\0{version}\0".encode()
    return int.from_bytes(hashlib.sha256(name + body).digest(), "big")
