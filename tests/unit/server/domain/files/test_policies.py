"""Channels and policies in files."""

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import read
from rollout_server.domain.files.policies import KINDS, read_channel, read_policy, write_channel, write_policy
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.rollouts import Approval, ChannelSpec, PolicySpec, Transport


@pytest.mark.parametrize(
    ("spec", "tree"),
    [
        (
            ChannelSpec(Transport.WEBHOOK, "https://a.example", secret_env="PAGER"),
            {"webhook": "https://a.example", "secret": {"env": "PAGER"}},
        ),
        (ChannelSpec(Transport.COMMAND, "notify", ("--team", "a")), {"command": ["notify", "--team", "a"]}),
        (ChannelSpec(Transport.APPRISE, "slack://x"), {"apprise": "slack://x"}),
    ],
)
def test_a_channel_is_read_and_written(spec: ChannelSpec, tree: dict[str, Json]) -> None:
    """One transport each."""
    reading = Reading()
    assert write_channel(spec) == tree
    assert read_channel(reading, tree) == spec
    assert reading.problems == []


def test_a_policy_is_read_and_written() -> None:
    """Groups, approvals, names, what must be there."""
    spec = PolicySpec(
        (("managers", ("mia", "kai")),), (("Flag", Approval("managers")),), (("Flag", "[a-z-]+"),), ("owner", "expires")
    )
    tree: dict[str, Json] = {
        "groups": {"managers": ["mia", "kai"]},
        "approvals": {"Flag": {"from": "managers", "count": 1}},
        "names": {"Flag": "[a-z-]+"},
        "require": ["owner", "expires"],
    }
    reading = Reading()
    assert write_policy(spec) == tree
    assert read_policy(reading, tree) == spec
    assert reading.problems == []
    assert "Token" not in KINDS


@pytest.mark.parametrize(
    ("kind", "spec", "place", "said"),
    [
        ("Channel", {}, "spec", "none of them"),
        ("Channel", {"webhook": "https://a", "command": ["a"]}, "spec", "this has webhook and command"),
        ("Channel", {"command": "notify --team"}, "spec.command", "a list of a program and its arguments"),
        ("Channel", {"command": []}, "spec.command", "a list is wanted"),
        ("Channel", {"command": [1]}, "spec.command[0]", 'quote it: "1"'),
        ("Channel", {"webhook": "https://a", "secret": "hunter2"}, "spec.secret", "a map"),
        ("Channel", {"webhook": "https://a", "secret": {}}, "spec.secret.env", "never stands in a file"),
        ("Policy", {"groups": {"Managers": ["a"]}}, "spec.groups.Managers", "cannot be the key of a group"),
        ("Policy", {"groups": {"a": "mia"}}, "spec.groups.a", "a list is wanted"),
        ("Policy", {"approvals": {"Flg": {"from": "a"}}}, "spec.approvals.Flg", 'did you mean "Flag"?'),
        ("Policy", {"approvals": {"Token": {"from": "a"}}}, "spec.approvals.Token", "unknown kind"),
        ("Policy", {"names": {"Flag": 1}}, "spec.names.Flag", "a pattern is wanted"),
        ("Policy", {"require": ["ownr"]}, "spec.require[0]", 'did you mean "owner"?'),
        ("Policy", {"require": "owner"}, "spec.require", "write [owner]"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: str, spec: Json, place: str, said: str) -> None:
    """One mistake, one problem, at its place; a secret is never repeated."""
    (problem,) = read({"kind": kind, "metadata": {"key": "x"}, "spec": spec})[1]
    assert problem.path == place
    assert said in str(problem)
