"""A plan on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.cli import saved_plan
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.saved_plan import SavedPlan


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "plan.json")
    saved = SavedPlan(
        "production", (("f.yaml:1:1", '{"kind": "Flag"}'),), prune=True, can_apply=True,
        plan={"hash": "ab", "reads": {"flag/a": 3}},
    )  # fmt: skip
    saved_plan.save(path, saved)
    assert saved_plan.load(path) == saved
    assert (saved.hash, saved.reads) == ("ab", {"flag/a": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no saved plan"),
        ("kind: Flag", "is no saved plan"),
        ('{"kind": "Flag"}', "is no saved plan"),
        ("[" * 100_000, "is no saved plan"),
        ('{"kind": "RolloutPlan", "format": 9}', "of format 9"),
        ('{"kind": "RolloutPlan", "format": 1}', "is damaged"),
        ('{"kind": "RolloutPlan", "format": 1, "documents": [1], "plan": {}, "environment": "x"}', "is damaged"),
    ],
)
def test_anything_else_is_no_plan(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandFailed, match=message):
        saved_plan.load(str(path))


def test_what_moved_is_named() -> None:
    before, after = {"flag/a": 3, "flag/b": 4, "flag/c": 5}, {"flag/a": 3, "flag/b": 7, "flag/d": 9}
    assert saved_plan.moved(before, after) == [
        "flag/b: version 4 when planned, 7 now",
        "flag/c: version 5 when planned, none now",
        "flag/d: version none when planned, 9 now",
    ]
