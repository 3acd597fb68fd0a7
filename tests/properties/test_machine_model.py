"""Any use of the rollout machine, in any order, against a reference of one page; restarts at every moment."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail, RelativeLimit
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    FINISH,
    Approve,
    Cancel,
    Event,
    Finish,
    Judged,
    Kill,
    Pause,
    Progress,
    Promote,
    Refusal,
    Reject,
    Resume,
    Rollback,
    Run,
    Start,
    Tick,
    is_transition,
    reaches,
    read_progress,
    read_run,
    restored,
    step,
    write_progress,
    write_run,
)
from rollout_server.domain.rollouts import AfterHold, Approval, Exit, OnBlind, PipelineSpec, Stage
from rollout_server.domain.rollouts import Finish as FinishSpec
from tests.machine_reference import Reference, Sight
from tests.machine_worlds import scheduled

TICK_MS = 5_000
GUARDRAILS = (
    Guardrail("latency", RelativeLimit(100_000), Action.ROLLBACK),
    Guardrail("conversion", RelativeLimit(-30_000), Action.HOLD),
    Guardrail("errors", AbsoluteLimit(0.01), Action.ROLLBACK),
)
PEOPLE = st.sampled_from(["ann", "bob", "cho"])
SPANS_MS = st.integers(0, 6).map(lambda ticks: ticks * TICK_MS)
PPM = st.integers(1, 1_000_000) | st.integers(1, 30)


@st.composite
def stages(draw: st.DrawFn) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            f"stage-{index}",
            draw(PPM),
            ramp_ms=draw(SPANS_MS),
            soak_ms=draw(SPANS_MS),
            exit=Exit(
                exposed=draw(st.sampled_from([0, 0, 10])),
                is_healthy=draw(st.booleans()),
                approval=draw(st.none() | st.builds(Approval, st.just("managers"), st.integers(1, 2))),
            ),
        )
        for index in range(draw(st.integers(1, 4)))
    )


PIPELINES = st.builds(
    PipelineSpec,
    stages=stages(),
    guardrails=st.just(GUARDRAILS),
    finish=st.builds(FinishSpec, PPM, SPANS_MS),
    on_blind=st.none() | st.builds(OnBlind, SPANS_MS, st.sampled_from(AfterHold)),
)
ODD = st.tuples(st.sampled_from(["latency", "conversion", "errors"]), st.sampled_from(Standing))
WAITS = st.tuples(
    st.sampled_from(["latency", "conversion", "errors"]), st.sampled_from([Standing.BLIND, Standing.SKEWED])
)
VERDICTS = st.one_of(st.just([]), st.lists(ODD, min_size=1, max_size=2), st.lists(WAITS, min_size=1)).map(
    lambda odd: tuple(
        Judged(guard, dict(odd).get(guard, Standing.HEALTHY)) for guard in ("latency", "conversion", "errors")
    )
)
TICKS = st.sampled_from([1, 1, 1, 1, 2, 3, 0, 50, -1, -700])


def sight(verdicts: tuple[Judged, ...], *, at_finish: bool) -> Sight:
    said = {one.guard: one.standing for one in verdicts}
    judging = [said["errors"]] if at_finish else list(said.values())
    judged = set(said.values()) - {Standing.UNJUDGED}
    return Sight(
        broken=Standing.DEGRADED in (said["latency"], said["errors"]),
        unseen=Standing.BLIND in judging or Standing.SKEWED in judging,
        holding=said["conversion"] is Standing.DEGRADED and not at_finish,
        healthy=judged == {Standing.HEALTHY},
    )


class RolloutMachine(RuleBasedStateMachine):
    """Ticks of every kind, every verb, wrong stages, and restarts from the last entry and checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_790_000_000_000
        self.events: list[Event] = []

    @initialize(pipeline=PIPELINES, starts=st.sampled_from([True, True, True, False]))
    def opened(self, pipeline: PipelineSpec, *, starts: bool) -> None:
        self.first = self.run = self.journaled = scheduled(pipeline)
        self.checkpoint: Progress | None = None
        self.model = Reference(pipeline, TICK_MS)
        if starts:
            self.start(frozen=False)

    def do(self, event: Event) -> bool:
        """Step, store what a server would store, and return whether it was refused."""
        before = self.run
        self.run, effects = step(before, event)
        self.events.append(event)
        if is_transition(before, self.run):
            self.journaled = self.run
        self.checkpoint = self.run.progress
        return any(isinstance(effect, Refusal) for effect in effects)

    @rule(
        ticks=TICKS,
        verdicts=VERDICTS,
        exposed=st.sampled_from([0, 10, 10]),
        frozen=st.sampled_from([False, False, True]),
    )
    def tick(self, ticks: int, verdicts: tuple[Judged, ...], exposed: int, *, frozen: bool) -> None:
        self.now_ms += ticks * TICK_MS
        self.do(Tick(self.now_ms, TICK_MS, verdicts, exposed, frozen))
        self.model.tick(ticks, sight(verdicts, at_finish=self.model.at_finish), exposed=exposed, frozen=frozen)

    @precondition(lambda self: self.model.phase in ("running", "watching"))
    @rule()
    def quiet_ticks(self) -> None:
        """A run of good ticks, without which hardly any run would get anywhere."""
        for _ in range(8):
            self.tick(1, tuple(Judged(one.metric, Standing.HEALTHY) for one in GUARDRAILS), 10, frozen=False)

    @rule(frozen=st.sampled_from([False, False, False, True]))
    def start(self, *, frozen: bool) -> None:
        is_meant = self.model.phase == "scheduled" and not frozen
        assert self.do(Start("ann", self.now_ms, is_frozen=frozen)) is not is_meant
        if is_meant:
            self.model.start()

    @precondition(lambda self: len(self.events) % 3 == 0)  # or most runs would stand still
    @rule()
    def pause(self) -> None:
        is_meant = self.model.phase not in ("scheduled", "completed", "rolled back", "cancelled")
        assert self.do(Pause("ann", self.now_ms)) is not is_meant
        if is_meant:
            self.model.pause()

    @precondition(lambda self: self.model.phase == "paused")
    @rule(here=st.sampled_from([True, True, True, False]))
    def resume(self, *, here: bool) -> None:
        assert self.do(Resume("ann", self.now_ms, self.run.stage_name if here else "elsewhere")) is not here
        if here:
            self.model.resume()

    @rule(person=PEOPLE, yes=st.sampled_from([True] * 7 + [False]))
    def answer(self, person: str, *, yes: bool) -> None:
        model = self.model
        wants = model.phase in ("running", "held", "paused", "awaiting approval") and not model.at_finish
        approval = model.pipeline.stages[model.place].exit.approval if wants else None
        is_new = (model.place, person) not in model.yes
        kind = Approve if yes else Reject
        refused = self.do(kind(person, self.now_ms, self.run.stage_name))
        assert refused is not (approval is not None and (is_new or not yes))
        if not refused and yes:
            model.approve(person)
        elif not refused:
            model.reject()

    @rule(
        data=st.data(), reason=st.sampled_from(["urgent", "urgent", ""]), frozen=st.sampled_from([False, False, True])
    )
    def promote(self, data: st.DataObject, reason: str, *, frozen: bool) -> None:
        model, count = self.model, len(self.run.pipeline.stages)
        place = data.draw(st.integers(0, count))
        to = FINISH if place == count else self.run.pipeline.stages[place].name
        goes = model.phase not in ("scheduled", "completed", "rolled back", "cancelled") and place != model.place
        forward = place > model.place
        is_meant = goes and model.may_promote(place) and (not forward or (bool(reason) and not frozen))
        event = Promote("ann", self.now_ms, self.run.stage_name, to, reason, is_frozen=frozen)
        assert self.do(event) is not is_meant
        if is_meant:
            model.promote(place)

    @precondition(lambda self: self.model.phase == "completed")
    @rule()
    def finish(self) -> None:
        assert self.do(Finish("ann", self.now_ms, FINISH)) is self.model.finished
        self.model.finish()

    @precondition(lambda self: self.model.finished or len(self.events) > 60)
    @rule(kind=st.sampled_from([Rollback, Kill]))
    def stop(self, kind: type[Rollback | Kill]) -> None:
        assert not self.do(kind("ann", self.now_ms))
        if kind is Rollback or not self.model.finished:
            self.model.stop()

    @precondition(lambda self: len(self.events) % 5 == 4)
    @rule()
    def cancel(self) -> None:
        is_meant = self.model.phase in ("scheduled", "cancelled")
        assert self.do(Cancel("ann", self.now_ms)) is not is_meant
        if is_meant:
            self.model.phase = "cancelled"

    @rule(late=st.booleans())
    def restart(self, *, late: bool) -> None:
        """A new process reads the last entry and the last checkpoint; nothing is lost, nothing counted twice."""
        assert self.checkpoint is None or self.checkpoint == self.run.progress
        checkpoint = self.checkpoint or Progress()
        tree = json.loads(json.dumps(write_run(self.journaled, lambda _pipeline: "pipeline")))
        kept = read_progress(json.loads(json.dumps(write_progress(checkpoint))))
        again = restored(read_run(tree, lambda _tree: self.first.pipeline), kept)
        assert again == self.run
        if late:  # the first tick of a new process comes whenever it comes
            self.now_ms += 3 * TICK_MS
            self.tick(3, tuple(Judged(one.metric, Standing.HEALTHY) for one in GUARDRAILS), 10, frozen=True)

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "model"):
            assert self.run.phase.value == self.model.phase
            shares = tuple(self.model.exposed[place] for place in sorted(self.model.exposed))
            assert tuple(one.share_ppm for one in reaches(self.run)) == shares

    def teardown(self) -> None:
        """Replaying what happened gives the same state."""
        if hasattr(self, "first"):
            again = self.first
            for event in self.events:
                again, _ = step(again, event)
            assert again == self.run


