"""The canonical layout of one YAML document: what `fmt` writes.

Two spaces a level, lists inside their field, one empty line where there was any. What was written in brackets stays in
brackets while it fits on a line and holds no comment. Words stay as they were written, but for those to be quoted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout_server.domain.files.comments import Comment, is_apart
from rollout_server.domain.files.nodes import ListNode, MapNode, Node, ScalarNode
from rollout_server.domain.files.text import HIDDEN
from rollout_server.domain.unseen import escaped_in_json, escaped_in_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

LINE_WIDTH = 120
_BETWEEN = re.compile(r"[ \t,:\]}]*")  # what may stand between a line's last word and its comment
_STEP = 2


def lay_out(root: Node, text: str, comments: Sequence[Comment], quoted: AbstractSet[int]) -> str:
    """Return the document's canonical text, ending in a line end.

    Args:
        root: of the document.
        text: it was parsed from.
        comments: all of `text`.
        quoted: where the plain words start that get quotes.
    """
    page = _Page(text, list(comments), quoted)
    if isinstance(root, ScalarNode) or page.fits(root, 0):
        page.comments_before(root.start, 0)
        page.put(page.flow(root), root.end)
    else:
        page.block(root, 0, len(text))
    page.comments_before(len(text) + 1, 0)
    return "\n".join(page.lines) + "\n"


@dataclass(slots=True)
class _Page:
    """Lines being written. `comments` are those that wait for their place, in order."""

    text: str
    comments: list[Comment]
    quoted: AbstractSet[int]
    lines: list[str] = field(default_factory=list)

    def block(self, node: MapNode | ListNode, indent: int, limit: int) -> None:
        """Write a collection, an entry a line; `limit` is where that begins which follows it."""
        first_line = len(self.lines)
        starts = _starts(node)
        for number, (start, until) in enumerate(zip(starts, [*starts[1:], limit], strict=True)):
            self.comments_before(start, indent)
            if not node.flow and len(self.lines) > first_line and is_apart(self.text, start):
                self.empty_line()
            if isinstance(node, MapNode):
                self.entry(*node.entries[number], indent, until)
            else:
                self.item(node.items[number], indent, until)
        if node.flow:
            self.comments_before(node.end, indent)
        else:
            self.comments_before(limit, indent, self.column(node.start))

    def entry(self, key: ScalarNode, value: Node, indent: int, limit: int) -> None:
        """Write `key: value`."""
        head = " " * indent + self.scalar(key) + ":"
        if isinstance(value, ScalarNode):
            self.comments_before(value.start, indent)
            self.behind(head, value, indent)
        elif self.fits(value, len(head) + 1):
            self.comments_before(value.start, indent)
            self.put(f"{head} {self.flow(value)}", value.end)
        else:
            self.put(head, key.end)
            self.block(value, indent + _STEP, limit)

    def item(self, value: Node, indent: int, limit: int) -> None:
        """Write `- value`; the first line of a block follows its dash."""
        head = " " * indent + "-"
        if isinstance(value, ScalarNode):
            self.behind(head, value, indent)
        elif self.fits(value, len(head) + 1):
            self.put(f"{head} {self.flow(value)}", value.end)
        else:
            self.comments_before(_innermost_start(value), indent)
            first = len(self.lines)
            self.block(value, indent + _STEP, limit)
            self.lines[first] = head + self.lines[first][indent + 1 :]

    def behind(self, head: str, node: ScalarNode, indent: int) -> None:
        """Write a scalar behind its name or dash."""
        literal = _literal(node)
        if literal is None:
            self.put(f"{head} {self.scalar(node)}", node.end)
            return
        self.put(f"{head} {literal[0]}", node.start)
        self.lines += [" " * (indent + _STEP) + line if line else "" for line in literal[1:]]

    def put(self, line: str, end: int) -> None:
        """Write a line, and behind it the comment that stands behind the source's character `end`, on its line."""
        waiting = self.comments[0] if self.comments else None
        if waiting and not waiting.alone and _BETWEEN.fullmatch(self.text, end, max(end, waiting.index)):
            line = f"{line}  {waiting.text}"
            del self.comments[0]
        self.lines.append(line)

    def comments_before(self, limit: int, indent: int, column_min: int = 0) -> None:
        """Write the comments that wait and stand before `limit`, up to the first further left than `column_min`."""
        written = 0
        for comment in self.comments:
            if comment.index >= limit or (comment.alone and comment.column < column_min):
                break
            if comment.apart and comment.alone:
                self.empty_line()
            self.lines.append(" " * indent + comment.text)
            written += 1
        del self.comments[:written]

    def empty_line(self) -> None:
        """Write an empty line, never two, and none at the top."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def column(self, index: int) -> int:
        """Return the column of a character of the source, from 0."""
        return index - (self.text.rfind("\n", 0, index) + 1)

    def fits(self, node: Node, indent: int) -> bool:
        """Whether a collection is written in brackets, behind `indent` characters."""
        if isinstance(node, ScalarNode):
            return False
        if not _starts(node):
            return True  # a comment inside moves behind it
        return node.flow and not self.holds_comment(node) and indent + len(self.flow(node)) <= LINE_WIDTH

    def holds_comment(self, node: Node) -> bool:
        """Whether a comment stands inside."""
        return any(node.start < comment.index < node.end for comment in self.comments)

    def flow(self, node: Node) -> str:
        """Return a node on one line."""
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if isinstance(node, ListNode):
            return "[" + ", ".join(map(self.flow, node.items)) + "]"
        return "{" + ", ".join(f"{self.scalar(key)}: {self.flow(value)}" for key, value in node.entries) + "}"

    def scalar(self, node: ScalarNode) -> str:
        """Return a scalar on one line."""
        is_marker = node.value.startswith(("---", "..."))  # at the start of a line it would end the document
        if node.plain and node.start not in self.quoted and "\n" not in node.value and not is_marker:
            return node.value or "null"
        return quote(node.value)


def quote(value: str) -> str:
    """Return text in double quotes, or in single ones where that saves escapes; nothing hidden stays unescaped."""
    if ('"' in value or "\\" in value) and "'" not in value and value.isprintable():
        return f"'{value}'"
    return escaped_in_yaml(json.dumps(value, ensure_ascii=False))


def double_quoted(value: str) -> str:
    """Return text as JSON, nothing hidden in it."""
    return escaped_in_json(json.dumps(value, ensure_ascii=False))


def _literal(node: ScalarNode) -> list[str] | None:
    """Return header and lines of a text that was written as | or > and can stand as |."""
    value = node.value
    if not node.block or not value.strip() or value[0] in " \t\n" or value.endswith("\n\n") or HIDDEN.search(value):
        return None
    lines = value.removesuffix("\n").split("\n")
    return ["|" if value.endswith("\n") else "|-", *lines]


def _starts(node: MapNode | ListNode) -> list[int]:
    return [key.start for key, _ in node.entries] if isinstance(node, MapNode) else [item.start for item in node.items]


def _innermost_start(node: Node) -> int:
    while not isinstance(node, ScalarNode) and _starts(node):
        node = node.entries[0][0] if isinstance(node, MapNode) else node.items[0]
    return node.start
