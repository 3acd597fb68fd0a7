"""Start a rollout: open its next run, with everything copied that it will follow, and enter the first stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.capabilities import needed_by
from rollout_server.app.find_rollout import find_rollout, is_under_way, rollouts_of
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.closures import closure_of, flag_mark
from rollout_server.domain.frozen import freezes_told, is_frozen
from rollout_server.domain.judging import built_in
from rollout_server.domain.machine import Phase, Refusal, Run, Start, guards_of, step
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of
from rollout_server.domain.rollouts import PipelineSpec, RolloutSpec
from rollout_server.domain.schedule import awaited_ms
from rollout_server.domain.transitions import changes_of, rules_of
from rollout_server.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.resources import Resource

SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class StartRollout:
    """Open the next run of a rollout.

    Attributes:
        target: the rollout's key, or its flag's.
        allow_unsupported: although some connected SDKs cannot evaluate it.
    """

    target: str
    intent: Intent = NO_INTENT
    allow_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a verb on a run.

    Attributes:
        entry: None where nothing had to be written.
        rollout: as it stands now.
    """

    entry: Entry | None
    rollout: Resource
    position: Position


@dataclass(frozen=True, slots=True)
class Starter:
    """Who starts: a person, or the schedule.

    Attributes:
        names: of the person and the groups that the person is in, for freezes; the schedule has none.
        label: as the journal tells of it.
        fence: of the lease under which the schedule starts; 0 for a person.
    """

    name: str
    label: str
    names: frozenset[str] = frozenset()
    fence: int = 0


async def start_rollout(
    environment: Environment,
    command: StartRollout,
    starter: Starter,
    fleet: Fleet,
    elsewhere: Callable[[str], Environment | None],
) -> Moved:
    """Open the next run.

    Args:
        environment: where.
        command: what.
        starter: who.
        fleet: the connected SDKs.
        elsewhere: returns another environment of this server by name.

    Raises:
        NotFound: there is no such rollout.
        Refused: it is under way, another one of its flag is, its flag is killed or leaves it nothing to answer, a
            freeze is in force, what it must come `after` is not done, or a connected SDK cannot evaluate it.
        Conflict, Unavailable: as for every change.
    """

    async def compose() -> Composed[None]:
        resources = environment.state.resources
        rollout = find_rollout(resources, command.target)
        refuse_start(resources, rollout, elsewhere)
        at_ms = environment.clock.now_ms()
        run = opened(resources, rollout)
        if starter.name == SCHEDULE:
            run = replace(run, scheduled_ms=awaited_ms(rollout) or 0)  # its place in line, however late it starts
        frozen = is_frozen(resources, run.flag, at_ms, starter.names)
        outcome = step(run, Start(starter.name, at_ms, command.intent.reason, is_frozen=frozen))
        raise_refusal(outcome[1], freezes_told(resources, [run.flag], at_ms, starter.names))
        status = _status_of(rollout)
        status = replace(status, rules=(), completed=status.completions)
        changes = changes_of(
            resources, replace(rollout, status=status), outcome, by=starter.label, at_ms=at_ms, verdicts=()
        )
        if not command.allow_unsupported:
            _refuse_unsupported(environment, fleet, next(one.after for one in changes if one.id == rollout.id))
        ground = {ResourceId(Kind(kind.capitalize()), key) for kind, key in _split(run.closure)}
        ground |= {ResourceId(Kind.PIPELINE, _spec_of(rollout).pipeline), rollout.id}
        ground |= {other.id for other in rollouts_of(resources, run.flag)} | {change.id for change in changes}
        return Composed({id_: resources[id_].version for id_ in ground if id_ in resources}, changes, None)

    print_ = fingerprint("start", command.target, command.allow_unsupported)
    request = Request("start", starter.label, command.intent, print_, starter.fence)
    written = await transact(environment, request, compose)
    return Moved(written.entry, find_rollout(environment.state.resources, command.target), environment.position)


def opened(resources: Mapping[ResourceId, Resource], rollout: Resource) -> Run:
    """Return the next run of a rollout, scheduled: with its own copy of the pipeline, and a fresh number.

    Args:
        resources: of the state; the pipeline is among them.
        rollout: one of them.
    """
    spec, status = _spec_of(rollout), _status_of(rollout)
    pipeline = resources[ResourceId(Kind.PIPELINE, spec.pipeline)].spec
    if not isinstance(pipeline, PipelineSpec):
        raise TypeError(f"pipeline/{spec.pipeline} is none")
    run = Run(
        rollout=rollout.metadata.key,
        flag=spec.flag,
        from_variant=spec.from_variant,
        to_variant=spec.to_variant,
        number=status.runs + 1,
        pipeline=pipeline,
        guards=guards_of(pipeline, *built_in(pipeline)),
    )
    present = {**resources, rollout.id: replace(rollout, status=replace(status, run=run))}
    return replace(run, closure=closure_of(present, rollout.id))


