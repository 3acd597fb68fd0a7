"""A data directory says whether somebody is on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rollout_server.adapters.data_directory import held, is_held


def test_it_is_held_for_as_long_as_somebody_is_on_it(tmp_path: Path) -> None:
    """By one or by several, and by nobody afterwards; looking holds nothing."""
    assert not is_held(tmp_path)
    with held(tmp_path):
        with held(tmp_path):
            assert is_held(tmp_path)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    assert not is_held(tmp_path)


def test_whoever_is_killed_lets_go(tmp_path: Path) -> None:
    """The kernel sees to it: nothing has to be cleaned up."""
    program = (
        "import sys, pathlib\nfrom rollout_server.adapters.data_directory import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n    print('on it', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on it\n"
        assert is_held(tmp_path)
        process.kill()
        process.wait()
        assert not is_held(tmp_path)
