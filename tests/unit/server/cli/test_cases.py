"""`rollout test`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine

FLAG = """kind: Flag
metadata: {key: cart}
spec:
  rules:
    - {id: staff, when: {attribute: email, ends_with: "@example.com"}, serve: "on"}
tests:
  - {name: staff, context: {units: {user: u-1}, attributes: {email: a@example.com}}, expect: "on"}
  - {context: {units: {user: u-2}}, expect: "EXPECTED"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.yaml"


def test_all_pass(path: Path) -> None:
    path.write_text(FLAG.replace("EXPECTED", "off"), encoding="utf-8")
    outcome = CommandLine()("test", str(path))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "✔ 2 cases passed\n")
    assert "✔ " in CommandLine()("test", str(path), "-o", "wide").out


def test_one_fails_and_says_where_what_and_why(path: Path) -> None:
    path.write_text(FLAG.replace("EXPECTED", "on"), encoding="utf-8")
    outcome = CommandLine()("test", "-f", str(path))
    assert outcome.code == 1
    assert outcome.out == (f"✘ {path}:8:5: flag/cart: tests[1]\n    expected `on`, got `off` (default)\n")
    assert outcome.err == "✘ 1 of 2 cases failed\n"
    data = CommandLine()("test", str(path), "-o", "json").data
    assert [case["passed"] for case in data["cases"]] == [True, False]


def test_no_cases_says_how_to_write_one(path: Path) -> None:
    path.write_text("kind: Flag\nmetadata: {key: cart}\n", encoding="utf-8")
    outcome = CommandLine()("test", str(path))
    assert outcome.code == 0
    assert "under `tests` of a flag" in outcome.err


def test_files_with_problems_are_not_decided(path: Path) -> None:
    path.write_text("kind: Flag\nmetadata: {key: cart}\nspec: {x: 1}\n", encoding="utf-8")
    outcome = CommandLine()("test", str(path))
    assert outcome.code == 1
    assert f"{path}:3:8" in outcome.err
