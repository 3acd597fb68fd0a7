"""A change: a stored plan that waits for approval. What is stored of it, and nothing else (docs/adr/0016).

A change is written by verbs alone. It holds the documents as they were sent until it ends; afterwards the entry that
stored it has them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType


class ChangeState(Enum):
    """How a change stands. All but the first are for good."""

    WAITING = "waiting"
    APPLIED = "applied"
    VOIDED = "voided"
    """Something that its plan rests on was changed."""
    REJECTED = "rejected"
    """By somebody who was asked, or withdrawn by its author."""
    EXPIRED = "expired"


class ChangeAction(Enum):
    """The verb that was held up, and that the last approval carries out."""

    APPLY = "apply"
    REVERT = "revert"


@dataclass(frozen=True, slots=True)
class Demand:
    """People who must agree.

    Attributes:
        group: of policies; names the demand.
        count: how many different people of the group.
        people: all of the group, the author perhaps among them.
        because: which policy asks, and of what: one sentence each.
    """

    group: str
    count: int
    people: tuple[str, ...]
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """One person's approval, by the token they gave it with."""

    person: str
    token_id: str
    at_ms: int
    reason: str = ""


def _no_reads() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """What waits, and for whom.

    Attributes:
        author: the person who asked; may not approve it.
        reason: the author's.
        stored_at_ms, expires_at_ms: Unix epoch, UTC.
        plan_hash: what planning again must give.
        summary: what it does, in a few words.
        demands: who must agree.
        documents: (origin, JSON text) as they were sent; of `apply`.
        prune: delete what no document holds; of `apply`.
        revision: the entry to undo; of `revert`.
        allow_unsupported: publish although some connected SDKs cannot evaluate it.
        reads: all that the plan rests on, "flag/checkout-v2" to its stamp (`domain.stamps`); empty once it ended.
    """

    action: ChangeAction
    author: str
    reason: str
    stored_at_ms: int
    expires_at_ms: int
    plan_hash: str
    summary: str
    demands: tuple[Demand, ...]
    documents: tuple[tuple[str, str], ...] = ()
    prune: bool = False
    revision: int = 0
    allow_unsupported: bool = False
    reads: Mapping[str, str] = field(default_factory=_no_reads)


@dataclass(frozen=True, slots=True)
class ChangeStatus:
    """What became of it.

    Attributes:
        stored_revision: of the entry that stored it, once another one has changed it; 0 until then.
        approvals: in order; nobody twice.
        ended_by: the person whose deed ended it; empty while it waits.
        because: what ended it.
        ended_revision: where the deed that ended it is an earlier entry than the one that says so; else 0.
    """

    state: ChangeState = ChangeState.WAITING
    stored_revision: int = 0
    approvals: tuple[Given, ...] = ()
    ended_by: str = ""
    because: str = ""
    ended_revision: int = 0


def voice(person: str) -> str:
    """Return what tells people apart: one person has one voice, however many tokens, capitals or spaces."""
    return unicodedata.normalize("NFKC", person).strip().casefold()
