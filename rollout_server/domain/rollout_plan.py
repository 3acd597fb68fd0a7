"""The plan of a rollout: when each stage is entered at the earliest, who enters it, who never does, and what it tells.

Times come from the machine itself (`rollout_timetable`), units from the engine itself (`rollout_population`), so that
what happens is what was planned. Only how long a guardrail takes to a verdict is an estimate (`rollout_pace`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM, InCohort, Origin
from rollout_server.domain.frozen import freezes_of, line_of, tags_of
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, MetricSpec
from rollout_server.domain.judging import built_in
from rollout_server.domain.machine import FINISH, Phase, Progress, Run, guards_of, restored
from rollout_server.domain.machine.run import approvers
from rollout_server.domain.machine.sentences import duration
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollout_pace import Pace, Split, Traffic, paces
from rollout_server.domain.rollout_population import Census, Counted, Entrants
from rollout_server.domain.rollout_timetable import HORIZON_MS, Arrival, Course, Timetable, timetable
from rollout_server.domain.rollouts import PipelineSpec, RolloutSpec
from rollout_server.domain.schedule import awaited_ms
from rollout_server.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Condition, Ruleset
    from rollout_server.domain.journal import State
    from rollout_server.domain.resources import Resource
    from rollout_server.domain.rollouts import Stage

FAR_BEYOND = 2
"""A verdict that takes this many times the soak is worth a warning."""


@dataclass(frozen=True, slots=True)
class RampStep:
    """A share, and from when on it is exposed at the earliest."""

    at_ms: int
    share_ppm: int


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage, or the finish.

    Attributes:
        name: "finish" for the finish.
        audience: as people say it.
        share_ppm: of the audience, at the end of its ramp.
        is_entered: the run is or was in it; it has no earliest entry any more.
        enters_ms: at the earliest; None where it is entered, or never is within ten years.
        steps: of its ramp, those that are still to come; one without a ramp has one step.
        soak_ms: how long it stays at full share at least; of the finish, how long it is watched.
        waited_for: what keeps it from being entered sooner: "schedule", "thaw", "turn".
        needs: what else its entry takes, in the words of a sentence: "an approval by 1 of release-managers".
        required: exposed units that leaving it takes.
        entrants: over the population; None where nobody was counted.
        paces: of each guardrail that can judge here.
    """

    name: str
    audience: str
    share_ppm: int
    is_entered: bool
    enters_ms: int | None
    steps: tuple[RampStep, ...]
    soak_ms: int
    waited_for: tuple[str, ...]
    needs: tuple[str, ...]
    required: int
    entrants: Entrants | None
    paces: tuple[Pace, ...]


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """A rollout from now on, if all goes well.

    Attributes:
        run: number of the run that is planned: the one under way, or the next.
        phase: of the run under way; scheduled for one that is to be started.
        completes_ms: at the earliest; None where it never does within ten years.
        counted: the population; None where nobody was counted.
        is_synthetic: the population was made up, so its counts stand for shares.
    """

    rollout: str
    flag: str
    from_variant: str
    to_variant: str
    unit: str
    run: int
    phase: Phase
    now_ms: int
    stages: tuple[StagePlan, ...]
    completes_ms: int | None
    counted: Counted | None
    is_synthetic: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan of a rollout stands on.

    Attributes:
        compiled: the ruleset of the state.
        tick_ms: of the controller.
        traffic: recent; None where none is known.
        listed_max: unit keys to list for each stage and arm.
        progress: what ticks added up of the run under way since its last transition; None where nobody knows.
    """

    state: State
    ruleset: Ruleset
    compiled: CompiledRuleset
    now_ms: int
    tick_ms: int
    traffic: Traffic | None = None
    listed_max: int = 10
    progress: Progress | None = None


class RolloutPlanning:
    """A plan of a rollout while its population comes in."""

    def __init__(self, ground: Ground, rollout: str) -> None:
        """Drive the machine to its end, and get ready to count.

        Raises:
            NotFound: there is no such rollout, or its pipeline is gone.
        """
        resources = ground.state.resources
        resource = resources.get(ResourceId(Kind.ROLLOUT, rollout))
        if resource is None or not isinstance(resource.spec, RolloutSpec):
            raise NotFound("rollout", rollout, "`rollout get rollouts` lists them")
        self._ground, self._rollout, self._spec = ground, resource, _as_awaited(resource, resource.spec)
        self.run = restored(prospective(resource, resources), ground.progress)
        self.timetable = timetable(self.run, course_of(resource, resources, ground.now_ms, ground.tick_ms))
        origin = Origin(ground.ruleset.position.epoch, ground.ruleset.position.revision)
        arrivals = self.timetable.arrivals
        self._census = (
            Census(
                resource,
                arrivals,
                ground.ruleset,
                resources,
                origin=origin,
                compiled=ground.compiled,
                listed_max=ground.listed_max,
            )
            if arrivals
            else None
        )

    @property
    def rulesets(self) -> tuple[Ruleset, ...]:
        """What to draw a synthetic population from: the ruleset with every stage entered."""
        return (self._census.last_ruleset,) if self._census else (self._ground.ruleset,)

    @property
    def flag(self) -> str:
        """Key of the flag that moves."""
        return self._spec.flag

    @property
    def contexts(self) -> int:
        """How many contexts were counted so far."""
        return self._census.contexts if self._census else 0

    def add(self, context: Context) -> None:
        """Count one context."""
        if self._census is not None:
            self._census.add(context)

    def result(self, *, is_synthetic: bool) -> RolloutPlan:
        """Return the plan over all that was counted."""
        counted = self._census.result() if self._census and self._census.contexts else None
        flag = self._ground.ruleset.flags.get(self._spec.flag)
        stages = _stages(self._ground, self.run, self._spec, self.timetable, counted)
        plan = RolloutPlan(
            rollout=self._rollout.metadata.key,
            flag=self._spec.flag,
            from_variant=self._spec.from_variant,
            to_variant=self._spec.to_variant,
            unit=flag.unit if flag else "",
            run=self.run.number,
            phase=self.run.phase,
            now_ms=self._ground.now_ms,
            stages=stages,
            completes_ms=self.timetable.completed_ms,
            counted=counted,
            is_synthetic=is_synthetic,
            warnings=(),
        )
        return replace(plan, warnings=(*self._unfinished(), *_warnings(plan, self._ground, self.run)))

    def _unfinished(self) -> tuple[str, ...]:
        """A completed run exposes as long as its rule stands: the next one cannot be opened over it."""
        last = self._rollout.status.run if isinstance(self._rollout.status, RolloutStatus) else None
        if last is None or last.phase is not Phase.COMPLETED or last.is_finished:
            return ()
        hint = f"`rollout finish {last.rollout}` it or roll it back before run {self.run.number} starts"
        return (f"run {last.number} is completed: {hint}",)


def prospective(rollout: Resource, resources: Mapping[ResourceId, Resource]) -> Run:
    """Return the run under way, or the one that the next start opens.

    Raises:
        NotFound: its pipeline is gone.
    """
    spec, status = rollout.spec, rollout.status
    if not isinstance(spec, RolloutSpec) or not isinstance(status, RolloutStatus):
        raise NotFound("rollout", rollout.metadata.key, "`rollout get rollouts` lists them")
    if status.run is not None and status.is_active:
        return status.run
    pipeline = resources.get(ResourceId(Kind.PIPELINE, spec.pipeline))
    if pipeline is None or not isinstance(pipeline.spec, PipelineSpec):
        raise NotFound("pipeline", spec.pipeline, "apply it first")
    return Run(
        rollout=rollout.metadata.key,
        flag=spec.flag,
        from_variant=spec.from_variant,
        to_variant=spec.to_variant,
        number=status.runs + 1,
        pipeline=pipeline.spec,
        guards=guards_of(pipeline.spec, *built_in(pipeline.spec)),
    )


def course_of(rollout: Resource, resources: Mapping[ResourceId, Resource], now_ms: int, tick_ms: int) -> Course:
    """Return what the times of a rollout's run depend on: freezes, the others in line, its schedule."""
    spec = _as_awaited(rollout, rollout.spec) if isinstance(rollout.spec, RolloutSpec) else None
    flag, start = (spec.flag, spec.start) if spec is not None else ("", "")
    return Course(
        now_ms=now_ms,
        tick_ms=tick_ms,
        freezes=tuple(freezes_of(resources.values())),
        tags=tags_of(resources, flag),
        line=tuple(one for one in line_of(resources) if one.rollout != rollout.metadata.key),
        start=start,
    )


