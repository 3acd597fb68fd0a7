"""Comments of a YAML text, which carry no meaning and must not be lost."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.domain.files.nodes import ListNode, Node, ScalarNode

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT = re.compile(r"(?:(?<=[ \t\n])|(?<![\s\S]))#[^\n]*")


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment.

    Attributes:
        text: from its # to the end of the line, trimmed.
        index: of its #.
        column: from 0.
        alone: nothing else stands on its line.
        apart: an empty line stands before it.
    """

    text: str
    index: int
    column: int
    alone: bool
    apart: bool


def find(text: str, root: Node | None) -> list[Comment]:
    """Return all comments of one document's text, in order."""
    found = []
    begin = 0
    for start, end in [*(_spans(text, root) if root else ()), (len(text), len(text))]:
        found += [_comment(text, hit.start(), hit[0]) for hit in _COMMENT.finditer(text, begin, start)]
        begin = end
    return found


def _comment(text: str, index: int, words: str) -> Comment:
    line_start = text.rfind("\n", 0, index) + 1
    alone = not text[line_start:index].strip()
    return Comment(words.rstrip(), index, index - line_start, alone, is_apart(text, index))


def is_apart(text: str, index: int) -> bool:
    """Whether an empty line stands before the line of this character."""
    line_start = text.rfind("\n", 0, index) + 1
    return line_start > 1 and not text[text.rfind("\n", 0, line_start - 1) + 1 : line_start].strip()


def _spans(text: str, node: Node) -> Iterator[tuple[int, int]]:
    """Yield what scalars cover, in order: a # in there is no comment."""
    if isinstance(node, ScalarNode):
        if node.block:  # the line of | or > may end in a comment
            header = text.find("\n", node.start)
            yield node.start, node.start
            yield (header, node.end) if 0 <= header < node.end else (node.start, node.end)
        else:
            yield node.start, node.end
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _spans(text, item)
    else:
        for key, value in node.entries:
            yield key.start, key.end
            yield from _spans(text, value)
