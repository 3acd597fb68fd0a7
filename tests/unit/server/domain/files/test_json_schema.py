"""The published schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from rollout_server.domain.files.json_schema import schema
from rollout_server.domain.files.operators import SHAPES

ROOT = Path(__file__).parents[5]
PUBLISHED = ROOT / "docs" / "schema" / "rollout-guard.schema.json"


def test_the_published_schema_is_fresh() -> None:
    """`python scripts/write_schema.py` writes it; editors read it."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == schema()


def test_it_is_a_schema() -> None:
    """Under its own meta-schema, with every operator explained."""
    Draft202012Validator.check_schema(schema())
    text = json.dumps(schema())
    assert all(f'"{name}"' in text for name in SHAPES)


def test_the_examples_are_valid() -> None:
    """As they stand in their files, environments and tests included."""
    validator = Draft202012Validator(schema())
    design = ROOT / "tests" / "documents" / "design.yaml"
    for path in [*sorted((ROOT / "examples").glob("*/*.yaml")), design]:
        for tree in YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")):
            assert [error.message for error in validator.iter_errors(tree)] == []


@pytest.mark.parametrize(
    "tree",
    [
        {"kind": "Flag", "metadata": {"key": "a"}, "environments": {"p": {"spec": {"rulez": 1}}}},
        {"kind": "Flag", "metadata": {"key": "a"}, "environments": {"p": {"metadata": {}}}},
        {"kind": "Flag", "metadata": {"key": "a"}, "tests": [{"context": {}}]},
        {"kind": "Cohort", "metadata": {"key": "a"}, "tests": []},
        {"kind": "Flag", "metadata": {"key": "a"}, "environments": {"p": {"spec": {"unit": 1}}}},
    ],
)
def test_files_that_the_reader_refuses_are_refused(tree: object) -> None:
    """Overlays and tests have a shape too."""
    assert not Draft202012Validator(schema()).is_valid(tree)
