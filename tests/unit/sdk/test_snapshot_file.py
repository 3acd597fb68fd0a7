"""The last known good ruleset on disk."""

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rollout_sdk.snapshot_file import LEFTOVER_AGE_S, SnapshotFile, read_own

WRITER = """
import sys
from rollout_sdk.snapshot_file import SnapshotFile
file = SnapshotFile(sys.argv[1])
print("ready", flush=True)
number = int(sys.argv[2])
while True:
    number += 1
    file.write(bytes([number % 256]) * 200_000)
"""


def test_what_is_written_is_read_and_only_by_its_owner(tmp_path: Path) -> None:
    """Mode 0600, nothing left aside."""
    file = SnapshotFile(str(tmp_path / "rules"))
    assert file.read() is None
    assert file.write(b"one")
    assert file.write(b"two")
    assert file.read() == b"two"
    assert stat.S_IMODE((tmp_path / "rules").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["rules"]


def test_a_disk_that_cannot_be_written_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Full, read-only or gone: decisions do not care, and the log does not fill. It may recover."""
    home = tmp_path / "home"
    file = SnapshotFile(str(home / "rules"))
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        assert not file.write(b"x")
        assert not file.write(b"x")
        assert len(caplog.messages) == 1
        home.mkdir()
        assert file.write(b"x")
        (home / "rules").unlink()
        home.rmdir()
        assert not file.write(b"x")
    assert len(caplog.messages) == 2


def test_a_full_disk_leaves_the_old_file_and_nothing_aside(tmp_path: Path) -> None:
    """The size limit of the process stands for a full disk: a write that fails half-way."""
    program = (
        "import resource, signal, sys\n"
        "from rollout_sdk.snapshot_file import SnapshotFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.exit(SnapshotFile(sys.argv[1]).write(b'x' * 5000))\n"
    )
    path = tmp_path / "rules"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, path.read_bytes()) == (0, b"old")
    assert "File too large" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["rules"]


def test_what_others_could_have_written_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rules from somebody else's hand decide nothing."""
    path = tmp_path / "rules"
    path.write_bytes(b"x")
    path.chmod(0o602)
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        assert SnapshotFile(str(path)).read() is None
    assert "another user can have written it" in caplog.text
    path.chmod(0o640)
    assert read_own(path) == b"x"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_what_is_no_file_neither_blocks_nor_breaks(
    tmp_path: Path, make: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe would wait for a writer for ever."""
    assert callable(make)
    make(tmp_path / "rules")
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        assert SnapshotFile(str(tmp_path / "rules")).read() is None
    assert "cannot be read" in caplog.text


def test_what_is_no_file_is_never_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A device, pipe or socket named by mistake stays what it is; a process that runs as root could replace it."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        assert not SnapshotFile(str(pipe)).write(b"x")
        assert not SnapshotFile(str(link)).write(b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert caplog.text.count("it is not a regular file") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


@pytest.mark.parametrize("path", [".", "/", "a\0b"], ids=["here", "root", "null byte"])
def test_a_path_that_can_name_no_file_is_a_warning(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong setting is the disk's trouble like any other: said once, and never an exception."""
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        file = SnapshotFile(path)
        assert (file.read(), file.peek(), file.write(b"x")) == (None, None, False)
    assert len(caplog.messages) == 1


def test_peek_sees_only_what_another_has_written(tmp_path: Path) -> None:
    """So that workers sharing a path need not write the same thing in turn."""
    mine, other = (SnapshotFile(str(tmp_path / "rules")) for _ in range(2))
    assert mine.peek() is None
    mine.write(b"mine")
    assert mine.peek() is None
    assert other.peek() == b"mine"
    other.write(b"other")
    assert mine.peek() == b"other"


def test_leftovers_of_killed_writers_are_removed_once_they_are_old(tmp_path: Path) -> None:
    """A crash loop does not fill the disk; a writer at work is left alone."""
    old, young = tmp_path / ".rules.1.aa.tmp", tmp_path / ".rules.2.bb.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = young.stat().st_mtime - LEFTOVER_AGE_S - 10
    os.utime(old, (long_ago, long_ago))
    SnapshotFile(str(tmp_path / "rules")).write(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".rules.2.bb.tmp", "rules"]


def kill_writers(path: Path, kills: int) -> None:
    """Kill a writer in the middle, over and over, while a second one shares the path; look after each."""
    neighbour = subprocess.Popen([sys.executable, "-c", WRITER, path, "100"], stdout=subprocess.PIPE)
    assert neighbour.stdout is not None
    neighbour.stdout.readline()
    for number in range(kills):
        with subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            threading.Event().wait(0.001 * (number % 10))
            writer.send_signal(signal.SIGKILL)
        data = path.read_bytes() if path.exists() else b""
        assert data == data[:1] * 200_000 or data == b""
    neighbour.kill()
    neighbour.wait()
    neighbour.stdout.close()


def test_kill_in_the_middle_of_a_write_tears_no_file(tmp_path: Path) -> None:
    """Promise 18, the short form."""
    kill_writers(tmp_path / "rules", 5)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_thousand_kills_tear_no_file(tmp_path: Path) -> None:
    """Promise 18."""
    kill_writers(tmp_path / "rules", 1_000)
