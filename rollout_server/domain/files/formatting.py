"""`fmt`: one layout for every file. It changes how a file looks and nothing of what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rollout_server.domain.files import comments, json_text, nodes
from rollout_server.domain.files.document import read_document, yaml_sources
from rollout_server.domain.files.layout import double_quoted, lay_out
from rollout_server.domain.files.paths import resolve
from rollout_server.domain.files.places import Source
from rollout_server.domain.files.scalars import as_written
from rollout_server.domain.files.shape import QUOTE, QUOTE_NAME, UNCLEAR
from rollout_server.domain.files.text import BadText, decode, refuse_hidden
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from rollout_sdk.engine.problems import Problem
    from rollout_server.domain.files.paths import Step
    from rollout_server.domain.files.scalars import Scalar

_VARIANT_WORDS = frozenset({"on", "off"})
_HINT = "mend the file, then format it again; it was not touched"


def fmt(text: str | bytes, name: str = "") -> str:
    """Return the same documents in canonical layout: comments kept, ambiguous words quoted. Idempotent.

    Documents need not be valid; where text is wanted and a bare number, date or boolean stands, it gets the quotes that
    the reader asks for. Nothing else of the meaning changes.

    Raises:
        InvalidInput: the text is no YAML and no JSON, or one of its maps holds a name twice.
    """
    source = Source(name, "")
    try:
        source = Source(name, decode(text))
        refuse_hidden(source.text)
        if source.text.lstrip()[:1] in {"{", "["} and (laid_out := _json(source.text)) is not None:
            return laid_out
    except BadText as wrong:
        raise InvalidInput([wrong.as_problem(source.at(wrong.index))], _HINT) from None
    return _yaml(source)


def _yaml(whole: Source) -> str:
    problems: list[Problem] = []
    pages: list[str] = []
    waiting: list[str] = []  # comments between documents
    for source in yaml_sources(whole):
        wrong: list[BadText] = []
        try:
            root = nodes.parse(source.text)
        except BadText as bad:
            problems.append(bad.as_problem(source.at(bad.index)))
            continue
        found = comments.find(source.text, root)
        if root is None or (isinstance(root, nodes.ScalarNode) and root.meaning is None):
            waiting += [comment.text for comment in found]
            continue
        tree = nodes.tree(root, wrong, source.text, source.line)
        problems += [bad.as_problem(source.at(bad.index)) for bad in wrong]
        if not wrong:
            page = lay_out(root, source.text, found, _quoted(source, root, tree))
            pages.append("\n".join([*waiting, "", page]) if waiting else page)
            waiting = []
    if problems:
        raise InvalidInput(problems, _HINT)
    last = "".join(comment + "\n" for comment in waiting)
    return "---\n".join(pages) + last


def _quoted(source: Source, root: nodes.Node, tree: object) -> set[int]:
    """Return where the words start that get quotes."""
    wanted: set[int] = set()
    unclear: set[int] = set()
    for problem in read_document(source, tree, None, root)[1]:
        steps = resolve(tree, problem.path)
        key, value = _find(root, steps)
        if problem.code == QUOTE_NAME and key is not None:
            wanted.add(key.start)
        elif problem.code == QUOTE and isinstance(value, nodes.ScalarNode) and value.value:
            wanted.add(value.start)
        elif problem.code == UNCLEAR:
            unclear.add(value.start)
    return wanted | (_variant_words(root) - unclear)


def _find(node: nodes.Node, steps: tuple[Step, ...]) -> tuple[nodes.ScalarNode | None, nodes.Node]:
    key = None
    for step in steps:
        if isinstance(node, nodes.ListNode) and isinstance(step, int):
            key, node = None, node.items[step]
        elif isinstance(node, nodes.MapNode):
            key, node = next(entry for entry in node.entries if entry[0].value == step)
    return key, node


def _variant_words(node: nodes.Node) -> set[int]:
    """Return where a plain `on` or `off` starts: text to YAML 1.2, but not to every reader."""
    if isinstance(node, nodes.ScalarNode):
        return {node.start} if node.plain and node.value in _VARIANT_WORDS else set()
    if isinstance(node, nodes.ListNode):
        return {start for item in node.items for start in _variant_words(item)}
    found: set[int] = set()
    for key, value in node.entries:
        own_names = _variant_words(value)
        if key.value == "spec" and isinstance(value, nodes.MapNode):  # its field `off` is a name of ours
            own_names -= {name.start for name, _ in value.entries}
        found |= own_names | _variant_words(key)
    return found


def _json(text: str) -> str | None:
    try:
        tree = json_text.parse(text)
    except BadText as wrong:
        if wrong.code != "bad_json":
            raise
        return None
    return "".join(_json_lines(tree, "\n")) + "\n"


def _json_lines(tree: object, newline: str) -> list[str]:
    """Return JSON in pieces, numbers as they were written."""
    inner = newline + "  "
    if isinstance(tree, dict) and tree:
        pieces = [[inner, double_quoted(name), ": ", *_json_lines(value, inner)] for name, value in tree.items()]
        return ["{", *_joined(pieces), newline, "}"]
    if isinstance(tree, list) and tree:
        return ["[", *_joined([[inner, *_json_lines(item, inner)] for item in tree]), newline, "]"]
    if isinstance(tree, dict | list):
        return ["{}" if isinstance(tree, dict) else "[]"]
    return [double_quoted(tree) if isinstance(tree, str) else as_written(cast("Scalar", tree))]


def _joined(pieces: list[list[str]]) -> list[str]:
    return [part for number, piece in enumerate(pieces) for part in ([",", *piece] if number else piece)]
