"""Who enters at which stage, and who never does, each for its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.bucketing import bucket, unit64
from rollout_sdk.engine.context import Context
from rollout_server.domain.journal import State
from rollout_server.domain.resources import Kind, RolloutStatus
from rollout_server.domain.rollout_population import Counted, Why, around, interval, states_of
from rollout_server.domain.ruleset import ruleset_of
from tests.planned_rollouts import planned, users
from tests.small_rollouts import STATE, id_of, pipeline, rollout
from tests.small_state import applied, cohort_document, document, flag_document, killed

STAGES = (
    {"name": "pilots", "audience": {"cohort": "staff"}, "share": "100%"},
    {"name": "tenth", "share": "10%"},
    {"name": "half", "share": "50%", "ramp": "1h"},
)
RULE = {"id": "launch", "rollout": "launch"}
STAGED = applied(STATE, pipeline(*STAGES, finish={"share": "90%"}))


def counts(state: State, population: list[Context]) -> Counted:
    found = planned(state, population).counted
    assert found is not None
    return found


def reasons(state: State, *population: Context) -> list[tuple[Why, str, str | None, int]]:
    return [(one.why, one.detail, one.variant, one.count) for one in counts(state, list(population)).exempt]


def salt(state: State) -> str:
    status = state.resources[id_of(Kind.ROLLOUT, "launch")].status
    assert isinstance(status, RolloutStatus)
    return status.salt


def test_stages_take_in_whom_their_share_adds() -> None:
    """Counts are exact: each is what buckets below the share come to, pilots apart."""
    population = [*users(2_000), *(Context(f"u-{at}") for at in (1, 2, 3))]
    found = counts(STAGED, population)
    keys = [context.units["user"] for context in population]
    pilots = {"u-1", "u-2", "u-3"}
    shares = (100_000, 500_000, 900_000)
    wanted = [
        pilots,
        *({key for key in keys if key in pilots or bucket(salt(STAGED), unit64(key)) < share} for share in shares),
    ]
    assert [stage.exposed for stage in found.stages] == [len(keys) for keys in wanted]
    assert [stage.entering for stage in found.stages] == [
        len(after - before) for before, after in zip([set(), *wanted], wanted, strict=False)
    ]
    assert [stage.control for stage in found.stages] == [0, *(2_003 - len(keys) for keys in wanted[1:])]
    assert len(found.by_arrival) == 2 + 20 + 1
    assert list(found.by_arrival) == sorted(found.by_arrival)


def test_units_are_listed_with_their_arm() -> None:
    """Whoever is listed as entering is exposed there, and whoever is listed as control is not."""
    found = counts(STAGED, users(200))
    tenth = found.stages[1]
    assert tenth.place == 1
    assert (
        tenth.candidates
        == tuple(key for key in (f"user-{at}" for at in range(200)) if bucket(salt(STAGED), unit64(key)) < 100_000)[:10]
    )
    assert (
        tenth.controls
        == tuple(key for key in (f"user-{at}" for at in range(200)) if bucket(salt(STAGED), unit64(key)) >= 100_000)[
            :10
        ]
    )


def test_everybody_who_never_gets_it_has_a_reason() -> None:
    """The flag's never, what it requires, targets, rules before, rules that pass, the rollout's never, no unit."""
    parent = flag_document("parent", {"id": "th", "when": {"attribute": "country", "equals": "TH"}, "serve": "on"})
    flag = flag_document(
        "checkout",
        {"id": "staff", "when": {"attribute": "staff", "equals": True}, "serve": "on"},
        {"id": "old", "when": {"attribute": "old", "equals": True}, "serve": "off"},
        {"id": "launch", "rollout": "launch", "when": {"attribute": "plan", "in": ["pro", "free"]}},
        never=[{"cohort": "opted-out"}],
        requires=[{"flag": "parent", "variants": ["on"]}],
        targets={"off": ["user-0"]},
    )
    state = applied(
        STAGED,
        parent,
        cohort_document("opted-out", "user-1"),
        flag,
        rollout(never=[{"attribute": "plan", "equals": "free"}]),
    )
    good = {"country": "TH", "staff": False, "old": False, "plan": "pro"}
    exposed = next(key for key in (f"x-{at}" for at in range(99)) if bucket(salt(state), unit64(key)) < 900_000)
    held_back = next(key for key in (f"x-{at}" for at in range(99)) if bucket(salt(state), unit64(key)) >= 900_000)
    population = (
        Context("user-0", **good),
        Context("user-1", **good),
        Context("user-2", **{**good, "country": "KR"}),
        Context("user-3", **{**good, "staff": True}),
        Context("user-4", **{**good, "old": True}),
        Context("user-5", **{**good, "plan": "gold"}),
        Context("user-6", **{**good, "plan": "free"}),
        Context(held_back, **good),
        Context(exposed, **good),
        Context.of({"tenant": "t-1"}, good),
    )
    assert sorted(reasons(state, *population), key=str) == sorted(
        (
            (Why.TARGET, "", "off", 1),
            (Why.FLAG_NEVER, "", "off", 1),
            (Why.REQUIREMENT, "", "off", 1),
            (Why.RULE, "staff", "on", 1),
            (Why.RULE, "old", "off", 1),
            (Why.NO_RULE, "", "off", 1),
            (Why.ROLLOUT_NEVER, "", "off", 1),
            (Why.CONTROL, "", "off", 1),
            (Why.NO_UNIT, "", "off", 1),
        ),
        key=str,
    )
    assert reasons(killed(state, "checkout"), Context(exposed, **good)) == [(Why.KILLED, "", "off", 1)]


def test_a_unit_counts_once() -> None:
    """Several contexts of one unit are one unit, exposed as soon as one of them is, in whatever order they come."""
    flag = flag_document(
        "checkout", {"id": "launch", "rollout": "launch", "when": {"attribute": "plan", "equals": "pro"}}
    )
    state = applied(STAGED, flag)
    contexts = [Context("u-1", plan="pro"), Context("u-1", plan="free"), Context("u-1")]
    for population in (contexts, contexts[::-1], contexts[1:] + contexts[:1]):
        found = counts(state, population)
        assert (found.contexts, found.units, found.by_arrival[0]) == (3, 1, 1)
        assert found.exempt == ()
        assert found.stages[0].candidates == ("u-1",)


def test_no_audience_holds_whom_no_stage_entered_does() -> None:
    """While the finish is out of reach, those outside of every audience are told apart from the rollout's never."""
    state = applied(
        STATE,
        pipeline({"name": "pilots", "audience": {"cohort": "staff"}, "share": "100%", "soak": "1h"}),
        rollout(never=[{"attribute": "plan", "equals": "free"}]),
    )
    always = {"from": "2026-11-20T03:00:01Z", "to": "2099-01-01T00:00:00Z"}

    state = applied(state, document("Freeze", "always", **always))
    assert reasons(state, Context("u-9", plan="pro"), Context("u-2", plan="free")) == [
        (Why.NO_AUDIENCE, "", "off", 1),
        (Why.ROLLOUT_NEVER, "", "off", 1),
    ]


