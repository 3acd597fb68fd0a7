"""`rollout diff`: files, revisions or environments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl, serving
from tests.doubles.plans import FLAG_YAML, plan
from tests.doubles.standing_resources import cohort, flag


def resources(*items: pb.Resource) -> pb.ListResourcesResponse:
    return pb.ListResourcesResponse(resources=items)


def test_two_revisions_spec_and_kill(rollout: CommandLine, control: ScriptedControl) -> None:
    """A kill is a difference too."""
    control.on(
        "ListResources",
        resources(flag("a", version=2), flag("b", version=3), cohort("gone")),
        resources(flag("a", version=9, default="on"), flag("b", version=8, killed=True), flag("new")),
    )
    outcome = rollout("diff", "--from", "4", "--to", "9")
    assert outcome.code == 3
    assert outcome.out == (
        "- cohort/gone  delete  version 1\n"
        "~ flag/a  update  version 2\n"
        '    spec.default  + "on"\n'
        "~ flag/b  update  version 3\n"
        "    status.killed  false -> true\n"
        "+ flag/new  create\n"
    )
    assert outcome.err == "production\n1 created, 2 updated, 1 deleted, from revision 4 to revision 9\n"
    assert [request.at.revision for request in control.requests("ListResources")] == [4, 9]


def test_no_difference_is_said_and_0(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListResources", resources(flag("a")))
    outcome = rollout("diff", "--from", "4")
    assert outcome.code == 0
    assert outcome.out == "no differences from revision 4 to now\n"


def test_files_against_what_stands(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    control.on("Plan", plan())
    path = tmp_path / "f.yaml"
    path.write_text(FLAG_YAML, encoding="utf-8")
    outcome = rollout("diff", "-f", str(path), "--prune")
    assert outcome.code == 3
    assert "~ flag/cart  update" in outcome.out
    question = control.requests("Plan")[0][0].question
    assert (question.prune, question.synthetic_count) == (True, 0)


@pytest.fixture
def staging() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
def two_environments(rollout: CommandLine, staging: ScriptedControl, tmp_path: Path) -> Iterator[CommandLine]:
    config = tmp_path / "config.toml"
    with serving(staging) as other:
        config.write_text(
            f'[contexts.s]\nserver = "{other}"\nenvironment = "staging"\ntoken = "rg_s"\n'
            f'[contexts.p]\nserver = "{rollout.server}"\nenvironment = "production"\ntoken = "rg_p"\n',
            encoding="utf-8",
        )
        config.chmod(0o600)
        rollout.server, rollout.environment = "", ""
        rollout.variables["ROLLOUT_CONFIG"] = str(config)
        yield rollout


@pytest.mark.parametrize("names", [("staging", "production"), ("s", "p")])
def test_two_environments_each_with_its_own_token(
    two_environments: CommandLine, control: ScriptedControl, staging: ScriptedControl, names: tuple[str, str]
) -> None:
    staging.on("ListResources", resources(flag("a")))
    control.on("ListResources", resources(flag("a"), flag("b")))
    outcome = two_environments("diff", "--environments", *names, "-o", "json")
    assert outcome.code == 3
    assert outcome.err == "staging -> production\n"
    data = outcome.data
    assert (data["from"], data["to"]) == ("staging", "production")
    assert [change["resource"] for change in data["changes"]] == ["flag/b"]
    assert staging.calls[0].metadata["authorization"] == "Bearer rg_s"
    assert control.calls[0].metadata["authorization"] == "Bearer rg_p"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--to", "4"),
        ("--from", "1", "x.yaml"),
        ("--environments", "a", "b", "--from", "2"),
        ("--environments", "a"),
    ],
)
def test_usage(rollout: CommandLine, words: tuple[str, ...]) -> None:
    assert rollout("diff", *words).code == 2
