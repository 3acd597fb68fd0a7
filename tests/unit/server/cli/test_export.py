"""`rollout export`: applying what was exported changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.domain.files import load
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import ScriptedControl
from tests.doubles.standing_resources import cohort, flag

LISTED = pb.ListResourcesResponse(resources=[cohort("beta", include=["u-1"]), flag("cart", default="on")])


def test_documents_on_stdout_read_back_as_the_same(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListResources", LISTED)
    outcome = rollout("export")
    assert outcome.err == "production · 2 resources\n"
    loaded = load(outcome.out)
    assert loaded.problems == ()
    assert [str(document.resource.id) for document in loaded.documents if document.resource] == [
        "cohort/beta",
        "flag/cart",
    ]


def test_a_file_for_each(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    control.on("ListResources", LISTED)
    assert rollout("export", "--dir", str(tmp_path)).code == 0
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yaml"))
    assert found == ["cohorts/beta.yaml", "flags/cart.yaml"]


def test_only_what_is_named(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("GetResource", pb.GetResourceResponse(resource=flag("cart")))
    assert rollout("export", "cart").out.count("kind:") == 1
    assert rollout("export", "cart", "-o", "json").data[0]["metadata"]["key"] == "cart"


def test_a_snapshot_is_the_bytes_of_the_server(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    control.on("ExportSnapshot", [pb.ExportSnapshotResponse(data=b"ab"), pb.ExportSnapshotResponse(data=b"c")])
    path = tmp_path / "s.bin"
    path.write_bytes(b"older")
    outcome = rollout("export", "--snapshot", str(path))
    assert outcome.code == 0
    assert path.read_bytes() == b"abc"
    assert f"Client.offline('{path}')" in outcome.err
    assert rollout("export", "--snapshot", "-").out == "abc"


@pytest.mark.parametrize("words", [("--snapshot", "x", "cart"), ("--snapshot", "x", "--rev", "1")])
def test_usage(rollout: CommandLine, words: tuple[str, ...]) -> None:
    assert rollout("export", *words).code == 2


def test_nothing_to_export_says_so(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListResources", pb.ListResourcesResponse())
    outcome = rollout("export")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing to export" in outcome.err


def test_a_disk_that_cannot_be_written(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    control.on("ListResources", LISTED)
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    outcome = rollout("export", "--dir", str(blocker))
    assert outcome.code == 1
    assert "cannot be written" in outcome.err
