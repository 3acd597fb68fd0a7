"""Places."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.places import Places, Source

YAML = """# top
---
kind: Flag
spec:
  rules:
    - {id: a, when: {all: [1, 2]}}
  "x.y": 1
environments: {p: {spec: {off: b}}}
"""
JSON = '{"kind": "Flag",\n "spec": {"rules": [{"id": "a"}]}}'


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", (13, 1)),
        ("kind", (13, 1)),
        ("spec", (14, 1)),
        ("spec.rules", (15, 3)),
        ("spec.rules[0]", (16, 7)),
        ("spec.rules[0].when.all[1]", (16, 31)),
        ('spec["x.y"]', (17, 3)),
        ("spec.rules[0].serve", (16, 7)),
        ("spec.off", (18, 27)),
    ],
)
def test_a_place_is_where_an_editor_finds_it(path: str, place: tuple[int, int]) -> None:
    """Names and items, from 1; what is missing is where it belongs; what the overlay says is in the overlay."""
    places = Places(Source("f.yaml", YAML, line=11), "p")
    assert places.origin == "f.yaml:13:1"
    assert places.find(path) == place
    assert places.at(path) == f"f.yaml:{place[0]}:{place[1]}"


@pytest.mark.parametrize(
    ("path", "place"), [("", (3, 5)), ("kind", (3, 6)), ("spec.rules[0].id", (4, 22)), ("spec.rules[7]", (4, 11))]
)
def test_json_has_places_too(path: str, place: tuple[int, int]) -> None:
    """Columns of the first line count from where the document begins in its file."""
    assert Places(Source("f.json", JSON, line=3, column=5, is_json=True), None).find(path) == place


def test_parts_know_where_they_stand() -> None:
    """Cut from a larger text, each on its own line and column."""
    parts = list(Source("f", "[1,\n {},  3]", line=5).parts([(1, 2), (5, 7), (10, 11)]))
    assert [(part.text, part.line, part.column) for part in parts] == [("1", 5, 2), ("{}", 6, 2), ("3", 6, 7)]
