"""Compaction: a signed checkpoint takes the place of old entries.

In three steps, so that commits go on meanwhile: a reader folds and signs, one short transaction puts the checkpoint in
force, and the entries that it stands for are deleted a thousand at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.adapters import sqlite_rows as rows
from rollout_server.domain.checkpoint import Sealed, seal, unseal
from rollout_server.domain.entries import follow, outline

if TYPE_CHECKING:
    import sqlite3

DELETE_AT_ONCE = 1_000
_READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A checkpoint that may take the place of the one it was folded from.

    Attributes:
        base: revision of the checkpoint that it was folded from.
        revision: revision that it stands for.
    """

    base: int
    revision: int
    sealed: Sealed


def propose(connection: sqlite3.Connection, environment: int, name: str, key: bytes, before_ms: int) -> Proposal | None:
    """Fold the entries older than `before_ms`; None where there are none.

    Raises:
        Corrupt: the checkpoint was not signed by this server, or the chain after it does not hold: signing the
            result would hide that.
    """
    head, trees = unseal(rows.sealed(connection, environment), name, key)
    base = head.revision
    while found := rows.lines(connection, environment, head.revision, _READ_AT_ONCE):
        for line in found:
            if line.at_ms >= before_ms:
                break
            head = follow(head, line)
            for resource, after in outline(line).changes:
                if after is None:
                    trees.pop(resource, None)
                else:
                    trees[resource] = after
        else:
            continue
        break
    return None if head.revision == base else Proposal(base, head.revision, seal(name, head, trees, key))


def put_in_force(connection: sqlite3.Connection, environment: int, proposal: Proposal) -> bool:
    """Replace the checkpoint, unless somebody else did so meanwhile; return whether it was done.

    Entries that an idempotency key still answers with are kept beside the key.
    """
    if rows.standing(connection, environment).oldest != proposal.base:
        return False
    connection.execute(
        "UPDATE idempotency SET (entry_at_ms, digest, body) = (SELECT entry.at_ms, entry.digest, entry.body FROM entry"
        " WHERE entry.environment = idempotency.environment AND entry.revision = idempotency.revision)"
        " WHERE environment = ? AND revision > ? AND revision <= ?",
        (environment, proposal.base, proposal.revision),
    )
    connection.execute(
        "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)",
        (environment, proposal.sealed.body, proposal.sealed.signature),
    )
    connection.execute("UPDATE environment SET oldest = ? WHERE id = ?", (proposal.revision, environment))
    return True


def sweep(connection: sqlite3.Connection, environment: int) -> bool:
    """Delete some of the entries that a checkpoint stands for; return whether any were left to delete."""
    (lowest,) = connection.execute("SELECT min(revision) FROM entry WHERE environment = ?", (environment,)).fetchone()
    oldest = rows.standing(connection, environment).oldest
    if lowest is None or lowest > oldest:
        return False
    upto = (environment, min(oldest, lowest + DELETE_AT_ONCE - 1))
    connection.execute("DELETE FROM entry WHERE environment = ? AND revision <= ?", upto)
    connection.execute("DELETE FROM change WHERE environment = ? AND revision <= ?", upto)
    return True
