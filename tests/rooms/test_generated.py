"""Generated code is what the protos say, byte for byte."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gen_proto.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_committed_code_is_fresh() -> None:
    result = run("--check")
    assert result.returncode == 0, result.stderr


def test_a_stale_file_is_named_and_then_mended(tmp_path: Path) -> None:
    proto = tmp_path / "proto" / "rollout" / "v1"
    proto.mkdir(parents=True)
    source = 'syntax = "proto3";\npackage rollout.v1;\nmessage Greeting { string text = 1; }\n'
    (proto / "greeting.proto").write_text(source, encoding="utf-8")
    output = tmp_path / "out"
    options = ("--proto", str(tmp_path / "proto"), "--output", str(output))
    assert run(*options).returncode == 0
    assert run("--check", *options).returncode == 0

    (output / "greeting_pb2.py").write_text("edited = True\n", encoding="utf-8")
    (output / "gone_pb2.py").touch()
    stale = run("--check", *options)
    assert stale.returncode == 1
    assert "gone_pb2.py, greeting_pb2.py" in stale.stderr

    assert run(*options).returncode == 0
    assert run("--check", *options).returncode == 0
