"""Files: what is written is read back, in every form, and nothing that is read can hurt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rollout_server.domain.files import (
    canonical_json,
    export,
    export_json,
    fmt,
    load,
    percent,
    read,
    read_stored,
    schema,
    write,
    write_stored,
)
from rollout_server.domain.resources import FlagStatus, Resource, first_status
from tests.resource_strategies import RESOURCES

SHORT = settings(max_examples=25)
SCHEMA = Draft202012Validator(schema())


@SHORT
@given(RESOURCES)
def test_what_is_written_is_read_back(resource: Resource) -> None:
    """read(write(x)) == x for every flag and cohort."""
    assert read(write(resource)) == (resource, ())


@SHORT
@given(RESOURCES)
def test_canonical_json_keeps_everything(resource: Resource) -> None:
    """Canonical JSON reads back as the same tree, its maps in the same order, and is written the same again."""
    raw = canonical_json(write(resource))
    tree = json.loads(raw)
    assert read(tree) == (resource, ())
    assert canonical_json(tree) == raw


@SHORT
@given(RESOURCES, st.integers(0, 2**40), st.booleans())
def test_the_stored_form_keeps_status_and_version(resource: Resource, version: int, killed: bool) -> None:  # noqa: FBT001 - drawn
    """read_stored(write_stored(x)) == x, through the bytes that a journal keeps."""
    status = first_status(resource)
    status = replace(status, killed=killed) if isinstance(status, FlagStatus) else status
    stored = replace(resource, status=status, version=version)
    assert read_stored(json.loads(canonical_json(write_stored(stored)))) == stored


@SHORT
@given(st.lists(RESOURCES, min_size=1, max_size=3, unique_by=lambda resource: resource.id))
def test_an_export_loads_as_what_was_exported(resources: list[Resource]) -> None:
    """YAML and JSON exports read back as the same resources, and fmt has nothing to change in the YAML."""
    text = export(resources)
    loaded = load(text, "flags.yaml")
    assert loaded.problems == ()
    assert [document.resource for document in loaded.documents] == resources
    assert fmt(text) == text
    from_json = load(export_json(resources), "flags.json")
    assert from_json.problems == ()
    assert [document.resource for document in from_json.documents] == resources


@SHORT
@given(RESOURCES)
def test_json_means_the_same_as_yaml(resource: Resource) -> None:
    """JSON is YAML: the same text gives the same tree through both parsers."""
    text = json.dumps(write(resource), indent=1)
    as_json, as_yaml = load(text, "flag.json"), load("---\n" + text, "flag.yaml")
    assert as_json.problems == as_yaml.problems == ()
    assert as_json.documents[0].tree == as_yaml.documents[0].tree


@SHORT
@given(RESOURCES)
def test_the_schema_accepts_what_is_written(resource: Resource) -> None:
    """Whatever `write` gives is valid under the published schema."""
    assert [error.message for error in SCHEMA.iter_errors(write(resource))] == []


@SHORT
@given(st.integers(0, 1_000_000))
def test_percentages_are_exact(share_ppm: int) -> None:
    """Every share of parts per million has one percentage, and it reads back as the same share."""
    assert percent.parse(percent.show(share_ppm)) == share_ppm


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@settings(max_examples=5_000)
@given(RESOURCES)
def test_all_of_it_at_length(resource: Resource) -> None:
    """The properties of one resource, over thousands of them."""
    test_what_is_written_is_read_back.hypothesis.inner_test(resource)  # type: ignore[attr-defined]
    test_canonical_json_keeps_everything.hypothesis.inner_test(resource)  # type: ignore[attr-defined]
    test_an_export_loads_as_what_was_exported.hypothesis.inner_test([resource])  # type: ignore[attr-defined]
    test_json_means_the_same_as_yaml.hypothesis.inner_test(resource)  # type: ignore[attr-defined]
    test_the_schema_accepts_what_is_written.hypothesis.inner_test(resource)  # type: ignore[attr-defined]
