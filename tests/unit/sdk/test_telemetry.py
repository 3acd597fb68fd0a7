"""Whom decisions expose and whom outcomes belong to, with the real engine and no server."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from rollout_sdk.attribution import Attribution, Place
from rollout_sdk.counting import Counting
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import Arm, FlagState, Origin, Reach, Ruleset
from rollout_sdk.engine.sample import run_key, unit_hash
from rollout_sdk.settings import Settings
from rollout_sdk.sums import ArmKey, LossReason, RunKey, Window
from rollout_sdk.telemetry import Telemetry
from tests.telemetry_world import METRICS, launch_ruleset, launch_state

RUN = RunKey("launch", 1)
ORIGIN = Origin("epoch-1", 1)


class Stand:
    """A telemetry, what decides through it, and a clock."""

    def __init__(self, ruleset: Ruleset | None = None) -> None:
        self.now_s = 0.0
        self.desk = Counting(Settings(), lambda: "i")
        self.telemetry = Telemetry(self.desk, lambda: self.now_s)
        self.desk.telemetry = self.telemetry
        self.decider = self.put(ruleset or launch_ruleset())

    def put(self, ruleset: Ruleset) -> Decider:
        compiled = compile_ruleset(ruleset)
        self.decider = compiled.bind(ORIGIN, self.telemetry.put_in_force(compiled.flags, ruleset.metrics))
        return self.decider

    def window(self) -> Window:
        return self.telemetry.tally.rotate(self.now_s)


def exposed(window: Window) -> dict[ArmKey, list[int]]:
    return {key: sums.exposed for key, sums in window.runs.get(RUN, {}).items() if sums.exposed}


def test_a_decision_by_a_rollout_exposes_its_unit_once() -> None:
    """In the arm and the place that the decision says, by its keyed hash."""
    stand = Stand()
    decisions = {f"u-{number}": stand.decider.decide("checkout", Context(f"u-{number}")) for number in range(50)}
    for user in decisions:
        stand.decider.decide("checkout", Context(user))
    key = run_key("launch", launch_state().salt, 1)
    wanted: dict[ArmKey, set[int]] = {}
    for user, decision in decisions.items():
        assert decision.arm is not None
        place = ArmKey(decision.allocation, decision.reach_ppm, "", decision.arm)
        wanted.setdefault(place, set()).add(unit_hash(key, user.rjust(64, ".").encode()))
    window = stand.window()
    assert {place: set(units) for place, units in exposed(window).items()} == wanted
    assert sum(map(len, exposed(window).values())) == 50
    stand.decider.decide("checkout", Context("u-1"))
    assert stand.window().is_empty


def test_nothing_else_exposes_anybody() -> None:
    """Plain flags, wrong types, missing units, killed flags, prerequisites, and whoever looks at all flags."""
    stand = Stand()
    user = Context("u-1")
    stand.decider.decide("plain", user)
    stand.decider.decide("checkout", Context())
    stand.decider.decide_all(user)
    assert stand.window().is_empty
    ruleset = launch_ruleset()
    stand.put(replace(ruleset, states={"checkout": FlagState("checkout", killed=True)}))
    stand.decider.decide("checkout", user)
    assert not stand.telemetry.is_active
    stand.put(launch_ruleset(launch_state(share_ppm=0)))
    stand.decider.decide("checkout", user)
    assert not stand.telemetry.is_active
    assert stand.window().is_empty


def test_plain_flags_pay_nothing() -> None:
    """What decides them is the very closure that the engine compiled."""
    ruleset = launch_ruleset()
    compiled = compile_ruleset(ruleset)
    telemetry = Stand().telemetry
    watch = telemetry.put_in_force(compiled.flags, METRICS)
    assert watch(compiled.flags["plain"]) is compiled.flags["plain"].rules.evaluate
    assert watch(compiled.flags["checkout"]) is not compiled.flags["checkout"].rules.evaluate


def test_counting_changes_no_decision() -> None:
    """The same answers, the same objects."""
    ruleset = launch_ruleset()
    stand = Stand(ruleset)
    plain = compile_ruleset(ruleset).bind(ORIGIN)
    for number in range(200):
        user = Context(f"u-{number}")
        assert stand.decider.decide("checkout", user) == plain.decide("checkout", user)
        assert stand.decider.decide_all(user)["checkout"] is stand.decider.decide("checkout", user)


def test_a_bug_in_counting_harms_no_decision(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once."""
    stand = Stand()
    wanted = stand.decider.decide("checkout", Context("u-1"))
    stand.telemetry.tally.expose = None  # type: ignore[assignment, method-assign] # a bug
    stand.put(launch_ruleset(launch_state(allocation=2)))
    with caplog.at_level(logging.ERROR):
        decisions = [stand.decider.decide("checkout", Context(f"v-{number}")) for number in range(3)]
    assert {decision.flag for decision in decisions} == {wanted.flag}
    assert None not in {decision.arm for decision in decisions}
    assert len(caplog.records) == 1


