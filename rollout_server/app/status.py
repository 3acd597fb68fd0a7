"""Status: what every flag serves, in a sentence, and what happened in the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout_server.app.awaited_start import awaited_start
from rollout_server.app.history import tell
from rollout_server.domain.frozen import growth_told
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import FlagStatus, Kind, RolloutStatus
from rollout_server.domain.serving import serving
from rollout_server.domain.waiting import parts, waiting_in
from rollout_server.errors import RolloutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet, FleetSummary
    from rollout_server.app.history import ToldEntry
    from rollout_server.domain.resources import Resource

RECENT_MS = 3_600_000
RECENT_MAX = 50


@dataclass(frozen=True, slots=True)
class FlagSummary:
    """One flag in a line.

    Attributes:
        serving: one sentence: what, to whom.
        expires: RFC 3339 date; empty when it never does.
        expired: that day has come, by UTC.
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
        rollouts: in order of key, whether or not they have a run.
        awaited: of those that the schedule starts, by key: when, or what they wait for since.
        standing_still: of those that would grow by themselves, by key: what keeps them from it, and until when.
        changes_waiting: how many wait for somebody's approval.
        is_following: False: the store is away, and this may be out of date.
    """

    environment: str
    position: Position
    flags: tuple[FlagSummary, ...]
    recent: tuple[ToldEntry, ...]
    fleet: FleetSummary
    rollouts: tuple[Resource, ...]
    awaited: Mapping[str, str]
    standing_still: Mapping[str, str]
    changes_waiting: int
    is_following: bool


async def status(environment: Environment, fleet: Fleet, elsewhere: Callable[[str], Environment | None]) -> Status:
    """Say how things stand; answers from memory also while the store is away or damaged, then without `recent`.

    Args:
        environment: where.
        fleet: the connected SDKs.
        elsewhere: returns another environment of this server by name.
    """
    now_ms = environment.clock.now_ms()
    state = environment.state
    flags = sorted((one for id_, one in state.resources.items() if id_.kind is Kind.FLAG), key=lambda one: one.id.key)
    rollouts = {id_.key: one for id_, one in state.resources.items() if id_.kind is Kind.ROLLOUT}
    return Status(
        environment=environment.name,
        position=state.position,
        flags=tuple(_summary(flag, now_ms, rollouts) for flag in flags),
        recent=await _recent(environment, now_ms - RECENT_MS),
        fleet=fleet.summary(),
        rollouts=tuple(rollouts[key] for key in sorted(rollouts)),
        awaited={
            key: told
            for key, one in rollouts.items()
            if (told := awaited_start(state.resources, one, elsewhere, now_ms))
        },
        standing_still={
            key: told
            for key, one in rollouts.items()
            if isinstance(one.status, RolloutStatus)
            and one.status.run is not None
            and one.status.run.phase is Phase.RUNNING
            and (told := growth_told(state.resources, key, one.status.run.flag, now_ms))
        },
        changes_waiting=waiting_count(environment),
        is_following=environment.is_following,
    )


def is_expired(resource: Resource, now_ms: int) -> bool:
    """Say whether the resource's day has come, by UTC."""
    expires = resource.metadata.expires
    return bool(expires) and datetime.fromtimestamp(now_ms / 1_000, UTC).date().isoformat() >= expires


def waiting_count(environment: Environment) -> int:
    """Return how many changes wait for somebody, and have time left."""
    return sum(parts(one)[0].expires_at_ms > environment.now_ms for one in waiting_in(environment.state.resources))


def _summary(flag: Resource, now_ms: int, rollouts: Mapping[str, Resource]) -> FlagSummary:
    metadata = flag.metadata
    killed = isinstance(flag.status, FlagStatus) and flag.status.killed
    return FlagSummary(
        key=metadata.key,
        killed=killed,
        serving=serving(flag, rollouts),
        version=flag.version,
        owner=metadata.owner,
        expires=metadata.expires,
        expired=is_expired(flag, now_ms),
    )


async def _recent(environment: Environment, since_ms: int) -> tuple[ToldEntry, ...]:
    try:
        entries = await environment.journal.history(None, 0, RECENT_MAX)
        return await tell(environment, [entry for entry in entries if entry.at_ms >= since_ms])
    except RolloutError:
        return ()
