"""Channels and policies by themselves, and what policies demand of what is written."""

from dataclasses import replace
from typing import Any as Anything

import pytest

from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind
from tests.small_rollouts import STATE, id_of, pipeline, places, wrong
from tests.small_state import applied, cohort_document, document, flag_document


@pytest.mark.parametrize(
    "spec",
    [
        {"webhook": "https://hooks.example.com/a?b=c", "secret": {"env": "PAGER_SECRET"}},
        {"webhook": "https://..."},
        {"webhook": "http://localhost:8080/hook"},
        {"webhook": "http://[::1]:8080/hook"},
        {"command": ["notify", "--team"]},
        {"apprise": "slack://{secret}/#releases", "secret": {"env": "SLACK_TOKENS"}},
        {"apprise": "dbus://local"},
    ],
)
def test_good_channels_are_good(spec: dict[str, Anything]) -> None:
    """HTTPS anywhere, HTTP to this machine, a program, a service."""
    assert places(document("Channel", "c", **spec)) == []


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"webhook": "http://hooks.example.com"}, "spec.webhook", "bad_url"),
        ({"webhook": "ftp://hooks.example.com"}, "spec.webhook", "bad_url"),
        ({"webhook": "hooks.example.com"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://[::1"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://a.example:99999"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://a.example/a b"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://mia:secret@a.example"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://a.example/#here"}, "spec.webhook", "bad_url"),
        ({"webhook": "https://a.example", "secret": {"env": "A-B"}}, "spec.secret.env", "bad_secret"),
        ({"command": ["a\0b"]}, "spec.command[0]", "bad_command"),
        ({"command": ["a"], "secret": {"env": "A"}}, "spec.secret", "bad_secret"),
        ({"apprise": "slack"}, "spec.apprise", "bad_url"),
        ({"apprise": "slack://token", "secret": {"env": "A"}}, "spec.apprise", "bad_secret"),
        ({"apprise": "slack://{secret}"}, "spec.apprise", "bad_secret"),
    ],
)
def test_a_channel_that_reaches_nobody_or_tells_too_much_is_refused(
    spec: dict[str, Anything], place: str, code: str
) -> None:
    """Addresses that are none, the clear over the network, secrets where everybody looks."""
    assert places(document("Channel", "c", **spec)) == [(place, code)]


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"groups": {"a": []}}, "spec.groups.a", "empty_group"),
        ({"groups": {"a": ["mia", "mia"]}}, "spec.groups.a", "duplicate_person"),
        ({"groups": {"a": ["mia", "Mia "]}}, "spec.groups.a", "duplicate_person"),
        ({"groups": {"managers": ["mia"]}}, "spec.groups.managers", "duplicate_group"),
        ({"approvals": {"Flag": {"from": "manager"}}}, "spec.approvals.Flag.from", "unknown_group"),
        ({"approvals": {"Flag": {"from": "managers", "count": 3}}}, "spec.approvals.Flag.count", "too_few_people"),
        ({"names": {"Flag": "(a"}}, "spec.names.Flag", "bad_regex"),
        ({"names": {"Flag": "(?=a)"}}, "spec.names.Flag", "bad_regex"),
    ],
)
def test_a_policy_that_nobody_could_keep_is_refused(spec: dict[str, Anything], place: str, code: str) -> None:
    """Groups of nobody or in two places, more voices than people, patterns outside RE2."""
    assert (place, code) in places(document("Policy", "p", **spec))


def test_a_policy_demands_of_what_is_written_not_of_what_stands() -> None:
    """Adopting one changes nothing else; the next edit of a resource has to keep it."""
    policy = replace(
        document("Policy", "p", require=["owner", "expires"], names={"Flag": "[a-z]+(-[a-z]+)*"}),
        metadata=replace(document("Policy", "p").metadata, owner="platform"),
    )
    assert wrong(policy) == []
    state = applied(STATE, policy)
    assert wrong(cohort_document("staff", "u-9"), state=state) == [("cohort/staff", "metadata.owner", "policy_require")]
    bare = flag_document("new_cart")
    assert wrong(bare, state=state) == [
        ("flag/new_cart", "metadata.owner", "policy_require"),
        ("flag/new_cart", "metadata.expires", "policy_require"),
        ("flag/new_cart", "metadata.key", "policy_name"),
    ]
    named = replace(bare, metadata=replace(bare.metadata, key="new-cart", owner="mia", expires="2027-06-01"))
    assert wrong(named, state=state) == []
    assert wrong(replace(named, metadata=replace(named.metadata, key="new-cart2")), state=state) == [
        ("flag/new-cart2", "metadata.key", "policy_name")
    ]


def test_names_are_demanded_of_what_is_created() -> None:
    """A key cannot be changed, so an older resource may keep its own."""
    state = applied(STATE, document("Policy", "p", names={"Cohort": "x-.*"}))
    assert wrong(cohort_document("staff", "u-9"), state=state) == []
    assert wrong(cohort_document("other", "u-9"), state=state) == [("cohort/other", "metadata.key", "policy_name")]


def test_a_group_that_others_ask_does_not_vanish() -> None:
    """Neither by an edit of the policy nor by its deletion; who asks is told."""
    staged = {"name": "a", "share": "1%", "exit": {"approval": {"from": "managers"}}}
    state = applied(STATE, pipeline(staged))
    unknown = ("pipeline/careful", "spec.stages[0].exit.approval.from", "unknown_group")
    assert wrong(document("Policy", "people", groups={"leads": ["mia"]}), state=state) == [unknown]
    gone = plan(state, Wish([], delete=frozenset({id_of(Kind.POLICY, "people")}))).problems
    assert [(one.resource, one.code) for one in gone] == [
        ("pipeline/careful", "unknown_group"),
        ("policy/people", "still_referenced"),
    ]
