"""The exposure law (DESIGN section 7) over the real machine and the real engine, whatever people do to a run.

Random pipelines with overlapping audiences; ticks, freezes, broken guards, pauses, promotes both ways, edits of
cohorts, rollbacks, kills, new runs, restarts and crashes. At every moment the engine decides a whole population.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rollout_sdk.engine.compile import CompiledRuleset, compile_ruleset
from rollout_sdk.engine.model import Arm
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    ENDED,
    FINISH,
    Approve,
    ClosureEdited,
    Event,
    Judged,
    Kill,
    Pause,
    Phase,
    Progress,
    Promote,
    Reached,
    Rollback,
    Run,
    Start,
    Tick,
    is_transition,
    reaches,
    step,
)
from rollout_server.domain.machine import Resume as ResumeRun
from rollout_server.domain.resources import RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of
from rollout_server.domain.rollouts import RolloutSpec
from tests.machine_exploration import restart
from tests.random_rollouts import FLAG, KEY, ORIGIN, TICK_MS, RolloutWorld, new_run, pipeline, rollout_world
from tests.random_worlds import COHORTS, Dice

CONTEXTS = 30
SHORT = settings(max_examples=100, stateful_step_count=40, deadline=None)
SOAK = settings(max_examples=10_000, stateful_step_count=60, deadline=None)


class Exposure(RuleBasedStateMachine):
    """One rollout, its runs, and whom they expose."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.world: RolloutWorld = rollout_world(self.dice, CONTEXTS)
        self.now_ms = 10**12
        self.compiled: CompiledRuleset | None = None
        self.edits = 0
        self.known: dict[tuple[Reached, ...], frozenset[int]] = {}
        self.run: Run = self.opened(1)
        if self.dice.chance(0.8):
            self.run, _ = step(self.run, Start("ann", self.now_ms))
        self.journaled, self.checkpoint = self.run, self.run.progress
        self.exposed = self.decided()

    def opened(self, number: int) -> Run:
        """A run of the pipeline as it is at its start; one pipeline in three is edited before."""
        if number == 1 or self.dice.chance(0.3):
            self.pipeline = pipeline(self.dice, ticks_max=4)
        spec = self.world.rollout.spec
        assert isinstance(spec, RolloutSpec)
        return new_run(self.pipeline, number, spec)

    def decided(self) -> frozenset[int]:
        """Decide everybody as SDKs would, compiling from the ruleset before as they do."""
        state = rollout_state_of(self.world.with_run(self.run), self.world.resources)
        ruleset = replace(self.world.ruleset, rollouts={**self.world.ruleset.rollouts, KEY: state})
        self.compiled = compile_ruleset(ruleset, self.compiled)
        decider = self.compiled.bind(ORIGIN)
        found = [decider.decide(FLAG, context) for context in self.world.population]
        now = frozenset(
            at for at, decision in enumerate(found) if decision.rollout == KEY and decision.arm is Arm.CANDIDATE
        )
        reached = reaches(self.run)
        # Equal stages and shares expose the same units, whichever run and however it came there.
        assert self.known.setdefault(reached, now) == now
        for entered, were in self.known.items():
            if set(entered) <= set(reached):
                assert were <= now
        return now

    def happens(self, event: Event, *, may: str) -> None:
        """Let the machine take an event, and compare whom it exposes with whom it may."""
        before, exposed = self.run, self.exposed
        self.run, _ = step(self.run, event)
        if is_transition(before, self.run):
            self.journaled = self.run
            assert self.run.transition == before.transition + 1
        self.exposed = self.decided()
        is_lawful = {
            "grow": exposed <= self.exposed,
            "shrink": self.exposed <= exposed,
            "stand": self.exposed == exposed,
            "end": not self.exposed,
        }
        assert is_lawful[may], (event, sorted(exposed), sorted(self.exposed))

    def here(self) -> str:
        return self.run.stage_name

    # ----------------------------------------------------------------------------------------------- what happens

    @precondition(lambda self: self.run.phase is Phase.SCHEDULED)
    @rule(is_frozen=st.booleans())
    def start(self, *, is_frozen: bool) -> None:
        self.happens(Start("ann", self.now_ms, is_frozen=is_frozen), may="stand" if is_frozen else "grow")

    @rule(count=st.integers(1, 12), stops=st.sampled_from(("", "", "", "freeze", "turn")), units=st.integers(3, 9))
    def ticks(self, count: int, stops: str, units: int) -> None:
        verdicts = tuple(Judged(guard.name, Standing.HEALTHY) for guard in self.run.guards)
        for _ in range(count):
            self.now_ms += TICK_MS
            is_frozen, may_grow = stops == "freeze", stops != "turn"
            tick = Tick(self.now_ms, TICK_MS, verdicts, units, is_frozen=is_frozen, may_grow=may_grow)
            self.happens(tick, may="stand" if stops else "grow")

    @rule(
        jump_ms=st.integers(-(10**9), 10**9), standing=st.sampled_from([*Standing, Standing.HEALTHY, Standing.HEALTHY])
    )
    def odd_tick(self, jump_ms: int, standing: Standing) -> None:
        self.now_ms += jump_ms
        verdicts = tuple(Judged(guard.name, standing) for guard in self.run.guards)
        tick = Tick(self.now_ms, TICK_MS, verdicts, 5)
        grows = standing in {Standing.HEALTHY, Standing.UNDECIDED, Standing.UNJUDGED}
        may = "end" if standing is Standing.DEGRADED and self.run.phase not in ENDED else "grow" if grows else "stand"
        if standing is Standing.DEGRADED and self.run.phase is Phase.COMPLETED:
            may = "end"
        if self.run.phase is Phase.SCHEDULED:
            may = "stand"
        self.happens(tick, may=may)

    @rule()
    def pause(self) -> None:
        self.happens(Pause("ann", self.now_ms), may="stand")

    @rule()
    def resume(self) -> None:
        self.happens(ResumeRun("ann", self.now_ms, self.here()), may="stand")

    @rule(people=st.sampled_from((("ann",), ("ann", "bob", "kai"))))
    def approve(self, people: tuple[str, ...]) -> None:
        for person in people:
            self.happens(Approve(person, self.now_ms, self.here()), may="stand")

    @rule(at=st.integers(0, 4), is_frozen=st.sampled_from((False, False, False, True)), goes_on=st.booleans())
    def promote(self, at: int, *, is_frozen: bool, goes_on: bool) -> None:
        if goes_on:
            self.resume()
        names = [*(stage.name for stage in self.run.pipeline.stages), FINISH]
        place = at % len(names)
        is_back = place < self.run.place
        event = Promote("ann", self.now_ms, self.here(), names[place], "urgent", is_frozen=is_frozen)
        self.happens(event, may="shrink" if is_back else "stand" if is_frozen else "grow")

    @rule(is_kill=st.booleans(), doubts=st.integers(0, 3))
    def stop(self, *, is_kill: bool, doubts: int) -> None:
        """Every fourth time, so that runs get somewhere."""
        if not doubts:
            event = Kill("ann", self.now_ms) if is_kill else Rollback("ann", self.now_ms)
            self.happens(event, may="end")

    @precondition(lambda self: self.run.phase in {Phase.ROLLED_BACK, Phase.CANCELLED})
    @rule()
    def start_again(self) -> None:
        """The next run has the rollout's salt, so it exposes the same units first."""
        self.run = self.journaled = self.opened(self.run.number + 1)
        self.happens(Start("ann", self.now_ms), may="grow")

    @rule(cohort=st.sampled_from(COHORTS))
    def edit_cohort(self, cohort: str) -> None:
        """An edit may move anybody; it opens a new allocation wherever somebody may be exposed, and then stands."""
        self.edits += 1
        edited = self.dice.cohort(cohort)
        ruleset = self.world.ruleset
        self.world.ruleset = replace(ruleset, cohorts={**ruleset.cohorts, cohort: edited})
        before = self.run
        closure = ((f"cohort/{cohort}", str(self.edits)),)
        self.run, _ = step(self.run, ClosureEdited("ann", self.now_ms, closure))
        if is_transition(before, self.run):
            self.journaled = self.run
        if before.allocation and before.phase not in {Phase.ROLLED_BACK, Phase.CANCELLED}:
            assert self.run.allocation == before.allocation + 1
        assert reaches(self.run) == reaches(before)
        self.known.clear()
        self.exposed = self.decided()

    # ------------------------------------------------------------------------------------------- what may go wrong

    @rule()
    def keep_checkpoint(self) -> None:
        self.checkpoint = self.run.progress

    @rule(loses_all=st.booleans())
    def crash(self, *, loses_all: bool) -> None:
        """What was journaled stands, what was checkpointed counts if it belongs there; nobody is moved by it."""
        kept = Progress() if loses_all else self.checkpoint
        self.run = restart(self.journaled, kept)
        self.compiled = None
        now = self.decided()
        assert now == self.exposed
        assert isinstance(self.world.rollout.status, RolloutStatus)


def test_exposure_is_lawful_whatever_happens() -> None:
    """Going on only adds, going back only removes, an end removes all, a new run begins with the same units."""
    run_state_machine_as_test(Exposure, settings=SHORT)


@pytest.mark.soak
@pytest.mark.timeout(14_400)
def test_exposure_is_lawful_in_tens_of_thousands_of_runs() -> None:
    """The same, ten thousand times sixty events."""
    run_state_machine_as_test(Exposure, settings=SOAK)