def refuse_start(
    resources: Mapping[ResourceId, Resource], rollout: Resource, elsewhere: Callable[[str], Environment | None]
) -> None:
    """Raise what stands against opening the next run now, freezes and SDKs aside.

    Raises:
        Refused: with what to do.
    """
    key, spec = rollout.metadata.key, _spec_of(rollout)
    run = _status_of(rollout).run
    if run is not None and is_under_way(rollout):
        done = run.phase is Phase.COMPLETED
        hint = f"`rollout finish {key}` it, or `rollout rollback {key}`" if done else f"`rollout watch {key}` shows it"
        raise Refused("phase", f"{key} run {run.number} is {run.phase.value}", hint)
    for other in rollouts_of(resources, spec.flag):
        if other.id != rollout.id and is_under_way(other):
            name = other.metadata.key
            hint = f"one at a time: let {name} end, or `rollout rollback {name}`"
            raise Refused("one_at_a_time", f"flag {spec.flag} is being moved by {name}", hint)
    flag = resources.get(ResourceId(Kind.FLAG, spec.flag))
    if flag is None or not rules_of(flag, key):
        hint = f"add {{id: launch, rollout: {key}}} to its rules, and apply"
        raise Refused(
            "no_rule", f"no rule of flag {spec.flag} leaves its answer to {key}: nobody would be exposed", hint
        )
    if isinstance(flag.status, FlagStatus) and flag.status.killed:
        hint = f"`rollout unkill {spec.flag}` first"
        raise Refused("killed", f"flag {spec.flag} is killed: nobody would be exposed", hint)
    if spec.after_environment:
        _refuse_early(flag, spec, elsewhere(spec.after_environment))


def raise_refusal(effects: tuple[object, ...], freezes: str = "") -> None:
    """Raise what the machine refused.

    Args:
        effects: of a step.
        freezes: which freezes hold the flag, where some do; the machine knows only that.

    Raises:
        Refused: with the machine's rule and hint.
    """
    for effect in effects:
        if isinstance(effect, Refusal):
            by = f" ({freezes})" if freezes and effect.rule == "freeze" else ""
            raise Refused(effect.rule, f"{effect.message}{by}", effect.hint)


def _refuse_early(flag: Resource, spec: RolloutSpec, other: Environment | None) -> None:
    name = spec.after_environment
    if other is None:
        raise Refused("after", f"there is no environment {name} on this server to wait for", "mend spec.after")
    done = (one for each in rollouts_of(other.state.resources, spec.flag) for one in _status_of(each).completions)
    marks = {one.mark for one in done if one.variant == spec.to_variant}
    if not marks:
        hint = f"complete a rollout of {spec.flag} to {spec.to_variant} in {name} first"
        raise Refused("after", f"flag {spec.flag} has completed no rollout in {name} yet", hint)
    if flag_mark(flag) not in marks:
        hint = (
            f"bring the same flag through {name} first; `rollout -e {name} get flag/{spec.flag}` shows what it is there"
        )
        raise Refused("after", f"what completed in {name} is another version of flag {spec.flag}", hint)


def _refuse_unsupported(environment: Environment, fleet: Fleet, after: Resource | None) -> None:
    """Ask whether every connected SDK can evaluate what the first stage publishes."""
    if after is None:
        return
    ruleset, state = environment.ruleset, rollout_state_of(after, environment.state.resources)
    flag = ruleset.flags.get(state.flag)
    if flag is None:
        return
    needed = needed_by(flag, ruleset.cohorts, {**ruleset.rollouts, state.rollout: state})
    lacking = fleet.unsupported({state.flag: needed})
    if lacking:
        hint = "upgrade them first, or repeat with --allow-unsupported: they keep the last rules that they could read"
        raise Refused("unsupported", f"connected SDKs cannot evaluate this: {'; '.join(lacking)}", hint)


def _split(closure: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    for id_, _ in closure:
        kind, _, key = id_.partition("/")
        yield kind, key


def _spec_of(rollout: Resource) -> RolloutSpec:
    if not isinstance(rollout.spec, RolloutSpec):
        raise TypeError(f"{rollout.id} is no rollout")
    return rollout.spec


def _status_of(rollout: Resource) -> RolloutStatus:
    if not isinstance(rollout.status, RolloutStatus):
        raise TypeError(f"{rollout.id} has no status of a rollout")
    return rollout.status
