"""Stored changes: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.changes import ChangeAction, ChangeSpec, ChangeState, ChangeStatus, Demand, Given
from rollout_server.domain.files import canonical_json, read_stored, write, write_stored
from rollout_server.domain.resources import Kind, Metadata, Resource
from rollout_server.errors import Corrupt

texts = st.text(st.characters(codec="utf-8"), max_size=8)
words = texts.filter(bool)
numbers = st.integers(0, 2**50)
specs = st.builds(
    ChangeSpec,
    st.sampled_from(ChangeAction),
    texts,
    texts,
    numbers,
    numbers,
    texts,
    texts,
    st.lists(
        st.builds(Demand, words, numbers, st.tuples(words), st.lists(words, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    st.booleans(),
    numbers,
    st.booleans(),
    st.dictionaries(words, texts, max_size=3),
)
statuses = st.builds(
    ChangeStatus,
    st.sampled_from(ChangeState),
    numbers,
    st.lists(st.builds(Given, texts, texts, numbers, texts), max_size=2).map(tuple),
    texts,
    texts,
    numbers,
)
CHANGE = Resource(
    Kind.CHANGE, Metadata("1"), ChangeSpec(ChangeAction.APPLY, "mia", "", 0, 1, "h", "", ()), ChangeStatus(), 7
)


@given(specs, statuses)
def test_what_is_written_is_read(spec: ChangeSpec, status: ChangeStatus) -> None:
    """A change comes back from the journal as it went in."""
    change = replace(CHANGE, spec=spec, status=status)
    assert read_stored(json.loads(canonical_json(write_stored(change)))) == change


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("spec", "action", "kill"),
        ("spec", "author", 7),
        ("spec", "demands", [{"group": "g"}]),
        ("spec", "reads", {"flag/a": 3}),
        ("spec", "reads", None),
        ("spec", "newer", True),
        ("status", "state", "forgotten"),
        ("status", "approvals", {}),
    ],
)
def test_what_does_not_fit_is_damage(part: str, name: str, value: object) -> None:
    """People never write changes: a mistake in one is the store's."""
    tree: dict[str, Any] = json.loads(canonical_json(write_stored(CHANGE)))
    tree[part][name] = value
    with pytest.raises(Corrupt):
        read_stored(tree)


def test_no_file_can_say_a_change() -> None:
    with pytest.raises(ValueError, match="not written by people"):
        write(CHANGE)
