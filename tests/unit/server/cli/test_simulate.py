"""`rollout simulate`: a rehearsal from files or from what stands, its figures, and an exit code for gates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl

PIPELINE = """
kind: Pipeline
metadata: {key: quick}
spec:
  stages:
    - {name: staff, audience: {cohort: staff}, share: 100%, soak: 5m}
    - {name: half, share: 50%, soak: 30m, exit: {guardrails: healthy}}
  finish: {share: 100%}
  guardrails: [{metric: errors, limit: +50%}]
---
kind: Metric
metadata: {key: errors}
spec: {measures: proportion}
---
kind: Cohort
metadata: {key: staff}
spec: {include: [a, b]}
"""
ROLLOUT = (
    "---\nkind: Rollout\nmetadata: {key: launch}\nspec: {flag: checkout, from: 'off', to: 'on', pipeline: quick}\n"
)
WORDS = ("--units-per-minute", "2000", "--level", "errors=5%")


@pytest.fixture
def files(tmp_path: Path) -> str:
    path = tmp_path / "rollout.yaml"
    path.write_text(PIPELINE + ROLLOUT, encoding="utf-8")
    return str(path)


def test_a_harmless_release(rollout: CommandLine, files: str) -> None:
    """Stages, verdicts and the end; no server is asked."""
    rollout.server, rollout.width = "", 120
    outcome = rollout("simulate", files, *WORDS)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("SIMULATED launch, 2,000 new users a minute, judged every ")
    assert [line.split()[0] for line in lines[2:4]] == ["staff", "half"]
    assert "VERDICTS on leaving half" in lines
    assert any("is healthy: worse than +75.0 % is ruled out" in line for line in lines)
    assert lines[-1].startswith("✔ completed after ")


def test_the_built_in_metric_needs_no_document(rollout: CommandLine, files: str, tmp_path: Path) -> None:
    """A pipeline may guard against lost processes; none is lost here, so it is as if that were left out."""
    rollout.server = ""
    guarded = PIPELINE.replace("+50%}]", "+50%}, {metric: process_lost, limit: {absolute: 0.05}, action: hold}]")
    (tmp_path / "guarded.yaml").write_text(guarded + ROLLOUT, encoding="utf-8")
    with_it = rollout("simulate", str(tmp_path / "guarded.yaml"), *WORDS, "-o", "json")
    assert with_it.code == 0
    assert with_it.data == rollout("simulate", files, *WORDS, "-o", "json").data


def test_a_harmful_one_is_caught(rollout: CommandLine, files: str) -> None:
    """With when, and how many were exposed; several runs tell how sure that is."""
    rollout.server, rollout.width = "", 120
    outcome = rollout("simulate", files, *WORDS, "--effect", "+200%", "--onset", "10m", "--runs", "3")
    assert outcome.code == 0
    assert "from 10m on errors +200 %" in outcome.out
    assert "✔ rolled back after " in outcome.out
    assert "after its onset; " in outcome.out
    assert "3 of 3 runs were rolled back after the onset" in outcome.out


def test_what_does_not_go_as_it_should_exits_5(rollout: CommandLine, files: str) -> None:
    """A regression that nothing catches, and a good release that never gets through."""
    rollout.server = ""
    small = rollout("simulate", files, "--units-per-minute", "5", "--effect", "errors=+60%", "-o", "json")
    assert small.code == 5
    assert small.data["runs"][0]["caught_ms"] is None
    stuck = rollout("simulate", files, "--units-per-minute", "5", "--runs", "2")
    assert stuck.code == 5
    assert "✘ left after " in stuck.out
    assert "0 of 2 runs completed, 0 were rolled back for nothing" in stuck.out


def test_a_population_says_how_large_audiences_are(rollout: CommandLine, files: str, tmp_path: Path) -> None:
    """By the engine's own conditions."""
    rollout.server = ""
    people = tmp_path / "users.jsonl"
    people.write_text("".join(json.dumps({"units": {"user": key}}) + "\n" for key in "abcdefghij"), encoding="utf-8")
    found = rollout("simulate", files, *WORDS, "--population", str(people), "-o", "json").data
    few = rollout("simulate", files, *WORDS, "--audience-share", "0.1%", "-o", "json").data
    assert found["runs"][0]["stages"][0]["exposed"] > 50 * few["runs"][0]["stages"][0]["exposed"]
    people.write_text("{\n", encoding="utf-8")
    assert "users.jsonl:1" in rollout("simulate", files, "--population", str(people)).err


def test_what_stands_on_the_server(rollout: CommandLine, control: ScriptedControl) -> None:
    """By the rollout's key or its flag's; the server is only read."""
    stage = {"name": "half", "share": "50%", "soak": "10m"}
    specs = {
        ("Pipeline", "quick"): {"stages": [stage]},
        ("Rollout", "launch"): {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick"},
    }
    resources = [
        pb.Resource(
            document=pb.Document(
                kind=kind, key=key, json=json.dumps({"kind": kind, "metadata": {"key": key}, "spec": spec})
            ),
            status_json='{"salt": "aaaaaaaaaaaaaaaa", "law": 1}' if kind == "Rollout" else "{}",
        )
        for (kind, key), spec in specs.items()
    ]
    control.on("ListResources", pb.ListResourcesResponse(resources=resources))
    found = rollout("simulate", "checkout", "-o", "json")
    assert found.code == 0
    assert (found.data["name"], found.data["runs"][0]["phase"]) == ("launch", "completed")
    assert {call.method for call in control.calls} == {"ListResources"}
    assert "there is no pipeline 'lunch' in the environment" in rollout("simulate", "lunch").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--effect", "much"), "'much' is no effect"),
        (("--effect", "latency=+20%"), "no guardrail watches 'latency'"),
        (("--effect", "-100%", "--effect", "errors=-100%"), "nothing is left"),
        (("--level", "errors=0%"), "nothing is left"),
        (("--onset", "soon"), "'soon' is no duration"),
        (("--audience-share", "101%"), "'101%' is no share of users"),
        (("--rollout", "lunch"), "there is no pipeline 'lunch' in the files"),
    ],
)
def test_what_makes_no_sense_is_refused(rollout: CommandLine, files: str, words: tuple[str, ...], told: str) -> None:
    """With what to write instead."""
    outcome = rollout("simulate", files, *words)
    assert outcome.code in {1, 2}
    assert told in outcome.err


def test_files_that_lack_something(rollout: CommandLine, tmp_path: Path) -> None:
    """The metric of a guardrail, or a choice between several."""
    path = tmp_path / "pipelines.yaml"
    path.write_text(PIPELINE.replace("key: errors}", "key: other}"), encoding="utf-8")
    assert "the metric 'errors' is not in the files" in rollout("simulate", str(path)).err
    two = PIPELINE + "---" + PIPELINE.split("---", maxsplit=1)[0].replace("quick", "slow")
    path.write_text(two, encoding="utf-8")
    assert "there are several to simulate: quick, slow" in rollout("simulate", str(path)).err
    assert rollout("simulate", str(path), "--rollout", "slow", *WORDS).code == 0
