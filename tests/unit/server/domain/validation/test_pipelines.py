"""Pipelines: whether every stage can be entered, judged and left."""

from typing import Any as Anything

import pytest

from tests.small_rollouts import GUARDED, pipeline, places
from tests.small_state import cohort_document, document

HEALTHY = {"guardrails": "healthy"}
STAFF = {"cohort": "staff"}


def wrong(*stages: dict[str, Anything], **spec: Anything) -> list[tuple[str, str]]:
    """Of a pipeline that no rollout takes."""
    named = [{"name": f"s{at}", "share": "10%", **stage} for at, stage in enumerate(stages)]
    return places(pipeline(*named, key="other", **spec))


def test_a_careful_pipeline_is_good() -> None:
    """Cohorts whole, then everyone in growing shares, judged where a control exists."""
    assert (
        wrong(
            {"audience": STAFF, "share": "100%", "soak": "30m", "exit": {"exposed": 3}},
            {"share": "1%", "exit": HEALTHY},
            {"share": "95%", "ramp": "2h", "exit": {**HEALTHY, "approval": {"from": "managers", "count": 2}}},
            guardrails=GUARDED,
            strata=["tenant"],
            on_blind={"hold": "30m", "then": "rollback"},
            escalation=[{"after": "0m", "notify": "team"}, {"after": "15m", "notify": "team"}],
            finish={"share": "100%", "watch": "1d"},
        )
        == []
    )


def test_a_pipeline_leads_somewhere() -> None:
    """No stages, and too many of them."""
    assert places(document("Pipeline", "other", stages=[])) == [("spec.stages", "no_stages")]
    many = [{"share": "10%"}] * 65
    assert ("spec.stages", "too_many") in wrong(*many)


@pytest.mark.parametrize(
    ("stage", "place", "code"),
    [
        ({"share": "0%"}, "share", "bad_share"),
        ({"name": "finish"}, "name", "reserved_name"),
        ({"audience": {"any": []}}, "audience", "empty_audience"),
        ({"audience": {"cohort": "stuff"}}, "audience.cohort", "unknown_cohort"),
        ({"audience": {"attribute": "a", "semver": "new"}}, "audience.semver", "bad_semver"),
        ({"exit": {"approval": {"from": "manager"}}}, "exit.approval.from", "unknown_group"),
        ({"exit": {"approval": {"from": "managers", "count": 3}}}, "exit.approval.count", "too_few_people"),
        ({"exit": {"approval": {"from": "managers", "count": 0}}}, "exit.approval.count", "bad_count"),
        ({"audience": STAFF, "share": "100%", "exit": {"exposed": 4}}, "exit.exposed", "audience_too_small"),
    ],
)
def test_a_stage_that_cannot_do_its_work_is_refused(stage: dict[str, Anything], place: str, code: str) -> None:
    """Whom it reaches, who must agree, how many it could expose."""
    found = wrong(stage)
    assert [one for one in found if one[0].startswith("spec.stages")] == [(f"spec.stages[0].{place}", code)]


def test_stages_have_names_of_their_own() -> None:
    """Verbs name the stage they mean."""
    assert wrong({"name": "a"}, {"name": "a", "share": "20%"}) == [("spec.stages[1].name", "duplicate_stage")]


def test_a_share_that_exposes_nobody_new_is_refused() -> None:
    """For the same audience, for a part of one, and at the finish; the same share again is another soak."""
    assert wrong({"share": "25%"}, {"share": "25%"}) == []
    assert wrong({"share": "25%"}, {"share": "10%"}) == [("spec.stages[1].share", "shrinking_share")]
    assert wrong({"share": "25%"}, {"audience": STAFF, "share": "10%"}) == [("spec.stages[1].share", "shrinking_share")]
    assert wrong({"audience": STAFF, "share": "100%"}, {"share": "10%"}) == []
    assert wrong({"share": "50%"}, finish={"share": "20%"}) == [("spec.finish.share", "shrinking_share")]
    assert wrong({"audience": STAFF}, finish={"share": "0%"}) == [("spec.finish.share", "bad_share")]


def test_healthy_needs_something_that_can_be_healthy() -> None:
    """Guardrails that act, and a control for those that compare."""
    whole = {"share": "100%", "exit": HEALTHY}
    assert wrong(whole) == [("spec.stages[0].exit.guardrails", "no_guardrails")]
    told = [{"metric": "errors", "limit": "+20%", "action": "notify"}]
    assert wrong(whole, guardrails=told) == [("spec.stages[0].exit.guardrails", "no_guardrails")]
    assert wrong(whole, guardrails=GUARDED) == [("spec.stages[0].exit.guardrails", "no_control")]
    assert wrong(whole, guardrails=[{"metric": "errors", "limit": {"absolute": 0.01}}]) == []


def test_control_may_come_from_an_earlier_stage() -> None:
    """Whoever it reached and did not expose, unless everybody is exposed by now."""
    staff = {"audience": STAFF, "share": "100%", "exit": HEALTHY}
    assert wrong(staff, guardrails=GUARDED) == [("spec.stages[0].exit.guardrails", "no_control")]
    assert wrong({"share": "1%"}, staff, guardrails=GUARDED) == []
    narrow = {"audience": {"all": [STAFF, {"attribute": "plan", "equals": "pro"}]}, "share": "1%"}
    assert wrong(narrow, staff, guardrails=GUARDED) == [("spec.stages[1].exit.guardrails", "no_control")]


def test_only_what_is_listed_is_counted() -> None:
    """A condition, everyone, or another kind of unit leave open how many there are."""
    asked = {"share": "100%", "exit": {"exposed": 200}}
    assert wrong({"audience": {"attribute": "plan", "equals": "pro"}, **asked}) == []
    assert wrong({**asked}) == []
    tenants = cohort_document("tenants", "t-1", unit="tenant")
    open_ = cohort_document("open", "u-1", when={"attribute": "plan", "equals": "pro"})
    assert places(tenants, pipeline({"name": "a", "audience": {"cohort": "tenants"}, **asked}, key="other")) == []
    assert places(open_, pipeline({"name": "a", "audience": {"cohort": "open"}, **asked}, key="other")) == []


def test_what_surrounds_the_stages_is_looked_at() -> None:
    """Strata, blindness, escalation."""
    assert wrong({}, strata=["a", "b", "a"]) == [("spec.strata[2]", "duplicate_stratum")]
    assert wrong({}, strata=list("abcdefghi")) == [("spec.strata", "too_many")]
    assert wrong({}, on_blind={"hold": "1m", "then": "hold"}) == [("spec.on_blind", "no_guardrails")]
    assert wrong({}, guardrails=GUARDED, on_blind={"hold": "8d", "then": "hold"}) == [
        ("spec.on_blind.hold", "out_of_range")
    ]
    step = {"after": "5m", "notify": "team"}
    assert wrong({}, escalation=[step, step]) == [("spec.escalation[1]", "duplicate_step")]
    assert wrong({}, escalation=[{"after": "5m", "notify": "teem"}]) == [
        ("spec.escalation[0].notify", "unknown_channel")
    ]
