"""The snapshot file on bad disks: decisions and changes go on, the log says so once, and no file is torn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout_sdk.wire.snapshot import pack, unpack
from tests.doubles.delivery_server import record
from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.programs import PRELUDE, environment, run_whole, said_by
from tests.small_rules import boolean, position

NOBODY = 65_534
FOLLOW = """
client = Client(TARGET, snapshot_path=PATH)
first = client.decide("a", USER)
ready = client.wait_until_ready(30)
saw = sees_change(client)
client.flush(10)
say(name="main", ready=ready, saw=saw, first=first.reason.value)
client.close()
"""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


def follow(fleet: Fleet, path: Path, before: str = "") -> str:
    """Run a client that keeps its rules at a path until it has seen a change; return what it complained of."""
    fleet.flip_when(1)
    done = run_whole(fleet.target, f"{before}\nPATH = {str(path)!r}\n{FOLLOW}")
    assert done.returncode == 0, done.stderr
    said = said_by(done)["main"]
    assert (said["ready"], said["saw"]) == (True, True)
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_good_disk(fleet: Fleet, tmp_path: Path) -> None:
    """For comparison: nothing is said, and the file has the change."""
    assert follow(fleet, tmp_path / "rules") == ""
    assert unpack((tmp_path / "rules").read_bytes()).position.revision == 2


@pytest.mark.parametrize("cut", [0, 51, 200, -1])
def test_a_torn_file(fleet: Fleet, tmp_path: Path, cut: int) -> None:
    """Cut anywhere, it is no file; what follows is written over it."""
    path = tmp_path / "rules"
    path.write_bytes(pack(position(1), [record(boolean("a"), 1)], ())[:cut])
    path.chmod(0o600)
    assert follow(fleet, path).count("is ignored") == 1
    assert unpack(path.read_bytes()).position.revision == 2


def test_a_file_of_another_user(fleet: Fleet, tmp_path: Path) -> None:
    """Rules from somebody else's hand decide nothing, even if they are well made."""
    path = tmp_path / "rules"
    path.write_bytes(pack(position(9, "forged"), [record(boolean("a", on=False), 1)], ()))
    path.chmod(0o644 if os.geteuid() == 0 else 0o646)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    assert follow(fleet, path).count("another user can have written it") == 1
    assert not any(hello.HasField("held") for hello in fleet.hellos)


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
"""


def test_a_disk_that_is_full_by_a_limit(fleet: Fleet, tmp_path: Path) -> None:
    """A write that fails in the middle leaves what was there, and nothing beside it."""
    path = tmp_path / "rules"
    before = pack(position(1), [record(boolean("a"), 1)], ())
    path.write_bytes(before)
    path.chmod(0o600)
    assert follow(fleet, path, FULL).count("cannot be written") == 1
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) in (["rules"], [".rules.lock", "rules"])


MAY_MOUNT = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0  # noqa: S607 - the system's own
MOUNTED = {
    "full": 'mount -t tmpfs -o size=16k tmpfs "$1" && dd if=/dev/zero of="$1/full" bs=1k 2>/dev/null',
    "read-only": 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"',
}
COMPLAINTS = {"full": "No space left on device", "read-only": "Read-only file system"}


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_file_system_that_takes_nothing(fleet: Fleet, tmp_path: Path, kind: str) -> None:
    """Mounted where only the program sees it; where that is forbidden, a limit and a directory of the kernel's do."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "rules").write_bytes(pack(position(1), [record(boolean("a"), 1)], ()))
    (home / "rules").chmod(0o600)
    fleet.flip_when(1)
    path = home / "rules" if MAY_MOUNT or kind == "full" else Path("/proc/self/rules")
    before = "" if MAY_MOUNT or kind != "full" else FULL
    program = f"{PRELUDE}\n{before}\nPATH = {str(path)!r}\n{FOLLOW}"
    command = [sys.executable, "-c", program]
    if MAY_MOUNT:
        script = MOUNTED[kind] + '; exec "$2" "$3" "$4"'
        command = ["unshare", "-rm", "sh", "-c", script, "sh", str(home), *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment(fleet.target)
    )
    assert done.returncode == 0, done.stderr
    assert said_by(done)["main"]["saw"]
    assert done.stderr.count("cannot be written") == 1
    assert (COMPLAINTS[kind] in done.stderr) is MAY_MOUNT
    assert unpack((home / "rules").read_bytes()).position.revision == 1


@pytest.mark.parametrize("processes", [3, pytest.param(12, marks=pytest.mark.soak)])
def test_processes_that_share_a_path(fleet: Fleet, tmp_path: Path, processes: int) -> None:
    """Each follows, and the file ends at the newest, whole."""
    path = tmp_path / "rules"
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}\nPATH = {str(path)!r}\n{FOLLOW}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(fleet.target),
        )
        for _ in range(processes)
    ]
    fleet.wait_for_processes(processes)
    fleet.flip()
    for program in programs:
        _, said = program.communicate(timeout=60)
        assert (program.returncode, said) == (0, b"")
    assert unpack(path.read_bytes()).position.revision == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == [".rules.lock", "rules"]
