"""The ruleset on disk between processes."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

import pytest

from rollout_sdk import snapshot_file
from rollout_sdk.held import Held, work_out
from rollout_sdk.shelf import Shelf, monotonic_s
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.snapshot import unpack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, position

A = record(boolean("a"), 1)


def held(revision: int, epoch: str = "epoch-1") -> Held:
    return work_out(None, [Part(True, 0, position(revision, epoch), digest_of([A]), (), (A,))])


def test_what_was_saved_is_loaded_with_its_age(tmp_path: Path) -> None:
    """In monotonic seconds, and never after now."""
    shelf = Shelf(str(tmp_path / "rules"))
    assert shelf.read() is None
    before_s = time.monotonic()
    assert shelf.save(held(4))
    found = shelf.read()
    assert found is not None
    assert found.position == position(4)
    saved_at_s = monotonic_s(found.saved_at_ms)
    assert saved_at_s is not None
    assert before_s - 1 <= saved_at_s <= time.monotonic()


def test_the_file_only_rises_within_an_epoch(tmp_path: Path) -> None:
    """Whichever process writes."""
    path = tmp_path / "rules"
    mine, other = Shelf(str(path)), Shelf(str(path))
    for shelf, offered, kept in ((mine, 5, 5), (other, 9, 9), (mine, 7, 9), (mine, 10, 10)):
        assert shelf.save(held(offered))
        assert unpack(path.read_bytes()).position == position(kept)
    assert other.save(held(1, "epoch-2"))
    assert unpack(path.read_bytes()).position == position(1, "epoch-2")


def test_between_looking_and_writing_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stands still in between holds nobody up: the others try again later."""
    monkeypatch.setattr(snapshot_file, "LOCK_ATTEMPTS", 1)
    path = tmp_path / "rules"
    with (tmp_path / ".rules.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not Shelf(str(path)).save(held(4))
        assert not path.exists()
    assert Shelf(str(path)).save(held(4))


def test_damage_is_written_over(tmp_path: Path) -> None:
    """A torn file is no reason to keep it."""
    path = tmp_path / "rules"
    path.write_bytes(b"torn")
    path.chmod(0o600)
    assert Shelf(str(path)).read() is None
    assert Shelf(str(path)).save(held(4))
    assert unpack(path.read_bytes()).position == position(4)
