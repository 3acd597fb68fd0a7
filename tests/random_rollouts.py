"""Random pipelines, freezes and runs over a random world, and what becomes of a run tick by tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import PPM, Arm, ByRollout, Flag, Origin, Rule, Ruleset
from rollout_server.domain import calendar
from rollout_server.domain.calendar import WEEKDAYS, Line
from rollout_server.domain.guardrails.spec import Guardrail, RelativeLimit
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import ENDED, Approve, Judged, Phase, Run, Start, Tick, guards_of, step
from rollout_server.domain.machine.run import approvers
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind, Metadata, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of
from rollout_server.domain.rollout_timetable import Course
from rollout_server.domain.rollouts import (
    Approval,
    Exit,
    Finish,
    FreezeSpec,
    PipelineSpec,
    RolloutSpec,
    Stage,
)
from tests.random_worlds import COHORTS, Dice

KEY, FLAG = "launch", "f1"
TICK_MS = 600_000
HOUR_MS = 3_600_000
ORIGIN = Origin()
ZONES = ("Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
BEGIN_MS = 1_774_400_000_000
"""2026-03-25, so that clocks change under some of the freezes."""


@dataclass
class RolloutWorld:
    """A flag moved by one rollout, what else decides, and a population."""

    ruleset: Ruleset
    resources: Mapping[ResourceId, Resource]
    population: list[Context]

    @property
    def rollout(self) -> Resource:
        return self.resources[ResourceId(Kind.ROLLOUT, KEY)]

    def with_run(self, run: Run | None) -> Resource:
        status = self.rollout.status
        assert isinstance(status, RolloutStatus)
        return replace(self.rollout, status=replace(status, run=run))

    def decider(self, run: Run | None) -> Decider:
        """As SDKs decide while the run stands so."""
        state = rollout_state_of(self.with_run(run), self.resources)
        ruleset = replace(self.ruleset, rollouts={**self.ruleset.rollouts, KEY: state})
        return compile_ruleset(ruleset).bind(ORIGIN)

    def exposed(self, run: Run | None) -> set[int]:
        """Numbers of the contexts that get `to` by the rollout."""
        decider = self.decider(run)
        found = [decider.decide(FLAG, context) for context in self.population]
        return {at for at, decision in enumerate(found) if decision.rollout == KEY and decision.arm is Arm.CANDIDATE}


def resource_of(flag: Flag, tags: tuple[str, ...] = ()) -> Resource:
    spec = FlagSpec(
        flag.type,
        flag.variants,
        flag.off,
        flag.default,
        flag.unit,
        flag.never,
        flag.requires,
        flag.targets,
        flag.rules,
    )
    return Resource(Kind.FLAG, Metadata(flag.key, tags=tags), spec, FlagStatus(flag.salt))


def rollout_world(dice: Dice, contexts: int) -> RolloutWorld:
    """A random ruleset in which a rule of `FLAG` leaves its answer to the rollout `KEY`, mostly the first."""
    world = dice.world()
    when = dice.condition(COHORTS, 2) if dice.chance(0.2) else None
    flag = world.flags[FLAG]
    if dice.chance(0.7):
        flag = replace(flag, never=(), requires=(), targets=(), rules=())
        world = replace(world, states={key: state for key, state in world.states.items() if key != FLAG})
    rules = (*flag.rules[: dice.random.randint(0, 1)], Rule("launch", ByRollout(KEY), when), *flag.rules)
    flag = replace(flag, rules=tuple(replace(rule, id=f"r{at}") for at, rule in enumerate(rules)))
    drawn = dice.rollout(KEY, FLAG)
    spec = RolloutSpec(FLAG, drawn.from_variant, drawn.to_variant, "careful", drawn.never)
    rollout = Resource(Kind.ROLLOUT, Metadata(KEY), spec, RolloutStatus(salt16(KEY)))
    made = {one.id: one for one in (resource_of(flag, ("web",)), rollout)}
    ruleset = replace(world, flags={**world.flags, FLAG: flag})
    return RolloutWorld(ruleset, MappingProxyType(made), [dice.context() for _ in range(contexts)])


def pipeline(dice: Dice, ticks_max: int = 200) -> PipelineSpec:
    """Stages whose audiences overlap, whose shares may fall, and which ask for all that can be asked for."""

    def length_ms() -> int:
        return dice.random.randint(1, ticks_max * TICK_MS) if dice.chance(0.6) else 0

    def stage(at: int) -> Stage:
        leave = Exit(
            exposed=dice.random.randint(0, 5),
            is_healthy=dice.chance(0.3),
            approval=Approval("managers", dice.random.randint(1, 3)) if dice.chance(0.3) else None,
        )
        audience = dice.condition(COHORTS, 2) if dice.chance(0.5) else None
        share_ppm = dice.random.choice((dice.random.randint(1, 40), dice.random.randint(1, PPM), PPM))
        return Stage(f"s{at}", share_ppm, audience, length_ms(), length_ms(), leave)

    return PipelineSpec(
        stages=tuple(stage(at) for at in range(dice.random.randint(1, 4))),
        guardrails=(Guardrail("errors", RelativeLimit(200_000)),),
        finish=Finish(dice.random.choice((PPM, dice.random.randint(1, PPM))), length_ms()),
    )


def freeze(dice: Dice) -> FreezeSpec:
    """Weekly in some zone, or given."""
    tags = dice.random.choice(((), ("web",), ("api",), ("web", "api")))
    stagger_ms = dice.random.choice((0, TICK_MS // 3, 2 * HOUR_MS))
    if dice.chance(0.7):
        start, end = (
            f"{dice.random.choice(WEEKDAYS)} {dice.random.randint(0, 23):02}:{dice.random.choice((0, 30, 59)):02}"
            for _ in range(2)
        )
        return FreezeSpec(start, end, dice.random.choice(ZONES), tags, stagger_ms=stagger_ms)
    day, hours = dice.random.randint(25, 30), dice.random.randint(1, 23)
    return FreezeSpec(f"2026-03-{day}T00:00:00Z", f"2026-03-{day}T{hours:02}:00:07Z", "", tags, stagger_ms=stagger_ms)


def course(dice: Dice) -> Course:
    """When, and what stands in the way."""
    now_ms = BEGIN_MS + dice.random.randint(0, 7 * 24 * HOUR_MS)

    def line(at: int) -> Line:
        started_ms = now_ms - dice.random.randint(0, 72 * HOUR_MS)
        ended_ms = dice.random.choice((None, now_ms - HOUR_MS, now_ms + 24 * HOUR_MS))
        return Line(f"other-{at}", started_ms, ended_ms, dice.random.choice(((), ("web",), ("api",))))

    return Course(
        now_ms=now_ms,
        tick_ms=TICK_MS,
        freezes=tuple(freeze(dice) for _ in range(dice.random.choice((0, 1, 1, 2)))),
        tags=("web",),
        line=tuple(line(at) for at in range(dice.random.randint(0, 3))),
        start="2026-03-30T09:00:00+09:00" if dice.chance(0.2) else "",
    )


def new_run(spec: PipelineSpec, number: int = 1, rollout: RolloutSpec | None = None) -> Run:
    """A run that nothing has happened to."""
    variants = (rollout.from_variant, rollout.to_variant) if rollout else ("off", "on")
    return Run(KEY, FLAG, *variants, number, spec, guards_of(spec))


def ideal_tick(run: Run, course: Course, now_ms: int) -> Tick:
    """A tick at which nothing is wrong, as a controller makes it that reads the calendar."""
    started_ms = run.started.at_ms if run.started else now_ms
    own = Line(run.rollout, min(started_ms, run.scheduled_ms or started_ms), None, course.tags)
    return Tick(
        now_ms,
        course.tick_ms,
        tuple(Judged(guard.name, Standing.HEALTHY) for guard in run.guards),
        exposed_units=10**9,
        is_frozen=calendar.is_frozen(course.freezes, course.tags, now_ms),
        may_grow=is_turn_of(own, course, now_ms),
    )


def is_turn_of(own: Line, course: Course, now_ms: int) -> bool:
    """Whether it stands before all others that a freeze held, or they are past."""
    past = calendar.thaws(course.freezes, course.tags, now_ms)
    return calendar.may_grow(own.rollout, past, [*course.line, own], now_ms)


def tick_by_tick(run: Run, course: Course, ticks_max: int) -> Iterator[tuple[int, Run]]:
    """Yield each moment and the run then; approvals come as soon as a stage is entered."""
    now_ms = course.now_ms
    for _ in range(ticks_max):
        if run.phase is Phase.SCHEDULED:
            due_ms = calendar.parse_moment_ms(course.start) or 0
            frozen = now_ms < due_ms or calendar.is_frozen(course.freezes, course.tags, now_ms)
            if not frozen and (not due_ms or is_turn_of(Line(run.rollout, due_ms, None, course.tags), course, now_ms)):
                run, _ = step(replace(run, scheduled_ms=due_ms), Start("schedule", now_ms))
        else:
            run, _ = step(run, ideal_tick(run, course, now_ms))
        stage = run.stage
        if stage is not None and stage.exit.approval is not None and not approvers(run):
            run = approved(run, now_ms)
        yield now_ms, run
        if run.phase in ENDED:
            return
        now_ms += course.tick_ms


def approved(run: Run, now_ms: int) -> Run:
    """The run with every approval that its stage asks for."""
    approval = run.stage.exit.approval if run.stage else None
    for number in range(approval.count if approval else 0):
        run, _ = step(run, Approve(f"person-{number}", now_ms, run.stage_name))
    return run
