"""Small worlds of the rollout machine: pipelines short enough that every state of a run can be visited.

Time is quantised to ticks of 10 ms, shares to a few ppm, people to two. A state is kept without its counters and wall
clocks (`canonical`): tests/properties/test_machine_exploration.py proves that the machine does not look at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail, RelativeLimit
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    EXPOSING,
    FINISH,
    Acknowledge,
    Approve,
    Cancel,
    ClosureEdited,
    Event,
    Finish,
    Judged,
    Kill,
    Pause,
    Phase,
    Promote,
    Reject,
    Resume,
    Rollback,
    Run,
    Start,
    Tick,
    guards_of,
)
from rollout_server.domain.rollouts import (
    AfterHold,
    Approval,
    Escalation,
    Exit,
    OnBlind,
    PipelineSpec,
    Stage,
)
from rollout_server.domain.rollouts import Finish as FinishSpec

TICK_MS = 10
NUMBER = 7  # transition of every canonical run: a checkpoint of another number is stale
CLOSURES = ((("flag/checkout", "a"),), (("flag/checkout", "b"),))


@dataclass(frozen=True)
class World:
    """A pipeline and what may happen in it.

    Attributes:
        patterns: verdicts of one tick.
        plain: patterns that are tried with every clock, freeze and turn; the others with an ordinary tick.
        knows_freezes: states differ by whether the last tick was frozen. The machine only shows it; one world checks.
    """

    name: str
    pipeline: PipelineSpec
    patterns: tuple[tuple[Judged, ...], ...]
    plain: tuple[tuple[Judged, ...], ...]
    people: tuple[str, ...] = ("ann", "bob")
    knows_freezes: bool = False

    @property
    def scheduled(self) -> Run:
        """The run before anything happened."""
        return self.canonical(scheduled(self.pipeline))

    def canonical(self, run: Run) -> Run:
        """Return the state of this world that a run is in."""
        is_frozen = self.knows_freezes and run.is_frozen and run.phase in EXPOSING
        return replace(canonical(run), is_frozen=is_frozen)

    def events(self, run: Run) -> Iterator[Event]:
        """Everything that may happen to a canonical run."""
        yield from self.ticks()
        yield from verbs(run, self.people)

    def ticks(self) -> Iterator[Tick]:
        """Every tick, the last one having been at 0."""
        for verdicts in self.patterns:
            yield Tick(TICK_MS, TICK_MS, verdicts, exposed_units=1)
        for verdicts in self.plain:
            for now_ms in (-TICK_MS, 0, TICK_MS, 100 * TICK_MS):
                for is_frozen in (False, True):
                    yield Tick(now_ms, TICK_MS, verdicts, exposed_units=1, is_frozen=is_frozen)
            yield Tick(TICK_MS, TICK_MS, verdicts, exposed_units=0)
            yield Tick(TICK_MS, TICK_MS, verdicts, exposed_units=1, may_grow=False)
            for closure in CLOSURES:
                yield Tick(TICK_MS, TICK_MS, verdicts, exposed_units=1, closure=closure)


def scheduled(pipeline: PipelineSpec) -> Run:
    """Return a run of the rollout that all these tests drive."""
    return Run(
        rollout="launch",
        flag="checkout",
        from_variant="off",
        to_variant="on",
        number=1,
        pipeline=pipeline,
        guards=guards_of(pipeline),
        closure=CLOSURES[0],
    )


def verbs(run: Run, people: Sequence[str]) -> Iterator[Event]:
    """Everything that people may do, wrong stages and missing reasons included."""
    here = run.stage_name
    for is_frozen in (False, True):
        yield Start("ann", 0, is_frozen=is_frozen)
        yield Finish("ann", 0, here, is_frozen=is_frozen)
    yield from (Pause("ann", 0), Cancel("ann", 0), Rollback("ann", 0), Kill("ann", 0), Acknowledge("ann", 0))
    yield from (ClosureEdited("ann", 0, closure) for closure in CLOSURES)
    for expects in (here, "elsewhere"):
        yield Resume("ann", 0, expects)
        yield Reject("ann", 0, expects, "no")
        yield from (Approve(person, 0, expects) for person in people)
    yield Finish("ann", 0, "elsewhere")
    for to in ("", *(stage.name for stage in run.pipeline.stages), FINISH, "nowhere"):
        yield Promote("ann", 0, here, to, reason="urgent")
        yield Promote("ann", 0, here, to)
        yield Promote("ann", 0, here, to, reason="urgent", is_frozen=True)
    yield Promote("ann", 0, "elsewhere", reason="urgent")


def canonical(run: Run) -> Run:
    """Return the run without what the machine only counts or writes down.

    Marks of the closure are only compared with the next ones, so it is always the first that stands. What a run that is
    over has entered and been approved for plays no part any more.
    """
    if run.phase in {Phase.ROLLED_BACK, Phase.CANCELLED}:
        progress = replace(run.progress, soak_ms=0, ramp_ms=0, blind_ms=0, blind_since_ms=None)
        run = replace(run, entered=(), approvals=(), alarmed=(), end=None, allocation=0, progress=progress)
    progress = run.progress
    return replace(
        run,
        closure=CLOSURES[0],
        is_frozen=False,
        allocation=min(run.allocation, 1),
        notices=(),
        notice_count=0,
        transition=NUMBER,
        changed_at_ms=0,
        grown_at_ms=0,
        held=replace(run.held, guards=(), sentence="") if run.held else None,
        need=replace(run.need, sentence="") if run.need else None,
        end=replace(run.end, why="", at_ms=0, who="", guard="") if run.end else None,
        paused=None,
        started=None,
        approvals=tuple(sorted((replace(given, at_ms=0) for given in run.approvals), key=str)),
        progress=replace(
            progress,
            transition=NUMBER,
            last_tick_ms=None if progress.last_tick_ms is None else 0,
            blind_since_ms=None if progress.blind_since_ms is None or run.pipeline.on_blind is None else 0,
            waits_for=(),
        ),
    )


def healthy(world_guards: Sequence[str], **other: Standing) -> tuple[Judged, ...]:
    """Return verdicts: healthy but for those that are named."""
    return tuple(Judged(name, other.get(name, Standing.HEALTHY)) for name in world_guards)


def _world(name: str, pipeline: PipelineSpec, *, knows_freezes: bool = False) -> World:
    names = [guard.name for guard in guards_of(pipeline)]
    calm = healthy(names)
    alone = [
        healthy(names, **{guard: standing})
        for guard in names
        for standing in Standing
        if standing is not Standing.HEALTHY
    ]
    outages = [
        (*(one for one in calm if one.guard != name), Judged(name, Standing.UNDECIDED, hold=True)) for name in names
    ]
    pairs = [
        healthy(names, **{first: Standing.DEGRADED, second: Standing.BLIND})
        for first in names
        for second in names
        if first != second
    ]
    silent: tuple[Judged, ...] = ()
    unjudged = tuple(Judged(name, Standing.UNJUDGED) for name in names)
    twice = (*calm, Judged(names[0], Standing.DEGRADED))
    broken = healthy(names, **{names[0]: Standing.DEGRADED})
    patterns = dict.fromkeys((calm, silent, unjudged, twice, *alone, *outages, *pairs))
    return World(name, pipeline, tuple(patterns), (calm, broken), knows_freezes=knows_freezes)


_LATENCY = Guardrail("latency", RelativeLimit(100_000), Action.ROLLBACK)
_CONVERSION = Guardrail("conversion", RelativeLimit(-30_000), Action.HOLD)
_CHATTER = Guardrail("chatter", RelativeLimit(100_000), Action.NOTIFY)
_ERRORS = Guardrail("errors", AbsoluteLimit(0.01), Action.ROLLBACK)

APPROVALS = _world(
    "approvals",
    PipelineSpec(
        stages=(
            Stage("canary", 10, soak_ms=2 * TICK_MS, exit=Exit(approval=Approval("managers"))),
            Stage("quarter", 20, exit=Exit(is_healthy=True, approval=Approval("managers", 2))),
            Stage("most", 30),
        ),
        guardrails=(_LATENCY,),
        finish=FinishSpec(share_ppm=50, watch_ms=TICK_MS),
    ),
)
RAMPS = _world(
    "ramps",
    PipelineSpec(
        stages=(
            Stage("pilots", 30, audience=InCohort("pilots"), exit=Exit(exposed=1)),
            Stage("ramp", 3, ramp_ms=4 * TICK_MS, soak_ms=4 * TICK_MS),
            Stage("tenants", 31, audience=InCohort("pilots"), ramp_ms=TICK_MS, exit=Exit(is_healthy=True)),
        ),
        guardrails=(_LATENCY,),
    ),
)
ACTIONS = _world(
    "actions",
    PipelineSpec(
        stages=(
            Stage("canary", 10, exit=Exit(is_healthy=True)),
            Stage("most", 20, exit=Exit(exposed=1, approval=Approval("managers"))),
        ),
        guardrails=(_LATENCY, _CONVERSION, _CHATTER),
        finish=FinishSpec(watch_ms=TICK_MS),
        escalation=(Escalation(2 * TICK_MS, "pager"), Escalation(0, "team")),
    ),
)
BLINDNESS = _world(
    "blindness",
    PipelineSpec(
        stages=(Stage("canary", 10, soak_ms=2 * TICK_MS),),
        guardrails=(_LATENCY, _ERRORS),
        finish=FinishSpec(watch_ms=2 * TICK_MS),
        on_blind=OnBlind(2 * TICK_MS, AfterHold.ROLLBACK),
    ),
)
PATIENCE = _world(
    "patience",
    replace(BLINDNESS.pipeline, guardrails=(_ERRORS,), on_blind=OnBlind(0, AfterHold.HOLD)),
    knows_freezes=True,
)
WORLDS = (APPROVALS, RAMPS, ACTIONS, BLINDNESS, PATIENCE)

ENDED = frozenset({Phase.COMPLETED, Phase.ROLLED_BACK, Phase.CANCELLED})
