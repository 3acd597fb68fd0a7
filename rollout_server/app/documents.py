"""Documents as callers send them, and the one way to read them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from rollout_sdk.engine.limits import DOCUMENTS_PER_APPLY
from rollout_sdk.engine.problems import Problem
from rollout_server.domain.files import expected_version, read
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_server.domain.resources import Resource, ResourceId


@dataclass(frozen=True, slots=True)
class Document:
    """One resource in the JSON form of the published schema.

    Attributes:
        json: UTF-8 JSON text of {kind, metadata, spec}.
        kind, key: as the caller read them, for problems in a document that cannot be read; may be empty.
        origin: where the caller read it, "flags.yaml:12"; given back in problems.
    """

    json: str
    kind: str = ""
    key: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Specs:
    """What documents say, read.

    Attributes:
        resources: in the order of the documents; each id once, without status.
        expected: the versions that their authors last saw, where the documents say so.
        origins: where each resource was read.
    """

    resources: tuple[Resource, ...]
    expected: Mapping[ResourceId, int]
    origins: Mapping[ResourceId, str]


def read_documents(documents: Iterable[Document]) -> Specs:
    """Read all documents, or refuse all of them with every problem in any.

    Raises:
        InvalidInput: text that is no JSON, a field that is no field, a resource given twice, too many documents.
    """
    given = tuple(documents)
    if len(given) > DOCUMENTS_PER_APPLY:
        message = f"these are {len(given)} documents, at most {DOCUMENTS_PER_APPLY} go into one change"
        raise InvalidInput([Problem("", "", "too_many", message, "apply them in parts, parents and cohorts first")])
    problems: list[Problem] = []
    resources: dict[ResourceId, Resource] = {}
    expected: dict[ResourceId, int] = {}
    origins: dict[ResourceId, str] = {}
    for document in given:
        tree, problem = _parse(document)
        if problem is not None:
            problems.append(problem)
            continue
        resource, found = read(tree, document.origin)
        problems.extend(found)
        if resource is None:
            continue
        if resource.id in resources:
            first = f", first in {origins[resource.id]}" if origins[resource.id] else ""
            message = f"it is given twice{first}"
            problems.append(Problem(str(resource.id), "", "twice", message, "keep one of them", document.origin))
        resources[resource.id] = resource
        origins[resource.id] = document.origin
        version = expected_version(tree)
        if version is not None:
            expected[resource.id] = version
    if problems:
        raise InvalidInput(problems)
    return Specs(tuple(resources.values()), expected, origins)


def _parse(document: Document) -> tuple[object, Problem | None]:
    try:
        tree: object = json.loads(
            document.json, object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        told = "nested too deep" if isinstance(error, RecursionError) else str(error)
        name = f"{document.kind.lower()}/{document.key}" if document.kind and document.key else ""
        hint = "documents travel as JSON; `rollout lint` finds the place in a file"
        return None, Problem(name, "", "not_json", f"it is no JSON that can be read: {told}", hint, document.origin)
    return tree, None


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the field {twice[:60]!r} is there twice in one map")
    return tree


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:60]} is too large for a float")
    return number
