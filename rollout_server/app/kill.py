"""Kill and unkill: a flag serves `off` to everybody, above all rules; and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId
from rollout_server.errors import NotFound

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry


@dataclass(frozen=True, slots=True)
class Kill:
    """Serve `off` to everybody. Needs no reason, no approval and no healthy SDK."""

    flag: str
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Unkill:
    """Let the flag's rules decide again; this grows."""

    flag: str
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of a kill or an unkill.

    Attributes:
        entry: the entry this call (or the first with its key) wrote; where `unchanged`, None.
        unchanged: it already was so.
    """

    entry: Entry | None
    position: Position
    unchanged: bool


async def kill(environment: Environment, command: Kill, actor: Actor) -> Killed:
    """Kill the flag: its status changes, its spec and everything else stays.

    Raises:
        NotFound: there is no such flag; the hint names near ones.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """
    return await _set_killed(environment, command, actor, killed=True)


async def unkill(environment: Environment, command: Unkill, actor: Actor) -> Killed:
    """Lift the kill; raises as `kill`."""
    return await _set_killed(environment, command, actor, killed=False)


async def _set_killed(environment: Environment, command: Kill | Unkill, actor: Actor, *, killed: bool) -> Killed:
    action = "kill" if killed else "unkill"
    flag_id = ResourceId(Kind.FLAG, command.flag)

    async def compose() -> Composed[None]:
        flag = environment.resource(flag_id)
        if flag is None or not isinstance(flag.status, FlagStatus):
            keys = [id_.key for id_ in environment.state.resources if id_.kind is Kind.FLAG]
            raise NotFound("flag", cut(command.flag), did_you_mean(command.flag, keys))
        if flag.status.killed is killed:
            return Composed({}, (), None)
        after = replace(flag, status=replace(flag.status, killed=killed))
        return Composed({flag_id: flag.version}, (Change(flag_id, after),), None)

    request = Request(action, actor.label, command.intent, fingerprint(action, command.flag))
    written = await transact(environment, request, compose)
    return Killed(written.entry, environment.position, unchanged=written.entry is None)
