"""What people do to a run: each verb becomes one event of the machine, and its outcome one entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_server.app.find_rollout import find_rollout
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.start_rollout import Moved, opened, raise_refusal
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.frozen import freezes_told, is_frozen
from rollout_server.domain.journal import versions
from rollout_server.domain.machine import (
    Acknowledge,
    Approve,
    Cancel,
    Finish,
    Pause,
    Promote,
    Refusal,
    Reject,
    Resume,
    Rollback,
    is_transition,
    restored,
    step,
)
from rollout_server.domain.people import names_of
from rollout_server.domain.resources import RolloutStatus
from rollout_server.domain.schedule import awaited_ms
from rollout_server.domain.transitions import changes_of
from rollout_server.errors import Conflict, Forbidden, InvalidInput, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.app.rollout_view import Known
    from rollout_server.domain.machine import Effect, Event, Run
    from rollout_server.domain.resources import Resource, ResourceId


class Verb(Enum):
    """What may be done to a run, by the word that people type."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    APPROVE = "approve"
    REJECT = "reject"
    FINISH = "finish"
    ROLLBACK = "rollback"
    CANCEL = "cancel"
    ACK = "ack"


_STAGED = frozenset({Verb.RESUME, Verb.PROMOTE, Verb.APPROVE, Verb.REJECT, Verb.FINISH})
_REASONED = frozenset({Verb.REJECT})


@dataclass(frozen=True, slots=True)
class Drive:
    """Do something to a run.

    Attributes:
        target: the rollout's key, or its flag's.
        expects: the stage that whoever asks saw; another one is refused. Verbs that make safer name none.
        to: where to promote to; empty is the next stage.
    """

    verb: Verb
    target: str
    expects: str = ""
    to: str = ""
    intent: Intent = NO_INTENT


async def drive(environment: Environment, command: Drive, actor: Actor, known: Known) -> Moved:
    """Step the run by a person's verb; a repeat that would change nothing writes nothing.

    Raises:
        NotFound: there is no such rollout.
        InvalidInput: the verb needs a stage or a reason, and there is none.
        Refused: the machine says no, with its rule and what to do; or the rollout was never started.
        Conflict: the run is in another stage than the one that was seen.
        Forbidden: the stage asks for approval of a group that the person is not in.
        Unavailable: the store is away.
    """

    async def compose() -> Composed[None]:
        resources = environment.state.resources
        rollout = find_rollout(resources, command.target)
        scheduled = _scheduled(resources, rollout, command)
        run = scheduled or await _run_of(rollout, command, known)
        _check(command)  # only now: of a rollout that was never started nobody could have seen a stage
        names = names_of(resources.values(), actor.person)
        if command.verb in {Verb.APPROVE, Verb.REJECT}:
            _refuse_stranger(run, command.verb, actor, names)
        at_ms = environment.clock.now_ms()
        frozen = is_frozen(resources, run.flag, at_ms, names)
        outcome = step(run, _event(command, actor.person, at_ms, frozen=frozen))
        _raise_moved(run, command, outcome[1])
        raise_refusal(outcome[1], freezes_told(resources, [run.flag], at_ms, names))
        if not is_transition(run, outcome[0]):
            return Composed({}, (), None)
        verdicts = None if scheduled is None else ()
        changes = changes_of(resources, rollout, outcome, by=actor.label, at_ms=at_ms, verdicts=verdicts)
        return Composed(versions(environment.state, changes), changes, None)

    verb = command.verb.value
    print_ = fingerprint(verb, command.target, command.expects, command.to)
    written = await transact(environment, Request(verb, actor.label, command.intent, print_), compose)
    return Moved(written.entry, find_rollout(environment.state.resources, command.target), environment.position)


def _scheduled(resources: Mapping[ResourceId, Resource], rollout: Resource, command: Drive) -> Run | None:
    """Return the run that the schedule will open, for whoever cancels it; no status holds one that has not begun."""
    start_ms = awaited_ms(rollout) if command.verb is Verb.CANCEL else None
    return None if start_ms is None else replace(opened(resources, rollout), scheduled_ms=start_ms)


async def _run_of(rollout: Resource, command: Drive, known: Known) -> Run:
    run = rollout.status.run if isinstance(rollout.status, RolloutStatus) else None
    if run is None:
        key = rollout.metadata.key
        hint = f"`rollout start {key}` opens its first run; `rollout kill` stops a flag whatever it does"
        if awaited_ms(rollout) is not None:
            hint = f"`rollout cancel {key}` keeps it from starting by itself; {hint}"
        raise Refused("phase", f"{key} was never started: `{command.verb.value}` has no run to act on", hint)
    if command.verb is Verb.ROLLBACK:
        return run  # the way out asks no store for anything
    return restored(run, (await known(run)).progress)


def _check(command: Drive) -> None:
    problems = []
    if command.verb in _STAGED and not command.expects:
        hint = "name the stage that you saw it in: it may have moved on since"
        problems.append(Problem("", "expects", "missing", f"{command.verb.value} names no stage", hint))
    if command.verb in _REASONED and not command.intent.reason:
        hint = "say why with --reason: whoever waits reads it"
        problems.append(Problem("", "intent.reason", "missing", f"{command.verb.value} needs a reason", hint))
    if problems:
        raise InvalidInput(problems)


def _raise_moved(run: Run, command: Drive, effects: tuple[Effect, ...]) -> None:
    is_refused = any(isinstance(effect, Refusal) and effect.rule == "stage" for effect in effects)
    if is_refused and command.verb in _STAGED and command.expects != run.stage_name:
        hint = f"look at it again, `rollout watch {run.rollout}`, and decide for the stage that it is in"
        raise Conflict(f"rollout/{run.rollout}", f"stage {command.expects}", f"stage {run.stage_name}", hint)


def _refuse_stranger(run: Run, verb: Verb, actor: Actor, names: frozenset[str]) -> None:
    approval = run.stage.exit.approval if run.stage else None
    if approval is not None and approval.group not in names:
        message = f"{actor.person} is not in {approval.group}, whose members {verb.value} leaving {run.stage_name}"
        raise Forbidden(message, f"ask one of {approval.group}; a Policy lists its people")


def _event(command: Drive, by: str, at_ms: int, *, frozen: bool) -> Event:
    reason, expects = command.intent.reason, command.expects
    match command.verb:
        case Verb.PAUSE:
            return Pause(by, at_ms, reason)
        case Verb.RESUME:
            return Resume(by, at_ms, expects, reason)
        case Verb.PROMOTE:
            return Promote(by, at_ms, expects, command.to, reason, frozen)
        case Verb.APPROVE:
            return Approve(by, at_ms, expects)
        case Verb.REJECT:
            return Reject(by, at_ms, expects, reason)
        case Verb.FINISH:
            return Finish(by, at_ms, expects, reason, frozen)
        case Verb.ROLLBACK:
            return Rollback(by, at_ms, reason)
        case Verb.CANCEL:
            return Cancel(by, at_ms, reason)
        case Verb.ACK:
            return Acknowledge(by, at_ms)