def _as_awaited(rollout: Resource, spec: RolloutSpec) -> RolloutSpec:
    """Leave out a start that has opened its run, or was cancelled: the next one is opened by hand."""
    return spec if awaited_ms(rollout) is not None else replace(spec, start="")


def _stages(
    ground: Ground, run: Run, spec: RolloutSpec, table: Timetable, counted: Counted | None
) -> tuple[StagePlan, ...]:
    metrics = {id_.key: one.spec for id_, one in ground.state.resources.items() if isinstance(one.spec, MetricSpec)}
    entrants = {one.place: one for one in counted.stages} if counted else {}
    found = []
    for place in range(len(run.pipeline.stages) + 1):
        arrivals = [arrival for arrival in table.arrivals if arrival.place == place]
        stage = run.pipeline.stages[place] if place < len(run.pipeline.stages) else None
        share_ppm = stage.share_ppm if stage else run.pipeline.finish.share_ppm
        is_entered = place <= run.place
        split = _split(stage, share_ppm, entrants.get(place), counted)
        judging = tuple(
            one
            for one in run.pipeline.guardrails
            if one.metric in metrics and (stage is not None or isinstance(one.limit, AbsoluteLimit))
        )
        found.append(
            StagePlan(
                name=run.name_of(place),
                audience=audience_words(stage.audience if stage else None),
                share_ppm=share_ppm,
                is_entered=is_entered,
                enters_ms=arrivals[0].at_ms if arrivals and not is_entered else None,
                steps=_steps(arrivals, is_entered=is_entered),
                soak_ms=stage.soak_ms if stage else run.pipeline.finish.watch_ms,
                waited_for=arrivals[0].waited_for if arrivals else (),
                needs=() if is_entered else _needs(run, spec, place),
                required=stage.exit.exposed if stage else 0,
                entrants=entrants.get(place),
                paces=paces(judging, metrics, split, ground.traffic) if place >= run.place else (),
            )
        )
    return tuple(found)


