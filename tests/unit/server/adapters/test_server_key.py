"""The server's own key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollout_server.adapters.server_key import server_key
from rollout_server.errors import Corrupt, Unavailable


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """32 random bytes, for the owner alone, the same at every start, nothing left beside them."""
    path = tmp_path / "new" / "server.key"
    key = server_key(path)
    assert len(key) == 32
    assert server_key(path) == key
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [item.name for item in path.parent.iterdir()] == ["server.key"]
    assert server_key(tmp_path / "another.key") != key


@pytest.mark.parametrize("text", [b"", b"0011", b"not hexadecimal", b"\xff\xfe", b"zz" * 32])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, text: bytes) -> None:
    """A key that cannot be read is the on-call's business: a new one would disown every checkpoint."""
    path = tmp_path / "server.key"
    path.write_bytes(text)
    with pytest.raises(Corrupt, match="holds no key"):
        server_key(path)
    assert path.read_bytes() == text


def test_a_place_that_cannot_hold_a_key_is_named(tmp_path: Path) -> None:
    """Where nothing can be made, the refusal says where."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="file"):
        server_key(tmp_path / "file" / "server.key")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A server that is started again and again does not litter. The size limit of the process stands for the disk."""
    program = (
        "import pathlib, resource, signal, sys\n"
        "from rollout_server.adapters.server_key import server_key\n"
        "from rollout_server.errors import Unavailable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n    server_key(pathlib.Path(sys.argv[1]))\n"
        "except Unavailable as refused:\n    print(refused.hint)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "server.key")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "has room" in done.stdout
    assert list(tmp_path.iterdir()) == []
