"""YAML text to nodes that know where they stand, and nodes to trees.

The events are ruamel.yaml's; what is accepted is decided here: no aliases, tags, merges, or names that are no text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from rollout_server.domain.files import names, scalars
from rollout_server.domain.files.bounds import DEPTH_MAX, PROBLEMS_MAX, YAML_DOCUMENT_BYTES_MAX
from rollout_server.domain.files.text import BadText, line_and_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.domain.files.scalars import Scalar


@dataclass(slots=True)
class ScalarNode:
    """A word or a text.

    Attributes:
        value: decoded.
        meaning: None, a boolean, a number or a text, as `scalars.resolve` decided.
        plain: written without quotes.
        start, end: characters [start, end) of the document's text.
        block: written as | or >.
    """

    value: str
    meaning: Scalar
    plain: bool
    start: int
    end: int
    block: bool = False


@dataclass(slots=True)
class ListNode:
    """A list; `flow` where it was written in brackets."""

    flow: bool
    start: int
    end: int = 0
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode:
    """A map in its written order; keys are unique texts, but for problems that were noted."""

    flow: bool
    start: int
    end: int = 0
    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)


Node: TypeAlias = "ScalarNode | ListNode | MapNode"

_NAME_CHARACTERS_MAX = 1_000
_HINTS = (
    ("\\t", "indent with spaces, not with tabs"),
    ("cannot start any token", "text that begins with this character needs quotes"),
    ("mapping values are not allowed", "check the indentation, and quote text that holds a colon and a space"),
    ("could not find expected ':'", "check the indentation, and that every field has a colon and a space after it"),
    ("expected <block end>", "this line is indented differently from its neighbours"),
    ("expected chomping or indentation", "text that begins with > or | needs quotes"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("unexpected end of stream", "a quote is not closed"),
    ("expected the node content", "something is missing here, or a comma too many"),
)


def parse(text: str) -> Node | None:
    """Compose one YAML document; None where it holds nothing but comments.

    Raises:
        BadText: the first place that is no YAML, or YAML that is not accepted here.
    """
    if len(text) > YAML_DOCUMENT_BYTES_MAX:
        message = f"the document has {len(text)} characters, at most {YAML_DOCUMENT_BYTES_MAX} are read as YAML"
        raise BadText("too_large", message, 0, "give large cohorts as JSON, which is read much faster")
    try:
        return _compose(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        if wrong.context_mark and "end of stream" in str(wrong.problem):
            mark = wrong.context_mark  # a quote that is not closed: where it was opened
        said = " ".join(str(part) for part in (wrong.context, wrong.problem) if part)
        said = said.replace("<stream end>", "the end of the document")
        hint = next((hint for sign, hint in _HINTS if sign in said), "")
        raise BadText("bad_yaml", f"not valid YAML: {said}", mark.index if mark else 0, hint) from None
    except YAMLError as wrong:
        raise BadText("bad_yaml", f"not valid YAML: {wrong}") from None
    except (ValueError, OverflowError) as wrong:  # an escape such as \U00110000
        if isinstance(wrong, BadText):
            raise
        raise BadText("bad_yaml", f"not valid YAML: {wrong}", 0, "look for a wrong \\u or \\U escape") from None


def _compose(events: Iterator[object]) -> Node | None:
    open_nodes: list[MapNode | ListNode] = []
    keys: list[ScalarNode | None] = []  # of each open map: the key that waits for its value
    root: Node | None = None
    for event in events:
        if isinstance(event, NodeEvent):
            node = _node(event)
            if not open_nodes:
                root = node
            elif isinstance(parent := open_nodes[-1], ListNode):
                parent.items.append(node)
            elif (key := keys[-1]) is None:
                keys[-1] = _key(node)
            else:
                parent.entries.append((key, node))
                keys[-1] = None
            if not isinstance(node, ScalarNode):
                open_nodes.append(node)
                keys.append(None)
                if len(open_nodes) > DEPTH_MAX:
                    message = f"maps and lists lie more than {DEPTH_MAX} inside each other"
                    raise BadText("too_deep", message, node.start, "flatten it")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_nodes.pop().end = event.end_mark.index
            keys.pop()
        elif isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
            raise BadText("bad_yaml", "YAML 1.2 is read here", 0, "remove the %YAML line")
    return root


def _node(event: NodeEvent) -> Node:
    start = event.start_mark.index
    if isinstance(event, AliasEvent):
        hint = "write the value again, or make a cohort of it; text that begins with * needs quotes"
        raise BadText("alias", f"the alias *{event.anchor} is not read", start, hint)
    if event.anchor is not None:
        hint = "remove it: aliases are not read either; text that begins with & needs quotes"
        raise BadText("alias", f"the anchor &{event.anchor} is not read", start, hint)
    if isinstance(event, ScalarEvent):
        if event.tag is not None:
            raise BadText(
                "tag", f"the tag {event.tag} is not read", start, "remove it; quote the value to make it text"
            )
        return _scalar(event, start)
    if isinstance(event, MappingStartEvent | SequenceStartEvent):
        if event.tag is not None:
            raise BadText("tag", f"the tag {event.tag} is not read", start, "remove it")
        kind = MapNode if isinstance(event, MappingStartEvent) else ListNode
        return kind(flow=bool(event.flow_style), start=start)
    message = f"an event of ruamel.yaml that nobody handles: {event!r}"
    raise AssertionError(message)


def _scalar(event: ScalarEvent, start: int) -> ScalarNode:
    value = event.value
    end = event.end_mark.index
    if event.style is not None:
        if not names.is_unicode(value):
            value = _paired(value, start)
        return ScalarNode(value, value, plain=False, start=start, end=end, block=event.style in "|>")
    try:
        return ScalarNode(value, scalars.resolve(value), plain=True, start=start, end=end)
    except ValueError as wrong:
        message = f"{names.show(value)} {wrong}"
        raise BadText("bad_number", message, start, "quote it, or write a number") from None


def _paired(value: str, start: int) -> str:
    """Join the two escapes with which JSON writes one character beyond the first 65 536."""
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        message = "this text holds half of a surrogate pair"
        raise BadText("not_unicode", message, start, "write the whole character") from None


def _key(node: Node) -> ScalarNode:
    if not isinstance(node, ScalarNode):
        raise BadText(
            "bad_field", "a map or a list cannot name a field", node.start, "names are text; close the bracket?"
        )
    if len(node.value) > _NAME_CHARACTERS_MAX or (node.plain and not node.value):
        message = "a field has no name" if not node.value else f"a name has more than {_NAME_CHARACTERS_MAX} characters"
        raise BadText("bad_field", message, node.start, "write `name: value`")
    if node.plain and node.value == "<<":
        hint = "write the fields out: what a merge would add is easy to overlook in a review"
        raise BadText("merge", "the merge key << is not read", node.start, hint)
    return node


def tree(node: Node, wrong: list[BadText], text: str, line: int = 1) -> object:
    """Return the node's tree of Python values; scalars keep how they were written where that matters.

    Keys are texts; one that was written without quotes and is no text is `Unquoted`: `{1: a}`.

    Args:
        node: from `parse`.
        wrong: receives one problem for each name that appears twice in a map; the first stands.
        text: what was parsed.
        line: number of its first line.
    """
    if isinstance(node, ScalarNode):
        return node.meaning
    if isinstance(node, ListNode):
        return [item.meaning if type(item) is ScalarNode else tree(item, wrong, text, line) for item in node.items]
    found: dict[str, object] = {}
    places: dict[str, int] = {}
    for key, value in node.entries:
        if key.value in places:
            if len(wrong) >= PROBLEMS_MAX:
                continue
            first = "{}:{}".format(*line_and_column(text, places[key.value], line))
            message = f"{names.show(key.value)} stands here for the second time, the first is at {first}"
            wrong.append(BadText("duplicate_field", message, key.start, "keep one of them"))
            continue
        places[key.value] = key.start
        name = key.value if type(key.meaning) is str else scalars.Unquoted(key.value)
        found[name] = tree(value, wrong, text, line)
    return found
