"""Environments."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.overlay import merge, path_in_file, split_overlays
from rollout_server.domain.files.shape import Reading

DOCUMENT: dict[str, object] = {
    "kind": "Flag",
    "metadata": {"key": "a"},
    "spec": {
        "variants": {"a": {"x": 1, "y": 2}, "b": {}},
        "targets": {"a": ["u-1"]},
        "rules": [{"id": "r", "serve": "a"}],
        "off": "a",
    },
}
OVERLAY: dict[str, object] = {
    "variants": {"a": {"x": 3}, "c": {}},
    "targets": {"b": ["u-2"]},
    "rules": [],
    "default": "c",
}


def test_names_merge_and_values_replace() -> None:
    """Variants and targets merge by name; lists, conditions and values are one thing each."""
    assert merge(DOCUMENT, OVERLAY) == {
        "kind": "Flag",
        "metadata": {"key": "a"},
        "spec": {
            "variants": {"a": {"x": 3}, "b": {}, "c": {}},
            "targets": {"a": ["u-1"], "b": ["u-2"]},
            "rules": [],
            "off": "a",
            "default": "c",
        },
    }


def test_half_of_two_conditions_is_none() -> None:
    """A condition of the overlay takes the place of the other."""
    document: dict[str, object] = {"spec": {"when": {"attribute": "plan", "equals": "pro"}}}
    overlay: dict[str, object] = {"when": {"cohort": "beta"}}
    assert merge(document, overlay) == {"spec": {"when": {"cohort": "beta"}}}


def test_without_an_overlay_nothing_changes() -> None:
    """The document is what it says."""
    assert merge(DOCUMENT, {}) is DOCUMENT
    assert merge({"spec": 1}, OVERLAY) == {"spec": 1}


def test_a_document_gives_its_overlays() -> None:
    """Environments leave the document; any name will do that a key could have."""
    reading = Reading()
    tree = {**DOCUMENT, "environments": {"production": {"spec": OVERLAY}, "staging": {}}}
    assert split_overlays(reading, tree) == (DOCUMENT, {"production": OVERLAY, "staging": {}})
    assert reading.problems == []


@pytest.mark.parametrize(
    ("environments", "path"),
    [
        ([], "environments"),
        ({"Production": {}}, "environments.Production"),
        ({"p": []}, "environments.p"),
        ({"p": {"spec": []}}, "environments.p.spec"),
        ({"p": {"metadata": {}}}, "environments.p.metadata"),
    ],
)
def test_an_overlay_holds_a_spec_and_nothing_else(environments: object, path: str) -> None:
    """Keys and owners are the same everywhere."""
    reading = Reading()
    split_overlays(reading, {"environments": environments})
    assert [problem.path for problem in reading.problems] == [path]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("spec.rules[0]", "environments.p.spec.rules[0]"),
        ("spec.default", "environments.p.spec.default"),
        ("spec.variants.c", "environments.p.spec.variants.c"),
        ("spec.variants.b", "spec.variants.b"),
        ("spec.variants", "spec.variants"),
        ("spec.off", "spec.off"),
        ("spec", "spec"),
        ("metadata.key", "metadata.key"),
        ("", ""),
    ],
)
def test_a_place_is_where_its_value_came_from(path: str, place: str) -> None:
    """A mistake in the overlay is shown in the overlay."""
    assert path_in_file(DOCUMENT, OVERLAY, path, "p") == place
