"""Diff: what differs between two points of history, or between a point and documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.environment import NOW, At

if TYPE_CHECKING:
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.domain.diff import ResourceChange


@dataclass(frozen=True, slots=True)
class Diff:
    """From `before` to `after`, or to the documents where these are given."""

    before: At
    after: At = NOW
    documents: tuple[Document, ...] | None = None


async def diff(environment: Environment, question: Diff) -> tuple[ResourceChange, ...]:
    """Return what differs, flags and cohorts only, in order of kind and key.

    Raises:
        InvalidInput: a document is wrong.
        NotFound: a point is not kept.
    """