def _steps(arrivals: list[Arrival], *, is_entered: bool) -> tuple[RampStep, ...]:
    return tuple(RampStep(one.at_ms, one.share_ppm) for one in (arrivals[1:] if is_entered else arrivals))


def audience_words(audience: Condition | None) -> str:
    """Return an audience as people say it."""
    if audience is None:
        return "everyone"
    return f"cohort {audience.cohort}" if isinstance(audience, InCohort) else "a condition"


def _needs(run: Run, spec: RolloutSpec, place: int) -> tuple[str, ...]:
    """What it takes to be entered, besides time."""
    if place == 0:
        there = f"{spec.after_environment} to have completed the same flag's rollout"
        here = () if spec.start else ("`rollout start`",)
        return (*((there,) if spec.after_environment else ()), *here)
    leaving = run.pipeline.stages[place - 1].exit
    needs = []
    if leaving.exposed:
        needs.append(f"{leaving.exposed:,} exposed units")
    if leaving.is_healthy:
        needs.append("healthy guardrails")
    if leaving.approval is not None:
        given = len(approvers(run)) if run.place == place - 1 else 0
        missing = leaving.approval.count - given
        if missing > 0:
            needs.append(f"an approval by {missing} of {leaving.approval.group}")
    return tuple(needs)


def _split(stage: Stage | None, share_ppm: int, entrants: Entrants | None, counted: Counted | None) -> Split | None:
    """How a stage splits what comes by into equal reach; None where nobody knows how large its audience is."""
    share = share_ppm / PPM
    if counted is not None and entrants is not None and counted.units:
        if share_ppm >= PPM:
            return Split(entrants.exposed / counted.units, 0.0)
        control = entrants.control / counted.units
        return Split(control * share / (1 - share), control)
    if stage is None or stage.audience is None:
        return Split(share, 1 - share)
    return None


def _warnings(plan: RolloutPlan, ground: Ground, run: Run) -> list[str]:
    flag = ground.state.resources.get(ResourceId(Kind.FLAG, plan.flag))
    warnings = []
    if flag is not None and isinstance(flag.status, FlagStatus) and flag.status.killed:
        warnings.append(f"flag/{plan.flag} is killed: nobody is exposed until `rollout unkill {plan.flag}`")
    if run.phase is Phase.PAUSED:
        warnings.append(f"it is paused: every time counts from `rollout resume {plan.rollout}`")
    elif run.phase is Phase.HELD:
        why = f": {run.held.sentence}" if run.held else ""
        warnings.append(f"it is held: every time counts from when nothing holds it{why}")
    if plan.completes_ms is None:
        years = HORIZON_MS // (366 * 86_400_000)
        warnings.append(f"it does not complete within {years} years: look for a freeze that never thaws")
    for stage in plan.stages:
        warnings += _stage_warnings(stage, plan, run)
    return warnings


def _stage_warnings(stage: StagePlan, plan: RolloutPlan, run: Run) -> list[str]:
    found = []
    entrants = stage.entrants
    if entrants is not None and not plan.is_synthetic:
        if entrants.exposed < stage.required:
            found.append(
                f"{stage.name} is left at {stage.required:,} exposed units, and this population gives "
                f"{entrants.exposed:,}: it would stay there"
            )
        if not entrants.entering and not stage.is_entered and stage.name != FINISH:
            found.append(f"{stage.name} exposes nobody new of this population")
    spec = next((one for one in run.pipeline.stages if one.name == stage.name), None)
    if spec is None or not spec.exit.is_healthy:
        return found
    blaming = {one.metric for one in run.pipeline.guardrails if one.action is not Action.NOTIFY}
    slow = [one for one in stage.paces if one.metric in blaming and one.healthy_ms is not None]
    slowest = max(slow, key=lambda one: one.healthy_ms or 0, default=None)
    if slowest is not None and (slowest.healthy_ms or 0) > FAR_BEYOND * max(stage.soak_ms, 1):
        found.append(
            f"{stage.name} soaks {duration(stage.soak_ms)}, and {slowest.metric} takes about "
            f"{duration(slowest.healthy_ms or 0)} at recent traffic to be healthy: it stays there as long"
        )
    return found
