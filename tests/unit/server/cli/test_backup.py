"""`rollout backup`."""

from __future__ import annotations

from pathlib import Path

import grpc

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.command_line import CommandLine
from tests.doubles.control_service import Refusal, ScriptedControl


def test_the_bytes_of_the_server_in_a_private_file(
    rollout: CommandLine, control: ScriptedControl, tmp_path: Path
) -> None:
    control.on("Backup", [pb.BackupResponse(data=b"ab"), pb.BackupResponse(data=b"c")])
    path = tmp_path / "b.db"
    assert rollout("backup", str(path)).code == 0
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600
    assert rollout("backup", str(path)).code == 2
    assert rollout("backup", "-").out == "abc"
    assert rollout("backup", "-", "-o", "json").code == 2
    other = tmp_path / "c.db"
    assert rollout("backup", str(other), "-o", "json").data == {
        "environment": "production",
        "file": str(other),
        "bytes": 3,
    }


def test_a_refused_backup_leaves_no_file(rollout: CommandLine, control: ScriptedControl, tmp_path: Path) -> None:
    control.on("Backup", Refusal(grpc.StatusCode.PERMISSION_DENIED, "admins only"))
    assert rollout("backup", str(tmp_path / "b.db")).code == 8
    assert list(tmp_path.iterdir()) == []
