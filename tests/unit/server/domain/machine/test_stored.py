"""Runs as they are stored."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.machine.run import (
    Act,
    Approved,
    End,
    Entered,
    Guard,
    Held,
    HeldKind,
    Need,
    Notice,
    NoticeKind,
    Phase,
    Progress,
    Run,
    Trigger,
)
from rollout_server.domain.machine.stored import read_progress, read_run, write_progress, write_run
from rollout_server.errors import Corrupt
from tests.machine_worlds import RAMPS

PIPELINE = RAMPS.pipeline


def tree_of(run: Run) -> dict[str, object]:
    tree: dict[str, object] = json.loads(json.dumps(write_run(run, lambda _pipeline: "by files")))
    return tree


def read(tree: object) -> Run:
    return read_run(tree, lambda _tree: PIPELINE)


EVERYTHING = Run(
    rollout="launch",
    flag="checkout",
    from_variant="off",
    to_variant="on",
    number=3,
    pipeline=PIPELINE,
    guards=(Guard("latency", Action.HOLD, is_absolute=True),),
    closure=(("cohort/staff", "9"), ("flag/checkout", "a")),
    phase=Phase.AWAITING_APPROVAL,
    entered=(Entered(0, 1, 30), Entered(1, 2, 3)),
    allocation=4,
    approvals=(Approved("ann", "ramp", 5),),
    held=Held(HeldKind.OUTAGE, ("latency",), "both arms"),
    alarmed=("chatter",),
    is_frozen=True,
    is_finished=True,
    need=Need(NoticeKind.HELD, "it is held", 1, "bob"),
    notices=(Notice("launch/3/6", NoticeKind.HELD, "it is held", ("team", "pager")),),
    notice_count=6,
    started=Act("ann", 7, "release 42"),
    paused=Act("bob", 8),
    end=End(Trigger.VERDICT, "engine", "past its limit", 9, "ramp", "latency"),
    transition=10,
    scheduled_ms=1_765_000_000_000,
    changed_at_ms=11,
    grown_at_ms=12,
    progress=Progress(10, 13, 14, 15, 16, 17, 18, ("soak", "thaw")),
)


def test_nothing_is_left_out_below() -> None:
    """The run of these tests has something in every field, so that none can be forgotten."""
    empty = [field.name for field in fields(Run) if not getattr(EVERYTHING, field.name)]
    assert empty == []


@pytest.mark.parametrize("run", [EVERYTHING, RAMPS.scheduled], ids=["full", "fresh"])
def test_what_was_written_is_read(run: Run) -> None:
    """Read back it is equal, checkpoint included; the exploration does the same with every state there is."""
    assert read(tree_of(run)) == run
    assert read_progress(json.loads(json.dumps(write_progress(run.progress)))) == run.progress


def test_the_pipeline_is_stored_as_files_store_it() -> None:
    """This package neither knows that form nor stands in its way."""
    tree = write_run(RAMPS.scheduled, lambda pipeline: {"stages": len(pipeline.stages)})
    assert tree["pipeline"] == {"stages": 3}
    assert list(tree)[:5] == ["rollout", "flag", "from_variant", "to_variant", "number"]


def test_what_an_earlier_version_left_out_has_its_default() -> None:
    """Journals outlive versions: only what never had a default must be there."""
    tree = tree_of(RAMPS.scheduled)
    for name in ("paused", "alarmed", "progress", "notice_count"):
        del tree[name]
    assert read(tree) == replace(RAMPS.scheduled, progress=Progress())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("phase", "asleep", "run.phase: unknown Phase 'asleep'"),
        ("number", "1", "run.number: int is wanted, found str"),
        ("number", True, "run.number: int is wanted, found bool"),
        ("entered", {"place": 0}, "run.entered: a list is wanted"),
        ("entered", [{"place": 0, "step": 1}], "run.entered[0]: share_ppm is missing"),
        ("closure", [["flag/checkout"]], "run.closure[0]: a list is wanted"),
        ("progress", [], "run.progress: a map is wanted, found list"),
        ("surprise", 1, "run: unknown field 'surprise'"),
    ],
)
def test_damage_is_named(field: str, value: object, message: str) -> None:
    """What does not fit was not written here: it is damage, with its place and what to do."""
    with pytest.raises(Corrupt) as caught:
        read({**tree_of(RAMPS.scheduled), field: value})
    assert str(caught.value).startswith(message)
    assert "restore a backup" in caught.value.hint


def test_a_run_is_a_map_with_a_pipeline() -> None:
    """Nothing else is one."""
    trees: tuple[object, ...] = (None, [], {}, {"number": 1})
    for tree in trees:
        with pytest.raises(Corrupt):
            read(tree)
