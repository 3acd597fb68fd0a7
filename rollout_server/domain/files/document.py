"""Files to documents: every document of a text, and what it says in one environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, cast

from rollout_sdk.engine.problems import Problem
from rollout_server.domain.files import json_text, nodes
from rollout_server.domain.files.bounds import DOCUMENTS_MAX
from rollout_server.domain.files.cases import read_cases
from rollout_server.domain.files.overlay import merge, path_in_file, split_overlays
from rollout_server.domain.files.places import Places, Source
from rollout_server.domain.files.reader import expected_version, read
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.files.text import BadText, decode, normal, refuse_hidden
from rollout_server.domain.resources import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.files.cases import Case
    from rollout_server.domain.resources import Resource, ResourceId

_MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\n]|\Z)", re.MULTILINE)
_DIRECTIVE_ONLY = re.compile(r"\s*%YAML 1\.2\s*")
_JSON_ONLY = frozenset({"duplicate_field", "too_deep", "bad_number", "not_unicode"})


@dataclass(frozen=True, slots=True)
class Document:
    """One document, as it is in one environment.

    Attributes:
        tree: kind, metadata and spec with the environment's overlay merged: what the control API carries.
        resource: None where the document has problems.
        cases: what stands under `tests`.
        expected_version: `metadata.version`, the version its author last saw; None where the file does not say.
        origin: where it begins, "flags.yaml:12:1".
    """

    tree: Json
    resource: Resource | None
    cases: tuple[Case, ...]
    expected_version: int | None
    origin: str
    environment: str | None = None
    source: Source = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All documents of one text that could be parsed, and every problem with its line and column."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


class _Parsed(NamedTuple):
    source: Source
    tree: object
    node: nodes.Node | None = None
    mistakes: tuple[Problem, ...] = ()


def load(text: str | bytes, name: str = "", environment: str | None = None) -> Loaded:
    """Read every document of a YAML or JSON text.

    Args:
        text: untrusted; bytes are UTF-8.
        name: of the file, for problems; a name that ends in ".json" is read as JSON and nothing else.
        environment: whose overlay is merged. The overlays of all others are checked too.
    """
    whole = Source(name, "")
    try:
        whole = replace(whole, text=decode(text))
        refuse_hidden(whole.text)
    except BadText as wrong:
        if wrong.index and isinstance(text, bytes) and not whole.text:
            whole = replace(whole, text=normal(text.decode("utf-8", "replace")))
        return Loaded((), (_problem(whole, wrong),))
    documents: list[Document] = []
    problems: list[Problem] = []
    for parsed in _trees(whole, problems):
        if len(documents) == DOCUMENTS_MAX:
            many = BadText("too_many", f"more than {DOCUMENTS_MAX} documents in one file", 0, "split the file")
            problems.append(_problem(parsed.source, many))
            break
        document, found = read_document(parsed.source, parsed.tree, environment, parsed.node)
        documents.append(replace(document, resource=None) if parsed.mistakes else document)
        problems += [*parsed.mistakes, *found]
    problems += duplicates(documents)
    return Loaded(tuple(documents), tuple(problems))


def _problem(source: Source, wrong: BadText) -> Problem:
    return wrong.as_problem(source.at(wrong.index))


def _trees(whole: Source, problems: list[Problem]) -> Iterator[_Parsed]:
    as_json = whole.name.endswith(".json")
    if as_json or whole.text.lstrip()[:1] in {"{", "["}:
        try:
            yield from _json_trees(whole)
        except BadText as wrong:
            if as_json or wrong.code in _JSON_ONLY:
                problems.append(_problem(whole, wrong))
                return
        else:
            return
    yield from _yaml_trees(whole, problems)


def _json_trees(whole: Source) -> Iterator[_Parsed]:
    tree = json_text.parse(whole.text)
    if not isinstance(tree, list):
        yield _Parsed(replace(whole, is_json=True), tree)
        return
    source = replace(whole, is_json=True)
    for item, part in zip(tree, source.parts(json_text.items(whole.text)), strict=True):
        yield _Parsed(part, item)


def _yaml_trees(whole: Source, problems: list[Problem]) -> Iterator[_Parsed]:
    for source in yaml_sources(whole):
        try:
            node = nodes.parse(source.text)
        except BadText as bad:
            problems.append(_problem(source, bad))
            continue
        if node is None or (isinstance(node, nodes.ScalarNode) and node.meaning is None):
            continue
        wrong: list[BadText] = []
        tree = nodes.tree(node, wrong, source.text, source.line)
        yield _Parsed(source, tree, node, tuple(_problem(source, bad) for bad in wrong))


def yaml_sources(whole: Source) -> Iterator[Source]:
    """Cut a YAML text at its document markers, so that a mistake in one document hides nothing of the others."""
    starts = [0, *(found.start() for found in _MARKER.finditer(whole.text))]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(whole.text)], strict=True):
        text = whole.text[start:end]
        source = Source(whole.name, "   " + text[3:] if text.startswith("...") else text, line)
        line += text.count("\n")
        if not _DIRECTIVE_ONLY.fullmatch(source.text):
            yield source


def read_document(
    source: Source, tree: object, environment: str | None, node: nodes.Node | None = None
) -> tuple[Document, list[Problem]]:
    """Return one document as it is in an environment, and what is wrong with it, there and in all others."""
    places = Places(source, environment, tree, node)
    origin = places.origin
    reading = Reading(origin)
    if not isinstance(tree, dict):
        document = Document(cast("Json", tree), None, (), None, origin, environment, source=source)
        return document, list(read(tree, origin)[1])
    rest, overlays = split_overlays(reading, tree)
    tests = rest.pop("tests", None)
    merged = merge(rest, overlays.get(environment or "", {}))
    resource, found = read(merged, origin)
    reading.resource = next((problem.resource for problem in found), "") if resource is None else str(resource.id)
    cases: tuple[Case, ...] = ()
    if "tests" in tree:
        if rest.get("kind") != Kind.FLAG.value:
            reading.refuse("tests", "unknown_field", "only flags have tests", "move them to a flag that this decides")
        else:
            cases = read_cases(reading, tests)
    problems = [*found, *(replace(problem, resource=reading.resource) for problem in reading.problems)]
    for name, overlay in overlays.items():
        if name != environment:
            problems += _elsewhere(rest, overlay, name, found, origin)
    if problems:
        resource = None
    document = Document(
        cast("Json", merged), resource, cases, expected_version(merged), origin, environment, source=source
    )
    return document, [replace(problem, origin=places.at(problem.path)) for problem in problems]


def _elsewhere(
    rest: dict[str, object], overlay: dict[str, object], name: str, known: tuple[Problem, ...], origin: str
) -> list[Problem]:
    """Return what is wrong in another environment only."""
    told = {(problem.path, problem.code, problem.message) for problem in known}
    found = read(merge(rest, overlay), origin)[1]
    return [
        replace(
            problem,
            path=path_in_file(rest, overlay, problem.path, name),
            message=f"in environment {name}: {problem.message}",
        )
        for problem in found
        if (problem.path, problem.code, problem.message) not in told
    ]


def duplicates(documents: Iterable[Document]) -> list[Problem]:
    """Return a problem for each document whose resource an earlier one defines already, across files too."""
    first: dict[ResourceId, str] = {}
    problems = []
    for document in documents:
        if document.resource is None:
            continue
        identity = document.resource.id
        if identity in first:
            message = f"{identity} is defined twice, first at {first[identity]}"
            hint = "keep one of them"
            problems.append(Problem(str(identity), "", "duplicate_resource", message, hint, document.origin))
        first.setdefault(identity, document.origin)
    return problems


def locate(document: Document, path: str) -> tuple[int, int]:
    """Return line and column, from 1, of a place in a document.

    A path that does not exist is where it would belong. Asking for many at once is cheaper through `located`.
    """
    return Places(document.source, document.environment).find(path)


def located(documents: Iterable[Document], problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems, found elsewhere, with line and column instead of their document's origin."""
    by_origin = {document.origin: document for document in documents}
    places: dict[str, Places] = {}
    result = []
    for problem in problems:
        document = by_origin.get(problem.origin)
        if document is None:
            result.append(problem)
            continue
        if problem.origin not in places:
            places[problem.origin] = Places(document.source, document.environment)
        result.append(replace(problem, origin=places[problem.origin].at(problem.path)))
    return tuple(result)