def test_a_new_allocation_counts_in_its_own_place_and_no_unit_twice() -> None:
    """Units that were exposed in this run are no new ones; others come under the new allocation."""
    stand = Stand()
    stand.decider.decide("checkout", Context("u-1"))
    stand.put(launch_ruleset(launch_state(700_000, allocation=2)))
    for user in ("u-1", "u-2"):
        stand.decider.decide("checkout", Context(user))
    places = {(key.allocation, key.reach_ppm): len(units) for key, units in exposed(stand.window()).items()}
    assert places == {(1, 500_000): 1, (2, 700_000): 1}


def test_a_new_run_counts_everybody_afresh() -> None:
    """Its evidence is its own."""
    stand = Stand()
    stand.decider.decide("checkout", Context("u-1"))
    stand.put(launch_ruleset(launch_state(run=2)))
    stand.decider.decide("checkout", Context("u-1"))
    runs = stand.window().runs
    assert {run: sum(len(sums.exposed) for sums in arms.values()) for run, arms in runs.items()} == {
        RUN: 1,
        RunKey("launch", 2): 1,
    }


def test_a_bare_record_works_the_arm_out_again() -> None:
    """It is summed apart, and exposes nobody."""
    stand = Stand()
    user = Context("u-1")
    arm = stand.decider.decide("checkout", user).arm
    assert arm is not None
    stand.window()
    stand.telemetry.record("errors", user, value=True)
    window = stand.window()
    assert window.runs[RUN][ArmKey(1, 500_000, "", arm, recomputed=True)].events["errors"].n.total() == 1
    assert exposed(window) == {}


def test_an_outcome_whose_arm_may_have_changed_is_unattributed() -> None:
    """Within the metric's `late` of a new allocation; never counted as control."""
    stand = Stand()
    user = Context("u-1")
    stand.now_s = 59.9
    stand.telemetry.record("late", user, value=1)
    stand.now_s = 60.0
    stand.telemetry.record("late", user, value=1)
    window = stand.window()
    assert window.unattributed == {"late": 1}
    assert sum(sums.events["late"].n.total() for sums in window.runs[RUN].values()) == 1
    stand.put(launch_ruleset(launch_state(allocation=2)))
    stand.telemetry.record("late", user, value=1)
    assert stand.window().unattributed == {"late": 1}
    stand.now_s = 120.0
    stand.put(launch_ruleset(launch_state(allocation=2), revision=3))  # the same allocation under another revision
    stand.telemetry.record("late", user, value=1)
    assert stand.window().unattributed == {}


def test_an_outcome_whose_arm_cannot_be_decided_is_unattributed() -> None:
    """A context without the unit is in no arm, and so is a run that is not here any more."""
    stand = Stand()
    stand.telemetry.record("errors", Context(), value=True)
    assert stand.window().unattributed == {"errors": 1}
    stand.put(launch_ruleset(launch_state(share_ppm=0)))
    stand.telemetry.record_for("errors", True, [_elsewhere()], 0)
    window = stand.window()
    assert (window.unattributed, window.runs) == ({"errors": 1}, {})


def test_an_outcome_of_somebody_who_is_not_reached_is_nobody_s() -> None:
    """No arm, and nothing lost."""
    stand = Stand(launch_ruleset(launch_state(reaches=(Reach("none", 0),))))
    stand.telemetry.record("errors", Context("u-1"), value=True)
    window = stand.window()
    assert not window.unattributed
    assert all(key.arm is Arm.CONTROL for key in window.runs.get(RUN, {}))


def test_unknown_metrics_are_lost_and_counted_while_somebody_is_exposed() -> None:
    """Any number of them costs no memory."""
    stand = Stand()
    for number in range(1_000):
        stand.telemetry.record(f"metric-{number}", Context("u-1"), value=1)
    window = stand.window()
    assert (window.losses, window.cells) == ({LossReason.UNKNOWN_METRIC: 1_000}, 0)
    stand.put(launch_ruleset(launch_state(share_ppm=0)))
    stand.telemetry.record("odd", Context("u-1"), value=1)
    assert stand.window().is_empty


@pytest.mark.parametrize("odd", [None, 7, [], object()])
def test_nothing_recorded_raises(odd: object) -> None:
    """Whatever a caller holds."""
    stand = Stand()
    stand.telemetry.record(odd, Context("u-1"), odd)  # type: ignore[arg-type] # that is the point
    stand.telemetry.record("errors", odd, odd)  # type: ignore[arg-type] # that is the point
    stand.telemetry.record_for(odd, odd, [], 0)  # type: ignore[arg-type] # that is the point
    assert stand.window().runs == {}


def test_strata_tell_outcomes_apart() -> None:
    """By attribute, and by the hash of a unit's key."""
    stand = Stand(launch_ruleset(launch_state(strata=("country", "tenant"))))
    for country in ("KR", "TH"):
        user = Context.of({"user": f"u-{country}", "tenant": "acme"}, {"country": country})
        stand.decider.decide("checkout", user)
        stand.telemetry.record("errors", user, value=True)
    strata = {key.stratum for key in stand.window().runs[RUN]}
    assert len(strata) == 2
    assert {name.partition(",")[0] for name in strata} == {"country=KR", "country=TH"}
    assert not any("acme" in name for name in strata)


def _elsewhere() -> Attribution:
    return Attribution(Place("launch", 1, 1, 500_000, Arm.CANDIDATE), "", 1)
