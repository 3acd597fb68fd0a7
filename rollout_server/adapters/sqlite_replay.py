"""A state of the past, without reading the whole log: the last entry that changed each resource by then is enough."""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_server.adapters import sqlite_rows as rows
from rollout_server.domain.checkpoint import unseal
from rollout_server.domain.entries import DAMAGED_HINT, outline
from rollout_server.domain.files import read_stored
from rollout_server.domain.journal import State
from rollout_server.errors import Corrupt, NotFound, RolloutError

if TYPE_CHECKING:
    import sqlite3

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.entries import Head
    from rollout_server.domain.resources import ResourceId


def state_at(
    connection: sqlite3.Connection,
    environment: int,
    name: str,
    key: bytes,
    revision: int | None,
    at_ms: int | None,
) -> State:
    """Return the state at a revision, or after the last entry at or before a time; see `ports.Journal.state_at`."""
    now = rows.standing(connection, environment)
    base, trees = unseal(rows.sealed(connection, environment), name, key)
    if revision is None:
        revision = now.head.revision if at_ms is None else _revision_at(connection, environment, base, at_ms)
    if revision < base.revision:
        raise NotFound("revision", str(revision), f"history is kept from revision {base.revision} on")
    if revision > now.head.revision:
        raise NotFound("revision", str(revision), f"the last one is {now.head.revision}")
    head = base if revision == base.revision else rows.head_at(connection, environment, revision)
    for resource, after in _last_words(connection, environment, base.revision, revision):
        if after is None:
            trees.pop(resource, None)
        else:
            trees[resource] = after
    try:
        resources = {resource: read_stored(tree) for resource, tree in trees.items()}
    except (ValueError, KeyError, TypeError, RolloutError) as error:
        raise Corrupt(f"revision {revision}", f"a resource does not parse: {error!r}", DAMAGED_HINT) from error
    return State(Position(now.epoch, head.revision, head.digest), MappingProxyType(resources), head.at_ms)


def _revision_at(connection: sqlite3.Connection, environment: int, base: Head, at_ms: int) -> int:
    (found,) = connection.execute(
        "SELECT max(revision) FROM entry WHERE environment = ? AND revision > ? AND at_ms <= ?",
        (environment, base.revision, at_ms),
    ).fetchone()
    if found is None and base.revision > 0 and at_ms < base.at_ms:
        hint = f"history is kept from revision {base.revision} on, which was written at {base.at_ms} ms"
        raise NotFound("time", f"{at_ms} ms", hint)
    return base.revision if found is None else int(found)


def _last_words(
    connection: sqlite3.Connection, environment: int, after: int, upto: int
) -> list[tuple[ResourceId, Json]]:
    """What each resource that changed in between was after its last change."""
    wanted: dict[int, set[ResourceId]] = defaultdict(set)
    for revision, resource in rows.last_changes(connection, environment, after, upto):
        wanted[revision].add(resource)
    found: list[tuple[ResourceId, Json]] = []
    for revision, resources in wanted.items():
        line = rows.line_at(connection, environment, revision)
        found += [(resource, tree) for resource, tree in outline(line).changes if resource in resources]
    return found
