"""Status: what every flag serves, in a sentence, and what happened in the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet, FleetSummary
    from rollout_server.app.history import ToldEntry

RECENT_MS = 3_600_000
RECENT_MAX = 50


@dataclass(frozen=True, slots=True)
class FlagSummary:
    """One flag in a line.

    Attributes:
        serving: one sentence: what, to whom.
        expires: RFC 3339 date; empty when it never does.
    """

    key: str
    killed: bool
    serving: str
    version: int
    owner: str
    expires: str
    expired: bool


@dataclass(frozen=True, slots=True)
class Status:
    """An environment at a glance.

    Attributes:
        flags: in order of key.
        recent: entries of the last hour, newest first, at most `RECENT_MAX`.
        is_following: False: the store is away, and this may be out of date.
    """

    environment: str
    position: Position
    flags: tuple[FlagSummary, ...]
    recent: tuple[ToldEntry, ...]
    fleet: FleetSummary
    is_following: bool


async def status(environment: Environment, fleet: Fleet) -> Status:
    """Say how things stand; answers from memory also while the store is away, then without `recent`."""
