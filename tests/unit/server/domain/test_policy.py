"""Who must agree to what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.changes import Demand
from rollout_server.domain.journal import State
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.policy import demands, is_asked, missing
from rollout_server.domain.resources import Kind, Resource, ResourceId
from tests import small_rollouts
from tests.small_state import EMPTY, applied, cohort_document, document, flag_document, killed

ON = {"id": "all", "serve": "on"}
BETA = {"id": "beta", "when": {"cohort": "beta"}, "serve": "on"}


def policy(key: str = "p", groups: dict[str, list[str]] | None = None, **approvals: tuple[str, int]) -> Resource:
    asked = {kind: {"from": group, "count": count} for kind, (group, count) in approvals.items()}
    people = {"managers": ["mia", "kai", "ann"]} if groups is None else groups
    return document("Policy", key, groups=people, approvals=asked)


def standing(*policies: Resource) -> State:
    """A flag that is off, one that serves a cohort, one that requires the first, and a cohort."""
    return applied(
        EMPTY,
        flag_document("off"),
        flag_document("beta", BETA),
        flag_document("child", ON, requires=[{"flag": "off", "variants": ["on"]}]),
        cohort_document("beta", "u-1", "u-0"),
        *policies,
    )


def asked(state: State, *documents: Resource, delete: str = "", prune: bool = False) -> dict[str, int]:
    """Group to how many of it must agree."""
    return {one.group: one.count for one in told(state, *documents, delete=delete, prune=prune)}


def told(state: State, *documents: Resource, delete: str = "", prune: bool = False) -> tuple[Demand, ...]:
    kind, _, key = delete.partition("/")
    gone = frozenset({ResourceId(Kind(kind.capitalize()), key)}) if delete else frozenset()
    made = plan(state, Wish(documents, prune, gone))
    assert made.problems == ()
    return demands(state, made)


def test_nobody_is_asked_where_no_policy_asks() -> None:
    assert asked(standing(), flag_document("off", ON)) == {}
    assert asked(standing(policy()), flag_document("off", ON)) == {}


@pytest.mark.parametrize(
    "grows",
    [
        flag_document("off", ON),
        flag_document("new"),
        cohort_document("beta", "u-0", "u-1", "u-2"),
    ],
    ids=["a rule", "a new flag", "a cohort of a rule"],
)
def test_whatever_makes_a_flag_grow_asks_whom_flags_ask(grows: Resource) -> None:
    """Editing its cohort or its prerequisite is no way around."""
    assert asked(standing(policy(Flag=("managers", 1))), grows) == {"managers": 1}


@pytest.mark.parametrize(
    "shrinks",
    [
        flag_document("beta"),
        flag_document("beta", BETA, never=["beta"]),
        cohort_document("beta", "u-1"),
        document("Metric", "errors", measures="proportion"),
    ],
    ids=["no rule", "one never more", "a smaller cohort", "another kind"],
)
def test_what_is_proven_to_shrink_asks_nobody(shrinks: Resource) -> None:
    assert asked(standing(policy(Flag=("managers", 1), Cohort=("managers", 1))), shrinks) == {}


def test_the_same_again_asks_nobody() -> None:
    assert asked(standing(policy(Flag=("managers", 1))), flag_document("beta", BETA)) == {}


def test_people_are_told_what_they_are_asked_about() -> None:
    """The policy, the kind, and what grows, be it named by the documents or not."""
    (demand,) = told(standing(policy(Flag=("managers", 2))), flag_document("off", ON))
    assert demand.people == ("mia", "kai", "ann")
    assert demand.because == ("policy/p asks 2 of managers about each Flag: flag/off, flag/child",)


def test_only_what_grows_is_asked_about() -> None:
    """Beside a flag that grows, a cohort that shrinks asks nobody."""
    state = standing(policy(Cohort=("managers", 1)))
    assert asked(state, flag_document("off", ON), cohort_document("beta", "u-1")) == {}
    assert asked(state, cohort_document("beta", "u-0", "u-1", "u-2")) == {"managers": 1}


def test_what_a_kill_hides_grows_all_the_same() -> None:
    """A killed flag serves off to all, and would after the edit: proven, and not what a policy means."""
    state = killed(standing(policy(Flag=("managers", 1))), "beta")
    assert asked(state, flag_document("beta", ON)) == {"managers": 1}
    assert asked(state, flag_document("beta")) == {}


def test_demands_of_all_policies_add_up() -> None:
    """Each group for itself, with the largest number that anything asks of it."""
    other = policy("q", {"security": ["eve"]}, Cohort=("security", 1))
    state = standing(policy(Flag=("managers", 1), Cohort=("managers", 2)), other)
    assert asked(state, cohort_document("beta", "u-0", "u-1", "u-2")) == {"managers": 2, "security": 1}


def test_losing_the_tag_of_a_freeze_is_growth() -> None:
    """A flag that is no longer frozen may be moved on."""
    freeze = document("Freeze", "weekends", **{"from": "FRI 16:00", "to": "MON 08:00", "zone": "UTC", "tags": ["web"]})
    tagged = flag_document("beta", BETA)
    tagged = replace(tagged, metadata=replace(tagged.metadata, tags=("web", "team-a")))
    state = applied(standing(policy(Flag=("managers", 1))), freeze, tagged)
    one_less = replace(tagged, metadata=replace(tagged.metadata, tags=("web",)))
    assert asked(state, one_less) == {}
    assert asked(state, flag_document("beta", BETA)) == {"managers": 1}


FREEZE = {"from": "FRI 16:00", "to": "MON 08:00", "zone": "UTC"}


def test_a_new_freeze_shrinks_and_a_lifted_one_does_not() -> None:
    state = standing(policy(Freeze=("managers", 1)))
    assert asked(state, document("Freeze", "weekends", **FREEZE)) == {}
    state = applied(state, document("Freeze", "weekends", **FREEZE))
    assert asked(state, document("Freeze", "weekends", **{**FREEZE, "to": "SUN 08:00"})) == {"managers": 1}
    assert asked(state, delete="freeze/weekends") == {"managers": 1}


def test_kinds_that_decide_nothing_ask_for_every_edit_but_of_who_looks_after_them() -> None:
    """There is no proof that a weaker pipeline is harmless."""
    state = applied(small_rollouts.STATE, _pipelines())
    edited = small_rollouts.pipeline(
        {"name": "canary", "share": "50%", "soak": "1h"}, guardrails=small_rollouts.GUARDED
    )
    assert asked(state, edited) == {"owners": 1}
    assert asked(state, small_rollouts.pipeline(key="other")) == {"owners": 1}
    same = small_rollouts.pipeline(guardrails=small_rollouts.GUARDED)
    assert asked(state, replace(same, metadata=replace(same.metadata, owner="kai"))) == {}


def _pipelines() -> Resource:
    return policy("q", {"owners": ["eve"]}, Pipeline=("owners", 1), Rollout=("owners", 1))


def test_a_rollout_shrinks_by_one_never_more_and_by_nothing_else() -> None:
    """It exposes nobody before its start, and what will be is what is asked about."""
    state = applied(small_rollouts.STATE, _pipelines())
    assert asked(state, small_rollouts.rollout(never=["staff"])) == {}
    assert asked(state, small_rollouts.rollout(start="2026-12-01T09:00:00Z")) == {"owners": 1}
    state = applied(state, small_rollouts.rollout(never=["staff"]))
    assert asked(state, small_rollouts.rollout()) == {"owners": 1}


class TestPolicies:
    """A policy is guarded by itself."""

    def test_the_rule_for_policies_counts_where_there_is_one(self) -> None:
        """For edits, deletions and new ones."""
        rule = policy(groups={"managers": ["mia"], "owners": ["eve"]}, Flag=("managers", 1), Policy=("owners", 1))
        state = standing(rule)
        assert asked(state, policy(groups={"managers": ["mia"]})) == {"owners": 1}
        assert asked(state, delete="policy/p") == {"owners": 1}
        assert asked(state, policy("q", {"more": ["kai"]})) == {"owners": 1}
        assert asked(state, replace(rule, metadata=replace(rule.metadata, owner="mia"))) == {}

    def test_without_one_everybody_who_is_asked_for_anything_has_a_say(self) -> None:
        groups = {"managers": ["mia", "kai"], "security": ["eve"], "unused": ["bob"]}
        state = standing(policy(groups=groups, Flag=("managers", 2), Cohort=("security", 1)))
        weaker = policy(groups=groups, Flag=("managers", 1), Cohort=("security", 1))
        assert asked(state, weaker) == {"managers": 2, "security": 1}
        assert asked(state, delete="policy/p") == {"managers": 2, "security": 1}

    def test_whoever_is_in_a_group_is_part_of_what_it_is_asked_for_elsewhere(self) -> None:
        """Groups in one policy, rules in another, or in a pipeline's stages."""
        groups = policy("people", {"managers": ["mia", "kai"]})
        state = standing(groups, policy("rules", {}, Flag=("managers", 2)))
        assert asked(state, policy("people", {"managers": ["mia", "kai", "eve"]})) == {"managers": 2}
        stage = {**small_rollouts.STAGE, "exit": {"approval": {"from": "managers", "count": 2}}}
        state = applied(small_rollouts.STATE, small_rollouts.pipeline(stage))
        assert asked(state, document("Policy", "people", groups={"managers": ["mia", "eve"]})) == {"managers": 2}

    def test_one_that_demands_nothing_asks_nobody(self) -> None:
        assert asked(standing(policy()), policy(groups={"managers": ["eve"]})) == {}
        assert asked(standing(), policy(Flag=("managers", 1))) == {}

    def test_what_is_written_does_not_count_yet(self) -> None:
        """Whoever adds himself to the group, and a flag, is judged by the group that stands."""
        state = standing(policy(groups={"managers": ["mia"]}, Flag=("managers", 1)))
        found = told(state, policy(groups={"managers": ["mia", "eve"]}, Flag=("managers", 1)), flag_document("off", ON))
        assert [one.people for one in found] == [("mia",)]


TWO = (Demand("managers", 2, ("mia", "kai", "Ann")), Demand("security", 1, ("eve", "kai")))


@pytest.mark.parametrize(
    ("approvers", "lacking"),
    [
        ([], {"managers": 2, "security": 1}),
        (["kai"], {"managers": 1}),
        (["kai", "KAI", " kai "], {"managers": 1}),
        (["kai", "ann"], {}),
        (["mia", "ann"], {"managers": 1, "security": 1}),
        (["stranger"], {"managers": 2, "security": 1}),
    ],
)
def test_a_person_counts_once_in_each_group_and_the_author_never(approvers: list[str], lacking: dict[str, int]) -> None:
    """Mia is the author."""
    assert {one.group: one.count for one in missing(TWO, approvers, "MIA")} == lacking


def test_who_may_still_agree_is_named() -> None:
    assert [one.people for one in missing(TWO, ["kai"], "mia")] == [("Ann",)]


def test_whoever_is_in_a_group_is_asked() -> None:
    assert is_asked(TWO, "ANN")
    assert not is_asked(TWO, "bob")
