"""Apply: documents become the environment's specs, in one transaction or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.intent import NO_INTENT, Intent

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.diff import ResourceChange
    from rollout_server.domain.journal import Entry


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the environment hold these documents.

    Attributes:
        prune: delete every flag and cohort that no document holds; never tokens.
        plan_hash: of a saved plan; refuses if anything it read has moved since. Empty: plan now.
        allow_unsupported: publish although some connected SDKs cannot evaluate it.
    """

    documents: tuple[Document, ...]
    intent: Intent = NO_INTENT
    prune: bool = False
    plan_hash: str = ""
    allow_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        entry: what this call, or the first call with its idempotency key, wrote; None when nothing changed.
        changes: every document's resource and every pruned one, those that stayed the same included.
    """

    entry: Entry | None
    changes: tuple[ResourceChange, ...]
    position: Position


async def apply(environment: Environment, command: Apply, actor: Actor, fleet: Fleet) -> Applied:
    """Read, validate, plan, check as an SDK would, commit.

    Raises:
        InvalidInput: a document is wrong, or an SDK could not read what it becomes.
        Conflict: the saved plan's ground has moved, or the idempotency key was used for another request.
        Refused: "unsupported", a connected SDK cannot evaluate it.
        Unavailable: the store is away; nothing was written.
    """
