"""Kill and unkill: a flag serves `off` to everybody, above all rules; and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.app.find_rollout import is_under_way, rollouts_of
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.app.plan_work import FROZEN_HINT
from rollout_server.app.start_rollout import opened
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain import machine
from rollout_server.domain.frozen import freezes_told, is_frozen
from rollout_server.domain.journal import Change, versions
from rollout_server.domain.people import names_of
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.schedule import awaited_ms
from rollout_server.errors import NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Lift the kill, which grows, and resumes nothing: a start that came meanwhile is cancelled.

    Raises:
        Refused: "freeze", one is in force and does not exempt the person.
        NotFound, Conflict, Unavailable: as `kill`.
    """
    return await _set_killed(environment, command, actor, killed=False)


def _refuse_frozen(environment: Environment, flag: str, actor: Actor) -> None:
    resources = environment.state.resources
    names = names_of(resources.values(), actor.person)
    if is_frozen(resources, flag, environment.now_ms, names):
        told = freezes_told(resources, [flag], environment.now_ms, names)
        message = f"flag {flag} stays killed: to lift it would grow, and it is frozen by {told}"
        raise Refused("freeze", message, FROZEN_HINT)


def _ended(environment: Environment, command: Kill | Unkill, actor: Actor) -> Iterator[Change]:
    """Yield the flag's runs, rolled back in the entry of the kill: lifting it resumes nothing."""
    event = machine.Kill(actor.person, environment.clock.now_ms(), command.intent.reason)
    for rollout in rollouts_of(environment.state.resources, command.flag):
        status = rollout.status
        if isinstance(status, RolloutStatus) and status.run is not None and is_under_way(rollout):
            run, _ = machine.step(status.run, event)
            yield Change(rollout.id, replace(rollout, status=replace(status, run=run)))


def _missed(environment: Environment, flag: str, actor: Actor) -> Iterator[Change]:
    """Yield the flag's rollouts whose start came while it was killed, that start cancelled: lifting starts nothing."""
    resources, now_ms = environment.state.resources, environment.clock.now_ms()
    for rollout in rollouts_of(resources, flag):
        start_ms, status = awaited_ms(rollout), rollout.status
        if start_ms is not None and start_ms <= now_ms and isinstance(status, RolloutStatus):
            scheduled = replace(opened(resources, rollout), scheduled_ms=start_ms)
            why = f"its start came while {flag} was killed"
            run, _ = machine.step(scheduled, machine.Cancel(actor.person, now_ms, why))
            yield Change(rollout.id, replace(rollout, status=replace(status, run=run, verdicts=())))


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
        if not killed:
            _refuse_frozen(environment, command.flag, actor)
        changes = [Change(flag_id, replace(flag, status=replace(flag.status, killed=killed)))]
        changes += _ended(environment, command, actor) if killed else _missed(environment, command.flag, actor)
        # A run that starts while this is decided must be ended as well, so no rollout of the flag may have moved.
        ground = {rollout.id: rollout.version for rollout in rollouts_of(environment.state.resources, command.flag)}
        return Composed({**ground, **versions(environment.state, changes)}, tuple(changes), None)

    request = Request(action, actor.label, command.intent, fingerprint(action, command.flag))
    written = await transact(environment, request, compose)
    return Killed(written.entry, environment.position, unchanged=written.entry is None)
