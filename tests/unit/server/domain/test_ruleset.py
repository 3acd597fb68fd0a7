"""What SDKs receive of a state."""

from dataclasses import replace

import pytest

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import contains
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import CohortSpec, Kind, Metadata, Resource, ResourceId, TokenSpec, TokenStatus
from rollout_server.domain.ruleset import cohort_id, cohort_of, flag_id, flag_of, ruleset_after, ruleset_of
from tests import small_rollouts
from tests.small_state import EMPTY, applied, cohort_document, committed, flag_document, killed

RULE = {"id": "all", "serve": "on"}
STATE = applied(EMPTY, flag_document("checkout", RULE), cohort_document("beta", "u-1", exclude=["u-2"]))
TOKEN = Resource(Kind.TOKEN, Metadata("t"), TokenSpec("h", "viewer", "mia", 0, 0), TokenStatus())


def test_specs_and_statuses_are_joined() -> None:
    """A flag has its rules from the spec and its salt from the status; keys become hashes."""
    ruleset = ruleset_of(STATE)
    assert ruleset.position == STATE.position
    assert ruleset.flags["checkout"].salt == salt16("checkout")
    assert [rule.id for rule in ruleset.flags["checkout"].rules] == ["all"]
    assert ruleset.versions == {"checkout": 1}
    assert contains(ruleset.cohorts["beta"].include, "u-1")
    assert contains(ruleset.cohorts["beta"].exclude, "u-2")


def test_verbs_show_in_the_states_and_tokens_not_at_all() -> None:
    """A kill is a state; what a token is never leaves the server."""
    state = committed(killed(STATE, "checkout"), Change(TOKEN.id, TOKEN))
    ruleset = ruleset_of(state)
    assert ruleset.states["checkout"].killed
    assert ruleset.flags.keys() | ruleset.cohorts.keys() == {"checkout", "beta"}


def test_what_did_not_change_is_the_same_object() -> None:
    """A revision costs what it changes: nothing else is hashed or made again."""
    first = ruleset_of(STATE)
    state = killed(
        applied(
            STATE,
            cohort_document("beta", "u-1", exclude=["u-2"], when={"cohort": "beta-2"}),
            cohort_document("beta-2", "u-3"),
        ),
        "checkout",
    )
    second = ruleset_of(state, (STATE, first))
    assert second.flags["checkout"] is first.flags["checkout"]
    assert second.cohorts["beta"] is not first.cohorts["beta"]
    assert second.cohorts["beta"].include is first.cohorts["beta"].include
    assert second.cohorts["beta"].exclude is first.cohorts["beta"].exclude
    assert second == ruleset_of(state)


def test_a_flag_that_only_looks_equal_is_made_again() -> None:
    """True equals 1 to Python: sharing goes by identity."""
    one = applied(EMPTY, flag_document("f", type="json", variants={"on": 1, "off": 0}))
    other = applied(one, flag_document("f", type="json", variants={"on": True, "off": 0}))
    assert ruleset_of(other, (one, ruleset_of(one))).flags["f"].variants[0].value is True


def test_a_ruleset_goes_on_from_an_earlier_one() -> None:
    """Created, edited, killed and deleted: the way forward leads to the same as the whole."""
    before = ruleset_of(STATE)
    state = killed(applied(STATE, flag_document("new"), cohort_document("beta", "u-9")), "checkout")
    changed = [flag_id("new"), cohort_id("beta"), flag_id("checkout")]
    assert ruleset_after(before, STATE, state, changed, None) == ruleset_of(state)
    gone = committed(STATE, Change(flag_id("checkout"), None), Change(cohort_id("beta"), None))
    assert ruleset_after(before, STATE, gone, [flag_id("checkout"), cohort_id("beta")], None) == ruleset_of(gone)


def test_rollouts_are_in_it_and_follow_their_flag() -> None:
    """Whole or step by step, the same; a rollout that goes takes no flag or cohort of its name along."""
    before = small_rollouts.STATE
    tenants = flag_document("checkout", {"id": "launch", "rollout": "launch"}, unit="tenant")
    after = applied(before, tenants, flag_document("launch"))
    changed = [flag_id("checkout"), flag_id("launch")]
    stepped = ruleset_after(ruleset_of(before), before, after, changed, None)
    assert stepped == ruleset_of(after)
    assert stepped.rollouts["launch"].unit == "tenant"
    launch = ResourceId(Kind.ROLLOUT, "launch")
    gone = committed(after, Change(launch, None))
    assert ruleset_after(stepped, after, gone, [launch], None) == ruleset_of(gone)
    assert "launch" in ruleset_of(gone).flags


def test_rollouts_that_stay_are_the_same_objects() -> None:
    """Nothing that does not change is compiled again."""
    before = ruleset_of(small_rollouts.STATE)
    after = applied(small_rollouts.STATE, flag_document("other"))
    assert (
        ruleset_after(before, small_rollouts.STATE, after, [flag_id("other")], None).rollouts["launch"]
        is (before.rollouts["launch"])
    )
    assert ruleset_of(after, (small_rollouts.STATE, before)).rollouts["launch"] is before.rollouts["launch"]


def test_cohorts_that_were_hashed_for_a_plan_are_taken_over() -> None:
    """What was planned is not hashed again when it is committed."""
    state = applied(STATE, cohort_document("beta", "u-9"))
    planned = ruleset_of(state)
    after = ruleset_after(ruleset_of(STATE), STATE, state, [cohort_id("beta")], (state, planned))
    assert after.cohorts["beta"] is planned.cohorts["beta"]


def test_what_is_no_flag_or_no_cohort_is_a_bug() -> None:
    """A resource of another kind, or a flag without status, cannot be published."""
    with pytest.raises(TypeError, match="cohort/beta"):
        flag_of(STATE.resources[cohort_id("beta")])
    with pytest.raises(TypeError, match="flag/checkout"):
        cohort_of(STATE.resources[flag_id("checkout")])
    with pytest.raises(TypeError, match="status"):
        flag_of(replace(STATE.resources[flag_id("checkout")], status=None))


def test_ids() -> None:
    """Names of the two kinds."""
    assert flag_id("a") == ResourceId(Kind.FLAG, "a")
    assert cohort_id("a") == ResourceId(Kind.COHORT, "a")
    assert CohortSpec() == CohortSpec()