def test_the_machine_is_what_its_reference_says() -> None:
    """Any sequence of ticks, verbs and restarts leads where one page of plain code leads."""
    few = settings(max_examples=150, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(RolloutMachine, settings=few)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_the_machine_is_what_its_reference_says_for_long() -> None:
    """The same, with more and longer lives."""
    many = settings(max_examples=3_000, stateful_step_count=80, deadline=None)
    run_state_machine_as_test(RolloutMachine, settings=many)


@given(PIPELINES, st.lists(st.tuples(TICKS, VERDICTS), max_size=30))
def test_a_run_never_outlives_its_restart(pipeline: PipelineSpec, ticks: list[tuple[int, tuple[Judged, ...]]]) -> None:
    """A server that restarts after every single tick does what one does that never restarts."""
    steady = hasty = step(scheduled(pipeline), Start("ann", 0))[0]
    now_ms = 0
    for count, verdicts in ticks:
        now_ms += count * TICK_MS
        event = Tick(now_ms, TICK_MS, verdicts, 10)
        steady, hasty = step(steady, event)[0], step(again(hasty), event)[0]
        assert hasty == steady


def again(run: Run) -> Run:
    tree = json.loads(json.dumps(write_run(replace(run, progress=Progress(run.transition)), lambda _pipeline: None)))
    return restored(read_run(tree, lambda _tree: run.pipeline), run.progress)
