"""The stored form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollout_sdk.engine.model import InCohort, Json, ValueType
from rollout_server.domain.files.canonical import canonical_json
from rollout_server.domain.files.flags import BOOLEAN_VARIANTS
from rollout_server.domain.files.stored import read_status, read_stored, write_status, write_stored
from rollout_server.domain.guardrails.spec import Guardrail, RelativeLimit
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.resources import (
    CohortSpec,
    CohortStatus,
    Completion,
    FlagSpec,
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    RolloutStatus,
    TokenSpec,
    TokenStatus,
)
from rollout_server.domain.rollouts import Exit, PipelineSpec, RolloutSpec, Stage
from rollout_server.errors import Corrupt

FLAG = Resource(
    Kind.FLAG,
    Metadata("a"),
    FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off"),
    FlagStatus("abcdefghijklmnop", 1, killed=True),
    7,
)
COHORT = Resource(Kind.COHORT, Metadata("b"), CohortSpec(include=("u-1",)), CohortStatus(), 8)
TOKEN = Resource(Kind.TOKEN, Metadata("c"), TokenSpec("ab" * 32, "sdk", "mia", 1, 2), TokenStatus(3), 9)


@pytest.mark.parametrize("resource", [FLAG, COHORT, TOKEN])
def test_a_stored_resource_comes_back_whole(resource: Resource) -> None:
    """Spec, status and version, of every kind."""
    assert read_stored(write_stored(resource)) == resource
    assert resource.status == read_status(resource.kind, write_status(resource))


def test_the_bytes_of_a_flag_are_pinned() -> None:
    """Every field of a status is written, in one order: digests rest on it."""
    stored = write_stored(FLAG)
    assert list(stored) == ["kind", "metadata", "spec", "status", "version"]
    assert stored["status"] == {"salt": "abcdefghijklmnop", "law": 1, "killed": True}


@pytest.mark.parametrize("name", ["kind", "metadata", "spec", "status", "version"])
@pytest.mark.parametrize("value", [None, "x", [], {"odd": 1}])
@pytest.mark.parametrize("resource", [FLAG, COHORT, TOKEN])
def test_damage_is_told_as_damage(resource: Resource, name: str, value: Json) -> None:
    """Whatever part is lost or changed in kind, it is the store's fault and nobody's input."""
    tree = write_stored(resource)
    tree[name] = value
    with pytest.raises(Corrupt, match="entry 17"):
        read_stored(tree, "entry 17")
    del tree[name]
    with pytest.raises(Corrupt, match="entry 17"):
        read_stored(tree, "entry 17")


def test_a_status_of_another_form_is_damage() -> None:
    """A flag without its salt would move everybody."""
    with pytest.raises(Corrupt):
        read_status(Kind.FLAG, {"law": 1, "killed": False})


def test_a_document_is_no_state() -> None:
    """What has no status is not stored."""
    with pytest.raises(ValueError, match="no status"):
        write_stored(Resource(Kind.COHORT, Metadata("b"), CohortSpec()))


def test_depth_is_damage() -> None:
    """Nothing that deep was ever written."""
    tree: object = 1
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(Corrupt, match="nested"):
        read_stored(tree)


DONE = (Completion("on", "a mark"),)


def test_a_rollout_keeps_its_run() -> None:
    """With the pipeline that it copied, through the bytes that a journal keeps."""
    stage = Stage("canary", 10_000, InCohort("staff"), 0, 3_600_000, Exit(5, is_healthy=True))
    pipeline = PipelineSpec((stage,), (Guardrail("errors", RelativeLimit(200_000, 0.001, in_points=True)),))
    run = Run("launch", "checkout", "off", "on", 2, pipeline, phase=Phase.RUNNING, entered=(Entered(0, 1, 10_000),))
    spec = RolloutSpec("checkout", "off", "on", "careful")
    stored = Resource(Kind.ROLLOUT, Metadata("launch"), spec, RolloutStatus("s" * 16, 1, run, completed=DONE), 7)
    assert read_stored(json.loads(canonical_json(write_stored(stored)))) == stored
    without = replace(stored, status=RolloutStatus("s" * 16))
    empty: dict[str, Json] = {"verdicts": [], "rules": [], "completed": []}
    assert write_status(without) == {"salt": "s" * 16, "law": 1, "run": None, **empty}
    assert read_stored(write_stored(without)) == without


@pytest.mark.parametrize("completed", ["on", [["on"]], [["on", 1]], [["on", "mark", "more"]]])
def test_a_completion_that_is_none_is_damage(completed: Json) -> None:
    """Nobody wrote that here."""
    stored = Resource(Kind.ROLLOUT, Metadata("launch"), RolloutSpec("c", "off", "on", "p"), RolloutStatus("s" * 16), 7)
    with pytest.raises(Corrupt):
        read_status(Kind.ROLLOUT, {**write_status(stored), "completed": completed})


@pytest.mark.parametrize("pipeline", [None, {}, {"stages": [{"name": "a"}]}, {"stages": [], "more": 1}])
def test_a_run_with_a_pipeline_that_is_none_is_damage(pipeline: Json) -> None:
    """Nobody wrote that here."""
    run = Run("launch", "checkout", "off", "on", 2, PipelineSpec(()))
    status = RolloutStatus("s" * 16, 1, run)
    stored = Resource(Kind.ROLLOUT, Metadata("launch"), RolloutSpec("checkout", "off", "on", "careful"), status, 7)
    tree = write_status(stored)
    assert isinstance(tree["run"], dict)
    tree["run"]["pipeline"] = pipeline
    with pytest.raises(Corrupt):
        read_status(Kind.ROLLOUT, tree)
