"""docs/files.md says the truth: its examples load, and what it calls refused is refused in the words it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from rollout_server.domain.checking import run_cases
from rollout_server.domain.files import fmt, load
from rollout_server.domain.files.operators import SHAPES

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```yaml( refused)?\n(.*?)^```\n((?:> [^\n]*\n)*)", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    text: str
    refused: bool
    messages: list[str]


EXAMPLES = [
    Example(text, bool(mark), [line[2:] for line in said.splitlines()]) for mark, text, said in _BLOCK.findall(PAGE)
]


def test_the_page_has_examples() -> None:
    """All fenced YAML of the page is found."""
    assert len(EXAMPLES) == PAGE.count("```yaml") > 10


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_what_the_page_says(example: Example) -> None:
    """Good ones load and are laid out canonically, bad ones give exactly the messages below them."""
    loaded = load(example.text)
    assert [str(problem).removeprefix(":") for problem in loaded.problems] == example.messages
    assert bool(loaded.problems) is example.refused
    if not example.refused:
        assert fmt(example.text) == example.text
        assert all(result.passed for result in run_cases(loaded.documents))


def test_every_operator_is_explained() -> None:
    """A reader finds each operator on the page."""
    assert [name for name in SHAPES if f"`{name}`" not in PAGE] == []
