"""The journal's entries, and the state as the fold of them. Pure: adapters only store what is made here.

Each entry's digest covers the digest before it, so that a changed, dropped or reordered entry is found by anyone who
folds the log again (docs/adr/0003).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_server.domain.resources import Resource, ResourceId

DIGEST_BYTES = 32
GENESIS_DIGEST = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Change:
    """One resource after an entry; `after` is None where the entry deletes it."""

    id: ResourceId
    after: Resource | None


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that wants to be committed.

    Attributes:
        reads: version of every resource the decision to write rested on; 0 where there must be none.
        action: the verb, "apply", "kill".
        actor: the person behind the token, and the token's visible prefix: "mia@example.com (a1b2c3d4)".
        fingerprint: digest of the request behind `idempotency_key`, hex: a repeat with another one is a conflict.
        fence: token of the lease under which it was decided, compared with the newest in the same transaction; 0 for
            what a person does, who needs no lease.
        epoch: of the history that the decision rested on: in another one the same version may be another resource.
            Empty where that does not matter.
    """

    reads: Mapping[ResourceId, int]
    changes: tuple[Change, ...]
    actor: str
    action: str
    at_ms: int
    reason: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    fence: int = 0
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A committed entry. Resources in `changes` carry `revision` as their version."""

    revision: int
    at_ms: int
    actor: str
    action: str
    reason: str
    idempotency_key: str
    changes: tuple[Change, ...]
    digest: bytes


def _none() -> Mapping[ResourceId, Resource]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class State:
    """All resources of one environment at one position."""

    position: Position
    resources: Mapping[ResourceId, Resource] = field(default_factory=_none)
    at_ms: int = 0


def versions(state: State, changes: Iterable[Change]) -> dict[ResourceId, int]:
    """Return the version of everything that an entry changes, as it stands; 0 for what does not exist."""
    return {change.id: one.version if (one := state.resources.get(change.id)) else 0 for change in changes}


def fold(state: State, entries: Iterable[Entry]) -> State:
    """Apply entries in order.

    Raises:
        ValueError: an entry does not follow the state: its revision is not the next one.
    """
    before = state.resources
    # Fifty times faster than dict() over a proxy: the difference between 10 us and 0.5 ms a commit with 5,000 flags.
    resources = before.copy() if isinstance(before, MappingProxyType) else dict(before)
    position, at_ms = state.position, state.at_ms
    for entry in entries:
        if entry.revision != position.revision + 1:
            message = f"entry {entry.revision} does not follow revision {position.revision}"
            raise ValueError(message)
        for change in entry.changes:
            if change.after is None:
                resources.pop(change.id, None)
            else:
                resources[change.id] = change.after
        position = replace(position, revision=entry.revision, digest=entry.digest)
        at_ms = entry.at_ms
    return State(position, MappingProxyType(resources), at_ms)
