"""The whole controller in memory, whatever people, processes, stores and clocks do to it (DESIGN sections 7 and 10).

At every step a fixed population is decided by the real engine over what SDKs receive, and the journal is judged by the
laws of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.rough_room import FLAGS, REPORTS, ROLLOUTS, VERBS, RoughRoom

PHASES = (
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
    Phase.shrink,
)  # to explain a failure takes longer than to find it
SHORT = settings(max_examples=20, stateful_step_count=35, deadline=None, phases=PHASES)
SOAK = settings(max_examples=1_500, stateful_step_count=60, deadline=None, phases=PHASES)

rollouts = st.sampled_from(ROLLOUTS)
people = st.sampled_from(("mia", "kai"))


class Anything(RuleBasedStateMachine):
    """Random verbs, reports, edits and faults."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.room = RoughRoom()
        self.do(self.room.open())

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if hasattr(self, "room"):
            self.do(self.room.close())
            self.loop.close()

    @rule(count=st.integers(1, 8), report=st.sampled_from(REPORTS))
    def live(self, count: int, report: str) -> None:
        self.do(self.room.live(count, report))

    @rule(count=st.integers(3, 14))
    def fine(self, count: int) -> None:
        self.do(self.room.live(count, "fine"))

    @rule(rollout=rollouts, who=people)
    def start(self, rollout: str, who: str) -> None:
        self.do(self.room.start(rollout, who))

    @rule(rollout=rollouts, verb=st.sampled_from(VERBS), who=people, to=st.integers(0, 4), is_there=st.booleans())
    def drive(self, rollout: str, verb: str, who: str, to: int, *, is_there: bool) -> None:
        self.do(self.room.drive(rollout, verb, who, to, is_there=is_there or verb != "promote"))

    @rule(rollout=rollouts)
    def approve(self, rollout: str) -> None:
        self.do(self.room.drive(rollout, "approve", "mia", 0, is_there=True))
        self.do(self.room.drive(rollout, "approve", "kai", 0, is_there=True))

    @rule(rollout=rollouts, doubts=st.integers(0, 2))
    def rollback(self, rollout: str, doubts: int) -> None:
        if not doubts:
            self.do(self.room.drive(rollout, "rollback", "mia", 0, is_there=True))

    @rule(flag=st.sampled_from(FLAGS), doubts=st.integers(0, 2))
    def kill(self, flag: str, doubts: int) -> None:
        if not doubts:
            self.do(self.room.kill(flag))

    @rule(flag=st.sampled_from(FLAGS))
    def unkill(self, flag: str) -> None:
        self.do(self.room.unkill(flag))

    @rule(length_s=st.sampled_from((0, 3, 10)), stagger_s=st.sampled_from((0, 5)))
    def freeze(self, length_s: int, stagger_s: int) -> None:
        self.do(self.room.freeze(length_s, stagger_s))

    @rule()
    def thaw(self) -> None:
        self.do(self.room.thaw())

    @rule(what=st.sampled_from(("cohort", "gate", "flag", "pipeline", "metric", "never")), seed=st.integers(0, 7))
    def edit(self, what: str, seed: int) -> None:
        self.do(self.room.edit(what, seed))

    @rule(is_whole=st.booleans())
    def restart(self, *, is_whole: bool) -> None:
        self.do(self.room.restart(is_whole=is_whole))

    @rule(lives=st.integers(0, 3), before=st.integers(0, 4))
    def crash(self, lives: int, before: int) -> None:
        self.do(self.room.live(before, "fine"))
        self.do(self.room.crash(lives))

    @rule(what=st.sampled_from(("telemetry", "journal", "both")), count=st.integers(1, 5))
    def outage(self, what: str, count: int) -> None:
        self.do(self.room.outage(what, count))

    @rule(by_s=st.sampled_from((-100_000, -30, -2, 2, 30, 100_000)), count=st.integers(1, 3))
    def clock(self, by_s: int, count: int) -> None:
        self.do(self.room.jump(by_s * 1_000, count))

    @rule(count=st.integers(1, 3))
    def another_controller(self, count: int) -> None:
        self.do(self.room.taken_over(count))


def test_a_controller_keeps_its_laws_whatever_happens() -> None:
    """Who is exposed follows the law, what is broken is rolled back at the next tick, nothing advances unseen."""
    run_state_machine_as_test(Anything, settings=SHORT)


@pytest.mark.soak
@pytest.mark.timeout(14_400)
def test_a_controller_keeps_its_laws_in_thousands_of_histories() -> None:
    """The same, at length."""
    run_state_machine_as_test(Anything, settings=SOAK)
