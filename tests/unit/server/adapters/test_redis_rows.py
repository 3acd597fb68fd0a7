"""What lies in Redis is read as it was written, and nothing else is taken for it."""

from __future__ import annotations

import pytest

from rollout_server.adapters.redis_rows import (
    is_after,
    key_mark,
    meta_key,
    name_of,
    read_entry_fields,
    read_line,
    read_standing,
    resource_of,
)
from rollout_server.domain.entries import Head, Line
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import Corrupt
from tests.journal_world import flag_id

A, B = b"a" * 32, b"b" * 32


def test_names_go_there_and_back() -> None:
    """Also those of imported resources, whose keys may hold anything."""
    for resource in (flag_id("a"), ResourceId(Kind.COHORT, "a/b"), ResourceId(Kind.FLAG, "ключ")):
        assert resource_of(name_of(resource).encode()) == resource


@pytest.mark.parametrize("name", [b"", b"Flag", b"Nothing/a", b"\xff/a"])
def test_a_name_of_nothing_is_damage(name: bytes) -> None:
    """Somebody wrote it by hand."""
    with pytest.raises(Corrupt):
        resource_of(name)


def test_all_keys_of_an_environment_have_one_hash_tag() -> None:
    """Two environments share nothing, and one lies on one node wherever it is put."""
    assert meta_key("production") == "rollout:{production}:meta"


def test_the_mark_of_a_key_says_nothing_about_the_key() -> None:
    """It is stored in clear."""
    assert key_mark(A) != key_mark(B)
    assert key_mark(A) == key_mark(A)
    assert len(key_mark(A)) == 16


def test_a_line_is_read_from_a_row_and_from_a_stream() -> None:
    """Both are the same line."""
    line = Line(7, 5, A, b"{}")
    assert read_line([b"7", b"5", A, b"{}"]) == line
    assert read_entry_fields(b"7-0", [b"at_ms", b"5", b"digest", A, b"body", b"{}"]) == line


@pytest.mark.parametrize("row", [[], [b"x", b"5", A, b""], [b"7", b"", A, b""], [b"7"]])
def test_what_is_no_line_is_damage(row: list[bytes]) -> None:
    """It names the entry."""
    with pytest.raises(Corrupt):
        read_line(row)


def test_an_environment_that_is_gone_is_said_to_be_gone() -> None:
    """Not that a number does not parse."""
    with pytest.raises(Corrupt, match="emptied"):
        read_standing([None] * 9, "production")
    with pytest.raises(Corrupt, match="does not parse"):
        read_standing([b"e", b"x", A, b"0", b"0", A, A, b"0", b"0-0"], "production")


@pytest.mark.parametrize(
    ("known", "now", "oldest", "digest", "expected"),
    [
        (Head(3, A), Head(3, A), 0, A, True),
        (Head(3, A), Head(5, B), 0, A, True),
        (Head(3, A), Head(2, A), 0, b"", False),
        (Head(3, A), Head(3, B), 0, B, False),
        (Head(3, A), Head(5, B), 0, b"", False),
        (Head(3, A), Head(9, B), 5, b"", True),
        (Head(), Head(), 0, b"", True),
    ],
)
def test_a_history_holds_what_is_known_of_it(
    known: Head, now: Head, oldest: int, digest: bytes, *, expected: bool
) -> None:
    """Shorter, or with another entry there, it is another one; what was compacted away cannot be told."""
    assert is_after(known, now, oldest, digest) is expected
