"""A stream of bytes into a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.kept_file import keep, size


def broken() -> Iterator[bytes]:
    yield b"half"
    raise CommandFailed("the server went away")


def test_it_is_whole_and_private(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "b.db"
    assert keep(str(path), [b"ab", b"c"], seen.append, replaces=False) == 3
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600
    assert seen == [2, 3]


def test_half_a_stream_leaves_nothing_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "s.bin"
    path.write_bytes(b"old")
    with pytest.raises(CommandFailed, match="went away"):
        keep(str(path), broken(), lambda _: None, replaces=True)
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("s.bin", b"old")]


def test_a_backup_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    path.write_bytes(b"old")
    with pytest.raises(CommandFailed, match="exists already"):
        keep(str(path), [b"new"], lambda _: None, replaces=False)
    with pytest.raises(CommandFailed, match="is a directory"):
        keep(str(tmp_path), [b"new"], lambda _: None, replaces=True)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot be written"):
        keep(str(tmp_path / "none" / "b.db"), [b"x"], lambda _: None, replaces=True)


def test_sizes() -> None:
    assert [size(812), size(3_500_000), size(1 << 31), size(1 << 41)] == [
        "812 bytes",
        "3.3 MiB",
        "2.0 GiB",
        "2048.0 GiB",
    ]
