"""Verification: is the journal what was written? Pure; works on stored bytes, never on what was made of them.

What cannot be found: whoever can write the store can make a whole new chain, and a truncated tail leaves a chain that
holds. Both are found only against a head that was kept elsewhere (docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Json
from rollout_server.domain.checkpoint import Sealed, unseal
from rollout_server.domain.entries import Head, Line, follow, outline
from rollout_server.domain.files import canonical_json
from rollout_server.domain.resources import ResourceId
from rollout_server.errors import Corrupt

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A resource as the store keeps it beside the log, for a quick start."""

    id: ResourceId
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """One environment as it lies in the store, read at one moment. Iterables are read once, in order.

    Attributes:
        key: the server's key, which signed the checkpoint.
        head: where the store says that the chain ends.
        lines: every entry after the checkpoint, ascending.
        index: which entry changed which resource, ascending by revision, kind and key.
        resources: the current ones.
    """

    environment: str
    key: bytes
    head: Position
    checkpoint: Sealed | None
    lines: Iterable[Line]
    index: Iterable[tuple[int, ResourceId]]
    resources: Iterable[StoredResource]


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found.

    Attributes:
        entries: how many were found to hold.
        oldest_revision: the oldest that can be replayed; the chain is checked from there.
        is_tail_checked: whether an expected head was given; without one, a truncated tail is not found.
        problem: what is wrong and where, the first of it; empty when intact.
    """

    intact: bool
    entries: int
    head: Position
    oldest_revision: int
    is_tail_checked: bool
    problem: str = ""


def verify_history(stored: StoredHistory, expected_head: Position | None = None) -> Verification:
    """Fold the log again from its checkpoint and compare everything that the store holds with the result.

    Finds entries that were changed, dropped, reordered or inserted, a forged checkpoint, resources and an index that
    disagree with the log, and, where `expected_head` is given, a truncated tail or another history.
    """
    walk = _Walk(expected_head)
    try:
        walk.through(stored)
    except Corrupt as found:
        return walk.result(stored, str(found))
    return walk.result(stored, "")


class _Walk:
    """One walk along a chain, and how far it came."""

    def __init__(self, expected: Position | None) -> None:
        self.expected = expected
        self.entries = 0
        self.oldest_revision = 0

    def result(self, stored: StoredHistory, problem: str) -> Verification:
        return Verification(
            not problem, self.entries, stored.head, self.oldest_revision, self.expected is not None, problem
        )

    def through(self, stored: StoredHistory) -> None:
        head, trees = unseal(stored.checkpoint, stored.environment, stored.key)
        self.oldest_revision = head.revision
        if self.expected is not None and self.expected.revision < head.revision:
            raise Corrupt(
                f"revision {self.expected.revision}",
                f"the expected head lies before the oldest entry kept ({head.revision}): keep a newer head",
            )
        self._compare_expected(head)
        index = iter(stored.index)
        for line in stored.lines:
            head = follow(head, line)
            _fold(trees, line, index)
            self._compare_expected(head)
            self.entries += 1
        for revision, resource in index:
            raise Corrupt("index", f"it says that entry {revision} changed {resource}, and there is no such entry")
        if (head.revision, head.digest) != (stored.head.revision, stored.head.digest):
            raise Corrupt(
                "head", f"the store says that the log ends at {stored.head.revision}, and it ends at {head.revision}"
            )
        if self.expected is not None and self.expected.revision > head.revision:
            raise Corrupt(
                f"revision {head.revision}",
                f"the log ends here, before the expected head {self.expected.revision}: its tail was cut off, "
                "or an older backup was restored",
            )
        _compare_resources(trees, stored.resources)

    def _compare_expected(self, head: Head) -> None:
        expected = self.expected
        if expected is not None and expected.revision == head.revision and expected.digest != head.digest:
            raise Corrupt(
                f"revision {head.revision}", "its digest is not that of the expected head: this is another history"
            )


def _fold(trees: dict[ResourceId, Json], line: Line, index: Iterator[tuple[int, ResourceId]]) -> None:
    changes = outline(line).changes
    said = sorted((resource for resource, _ in changes), key=lambda resource: (resource.kind.value, resource.key))
    if list(islice(index, len(said))) != [(line.revision, resource) for resource in said]:
        raise Corrupt("index", f"it disagrees with entry {line.revision} about which resources that changed")
    for resource, after in changes:
        if after is None:
            trees.pop(resource, None)
        else:
            trees[resource] = after


def _compare_resources(trees: dict[ResourceId, Json], resources: Iterable[StoredResource]) -> None:
    for stored in resources:
        if stored.id not in trees:
            raise Corrupt(str(stored.id), "it is stored as current, and the log knows of no such resource")
        if canonical_json(trees.pop(stored.id)) != stored.body:
            raise Corrupt(str(stored.id), "what is stored as current differs from what the log says")
    for resource in trees:
        raise Corrupt(str(resource), "the log says that it exists, and it is not stored as current")
