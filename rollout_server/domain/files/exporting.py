"""Resources as a file that a person would have written, and that reads back as the same resources."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from rollout_server.domain.files import scalars
from rollout_server.domain.files.layout import lay_out
from rollout_server.domain.files.nodes import ListNode, MapNode, Node, ScalarNode
from rollout_server.domain.files.writer import write
from rollout_server.domain.unseen import escaped_in_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.resources import Resource

_BLOCKS = frozenset({"rules", "stages", "guardrails"})
"""Lists that take a line for each entry."""

_PLAIN = re.compile(r"(?:[+-](?=[0-9]))?[A-Za-z0-9](?:[A-Za-z0-9 ._/@+%-]*[A-Za-z0-9._/@+%-])?")


def export(resources: Iterable[Resource], *, with_versions: bool = False) -> str:
    """Return YAML documents, in the order given. What `fmt` makes of it is the same text.

    Args:
        resources: of kinds that people write.
        with_versions: write `metadata.version`, so that applying the file later finds out whether it is stale.

    Raises:
        ValueError: a resource holds what no file can say.
    """
    return "---\n".join(_yaml(_document(resource, with_versions=with_versions)) for resource in resources)


def export_json(resources: Iterable[Resource], *, with_versions: bool = False) -> str:
    """Return one JSON list of documents: large cohorts are read back much faster than from YAML."""
    documents = [_document(resource, with_versions=with_versions) for resource in resources]
    text = json.dumps(documents, ensure_ascii=False, allow_nan=False, indent=2)
    return escaped_in_json(text) + "\n"


def _document(resource: Resource, *, with_versions: bool) -> dict[str, Json]:
    tree = write(resource)
    metadata = tree["metadata"]
    if with_versions and isinstance(metadata, dict):
        metadata["version"] = resource.version
    return tree


def _yaml(tree: dict[str, Json]) -> str:
    root = MapNode(flow=False, start=0)
    root.entries = [(_field(name), _node(value)) for name, value in tree.items()]
    spec = tree.get("spec")
    if isinstance(spec, dict):
        fields: list[tuple[ScalarNode, Node]] = [
            (_field(name), _node(value, flow=name not in _BLOCKS)) for name, value in spec.items()
        ]
        root.entries[-1] = (_field("spec"), MapNode(flow=False, start=0, entries=fields))
    return lay_out(root, "", (), frozenset())


def _node(value: Json, *, flow: bool = True) -> Node:
    if isinstance(value, dict):
        entries = [(_scalar(name), _node(inner)) for name, inner in value.items()]
        return MapNode(flow=flow, start=0, entries=entries)
    if isinstance(value, list):
        return ListNode(flow=flow, start=0, items=[_node(item) for item in value])
    return _scalar(value)


def _field(name: str) -> ScalarNode:
    """Return the name of a field of ours: `off` is one, and needs no quotes."""
    return ScalarNode(name, name, plain=True, start=0, end=0)


def _scalar(value: scalars.Scalar) -> ScalarNode:
    plain = not isinstance(value, str) or (_PLAIN.fullmatch(value) is not None and _is_text(value))
    return ScalarNode(scalars.as_written(value), value, plain=plain, start=0, end=0)


def _is_text(word: str) -> bool:
    try:
        return type(scalars.resolve(word)) is str
    except ValueError:
        return False
