"""Where each part of a document stands. Nothing is kept while reading: a place is looked up when somebody asks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rollout_server.domain.files import json_text, nodes
from rollout_server.domain.files.overlay import path_in_file, split_overlays
from rollout_server.domain.files.paths import resolve
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.files.text import line_and_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollout_server.domain.files.paths import Step


@dataclass(frozen=True, slots=True)
class Source:
    """The text that one document was read from.

    Attributes:
        name: of the file.
        line, column: of the text's first character in the file, from 1.
    """

    name: str
    text: str = field(repr=False)
    line: int = 1
    column: int = 1
    is_json: bool = False

    def line_and_column(self, index: int) -> tuple[int, int]:
        """Return the place of a character of the text in the file."""
        line, column = line_and_column(self.text, index, self.line)
        return line, column + (self.column - 1 if line == self.line else 0)

    def at(self, index: int) -> str:
        """Return "flags.yaml:12:3" for a character of the text."""
        line, column = self.line_and_column(index)
        return f"{self.name}:{line}:{column}"

    def parts(self, spans: Iterable[tuple[int, int]]) -> Iterator[Source]:
        """Yield the sources that are characters [start, end) of this one, for ascending spans."""
        seen = 0
        line, column = self.line, self.column
        for start, end in spans:
            between = self.text[seen:start]
            breaks = between.count("\n")
            line += breaks
            column = len(between) - between.rfind("\n") if breaks else column + len(between)
            seen = start
            yield replace(self, text=self.text[start:end], line=line, column=column)


# What may stand before a document's first word.
_BEFORE = re.compile(r"(?:---(?=[ \t\n])|[ \t\n]+|#[^\n]*|%[^\n]*)*")


class Places:
    """Places of one document, which is parsed at the first question."""

    def __init__(
        self, source: Source, environment: str | None, tree: object = None, node: nodes.Node | None = None
    ) -> None:
        """Take the source, and what was parsed from it if it was: its tree, and for YAML its node."""
        self._source = source
        self._environment = environment
        self._tree = tree
        self._node = node

    @property
    def origin(self) -> str:
        """Where the document begins."""
        found = _BEFORE.match(self._source.text)
        return self._source.at(found.end() if found else 0)

    def at(self, path: str) -> str:
        """Return "flags.yaml:12:3" for a path of the merged document."""
        line, column = self.find(path)
        return f"{self._source.name}:{line}:{column}"

    def find(self, path: str) -> tuple[int, int]:
        """Return line and column of a path of the merged document: a field's name, or a list's item."""
        self._parse()
        steps = resolve(self._tree, self._in_file(path))
        if self._node is None:
            return self._source.line_and_column(json_text.place(self._source.text, steps))
        return self._source.line_and_column(_place(self._node, steps))

    def _parse(self) -> None:
        if self._node is not None or self._tree is not None:
            return
        text = self._source.text
        if self._source.is_json:
            self._tree = json_text.parse(text)
        elif node := nodes.parse(text):
            self._node = node
            self._tree = nodes.tree(node, [], text)

    def _in_file(self, path: str) -> str:
        """Return where a path of the merged document stands in the whole one."""
        if self._environment is None or not isinstance(self._tree, dict):
            return path
        rest, overlays = split_overlays(Reading(), self._tree)
        overlay = overlays.get(self._environment)
        return path if overlay is None else path_in_file(rest, overlay, path, self._environment)


def _place(node: nodes.Node, steps: tuple[Step, ...]) -> int:
    start = node.start
    for step in steps:
        if isinstance(node, nodes.ListNode) and isinstance(step, int):
            node = node.items[step]
            start = node.start
        elif isinstance(node, nodes.MapNode):
            key, node = next(entry for entry in node.entries if entry[0].value == step)
            start = key.start
    return start