def test_only_what_decides_the_flag_is_compiled() -> None:
    """What it requires, at any remove, and their rollouts; nothing of all the other flags."""
    state = applied(
        STAGED,
        flag_document(
            "parent", {"id": "r", "rollout": "other"}, requires=[{"flag": "grandparent", "variants": ["on"]}]
        ),
        flag_document("grandparent"),
        flag_document("stranger", {"id": "r", "rollout": "third"}),
        flag_document("checkout", RULE, requires=[{"flag": "parent", "variants": ["on"]}]),
        rollout("other", flag="parent"),
        rollout("third", flag="stranger"),
    )
    found = around(ruleset_of(state), "checkout")
    assert set(found.flags) == {"checkout", "parent", "grandparent"}
    assert set(found.rollouts) == {"launch", "other"}
    assert set(found.states) == set(found.versions) == set(found.flags)
    assert set(around(ruleset_of(state), "gone").flags) == set()


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(0, 0, 0.0, 1.0), (0, 100, 0.0, 0.037), (50, 100, 0.404, 0.596), (9, 9, 0.701, 1)]
)
def test_the_interval_of_a_share(count: int, of: int, low: float, high: float) -> None:
    """Wilson's: inside of 0 and 1, and not empty for all or none."""
    assert interval(count, of) == pytest.approx((low, high), abs=5e-4)


def test_what_is_no_rollout_is_refused() -> None:
    """A census of something else is a bug, and says so."""
    with pytest.raises(TypeError, match="no status"):
        states_of((), replace(STATE.resources[id_of(Kind.ROLLOUT, "launch")], status=None), {})
