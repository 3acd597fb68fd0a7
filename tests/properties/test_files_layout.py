"""fmt over files in any style a person may use: no comment is lost, and nothing that is said changes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import fmt, load, write
from rollout_server.domain.files.scalars import resolve
from rollout_server.domain.resources import Resource
from tests.resource_strategies import RESOURCES

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/@+%-]*[A-Za-z0-9._/@+%-])?")


class Pen:
    """Writes one tree as YAML, every choice of style drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.comments = 0

    def remark(self, *, alone: bool, indent: int = 0) -> str:
        """Return a comment with a number of its own, or nothing."""
        if self.draw(st.integers(0, 5)):
            return ""
        self.comments += 1
        if not alone:
            return f"{' ' * self.draw(st.integers(1, 3))}# c{self.comments}."
        empty = "\n" * self.draw(st.integers(0, 2))
        return f"{empty}{' ' * max(0, indent + self.draw(st.integers(-2, 2)))}# c{self.comments}.\n"

    def scalar(self, value: Json) -> str:
        """Return a scalar, plain only where that is the same."""
        if not isinstance(value, str):
            return json.dumps(value)
        style = self.draw(st.sampled_from(["plain", "single", "double"]))
        if style == "plain" and _PLAIN.fullmatch(value) and type(resolve(value)) is str:
            return value
        if style == "single" and value.isprintable() and value.isascii():
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value)

    def flow(self, value: Json, indent: int) -> str:
        """Return brackets, now and then over several lines."""
        if not isinstance(value, dict | list):
            return self.scalar(value)
        pad = self.remark(alone=False) + "\n" + " " * (indent + 1) if not self.draw(st.integers(0, 6)) else ""
        if isinstance(value, dict):
            inner = ",".join(f" {self.scalar(name)}: {self.flow(one, indent)}" for name, one in value.items())
            return "{" + inner + pad + "}"
        return "[" + pad + ", ".join(self.flow(one, indent) for one in value) + "]"

    def value(self, value: Json, indent: int, *, in_list: bool = False) -> str:
        """Return what stands behind a colon or a dash, its line end included."""
        if not isinstance(value, dict | list) or not value or self.draw(st.booleans()):
            return f" {self.flow(value, indent)}{self.remark(alone=False)}\n"
        step = (
            0 if isinstance(value, list) and not in_list and self.draw(st.booleans()) else self.draw(st.integers(1, 4))
        )
        return f"{self.remark(alone=False)}\n{self.block(value, indent + step)}"

    def block(self, value: dict[str, Json] | list[Json], indent: int) -> str:
        """Return a collection, an entry a line."""
        pad = " " * indent
        if isinstance(value, dict):
            lines = [f"{pad}{self.scalar(name)}:{self.value(one, indent)}" for name, one in value.items()]
        else:
            lines = [f"{pad}-{self.value(one, indent, in_list=True)}" for one in value]
        return "".join(self.remark(alone=True, indent=indent) + line for line in lines)


@st.composite
def written(draw: st.DrawFn) -> tuple[Resource, str, int]:
    """Return a resource, a file that says it, and how many comments are in there."""
    resource = draw(RESOURCES)
    pen = Pen(draw)
    text = pen.block(write(resource), 0) + pen.remark(alone=True)
    return resource, text, pen.comments


def holds(resource: Resource, text: str, comments: int) -> None:
    """Check the promises of fmt."""
    before = load(text)
    assert before.problems == ()
    assert [document.resource for document in before.documents] == [resource]
    laid_out = fmt(text)
    after = load(laid_out)
    assert after.problems == ()
    assert [document.tree for document in after.documents] == [document.tree for document in before.documents]
    assert [laid_out.count(f"# c{number}.") for number in range(1, comments + 1)] == [1] * comments
    assert fmt(laid_out) == laid_out


@settings(max_examples=60)
@given(written())
def test_any_style_becomes_the_one_layout(file: tuple[Resource, str, int]) -> None:
    """Same resource, all comments, and the layout of the layout is itself."""
    holds(*file)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@settings(max_examples=5_000)
@given(written())
def test_any_style_becomes_the_one_layout_at_length(file: tuple[Resource, str, int]) -> None:
    """As above, over thousands of files."""
    holds(*file)
