"""Trees to resources."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.files.reader import expected_version, read
from rollout_server.domain.resources import CohortSpec, Kind, Metadata, Resource


def test_a_boolean_flag_is_a_kind_and_a_key() -> None:
    """DESIGN section 4: boolean flags need only kind and key."""
    resource, problems = read({"kind": "Flag", "metadata": {"key": "new-cart"}})
    assert problems == ()
    assert resource is not None
    assert str(resource.id) == "flag/new-cart"
    assert resource.status is None


def test_a_cohort_reads() -> None:
    """Keys as they were listed, and a condition beside them."""
    tree = {
        "kind": "Cohort",
        "metadata": {"key": "pilots", "owner": "sales", "tags": ["a"], "expires": "2028-02-29", "version": 7},
        "spec": {"unit": "tenant", "include": ["t-9", "t-9"], "exclude": ["t-77"], "when": {"cohort": "beta"}},
    }
    metadata = Metadata("pilots", "sales", "", ("a",), "2028-02-29")
    spec = CohortSpec("tenant", ("t-9", "t-9"), ("t-77",), InCohort("beta"))
    assert read(tree) == (Resource(Kind.COHORT, metadata, spec), ())
    assert expected_version(tree) == 7


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (None, "a map (a document with kind, metadata and spec) is wanted, found nothing"),
        ([], "found a list"),
        ({}, 'metadata: the field "metadata" is missing'),
        ({"kind": "Metrik", "metadata": {"key": "a"}}, 'kind: unknown kind "Metrik" (did you mean "Metric"?)'),
        ({"kind": "Token", "metadata": {"key": "a"}}, 'kind: unknown kind "Token" (known: Flag, Cohort, Metric'),
        ({"kind": "flag", "metadata": {"key": "a"}}, 'did you mean "Flag"?'),
        ({"kind": ["Flag"], "metadata": {"key": "a"}}, "kind: a kind is wanted, found a list"),
        ({"kind": "Flag", "metadata": {}}, 'metadata.key: the field "key" is missing'),
        ({"kind": "Flag", "metadata": {"key": "a"}, "status": {}}, 'unknown field "status"'),
        ({"kind": "Flag", "metadata": {"key": "a", "version": -1}}, "a version is not negative"),
        ({"kind": "Flag", "metadata": {"key": "a", "owner": 7}}, "flag/a: metadata.owner: text is wanted"),
        ({"kind": "Flag", "metadata": {"key": "a", "owner": "x" * 257}}, "at most 256 characters"),
        ({"kind": "Flag", "metadata": {"key": "a", "tags": ["x"] * 65}}, "at most 64 tags"),
        ({"kind": "Flag", "metadata": {"key": "a", "expires": "2027-02-29"}}, '"2027-02-29" is no date'),
        ({"kind": "Flag", "metadata": {"key": "a", "expires": "20270201"}}, "is no date"),
        ({"kind": "Flag", "metadata": {"key": "a"}, "spec": None}, "spec: a map"),
        ({"kind": "Flag", "metadata": {"key": "a"}, "tests": []}, "only files hold it"),
        ({"kind": "Cohort", "metadata": {"key": "a"}, "spec": {"includes": []}}, 'did you mean "include"?'),
        ({"kind": "Cohort", "metadata": {"key": "a"}, "spec": {"include": [7]}}, "spec.include[0]"),
    ],
)
def test_a_wrong_document_says_where_and_why(tree: object, said: str) -> None:
    """Unknown kinds, fields and types are refused by name, with the nearest that exists."""
    resource, problems = read(tree, "f.yaml:1:1")
    assert resource is None
    assert any(said in str(problem) for problem in problems), [str(problem) for problem in problems]
    assert all(problem.origin == "f.yaml:1:1" for problem in problems)


def test_every_problem_is_told_at_once() -> None:
    """One reading, one list: nobody mends file after file, mistake after mistake."""
    tree = {
        "kind": "Flag",
        "metadata": {"key": "a", "colour": 1, "owner": True},
        "spec": {
            "unit": "User",
            "rules": [{"id": "x", "serve": "on", "when": {"attribute": "a", "equal": 1}}],
            "offf": 1,
        },
    }
    paths = [problem.path for problem in read(tree)[1]]
    assert paths == ["metadata.colour", "metadata.owner", "spec.offf", "spec.unit", "spec.rules[0].when.equal"]


def test_depth_is_refused_before_anything_recurses() -> None:
    """A tree a hundred thousand deep is one problem."""
    tree: object = 1
    for _ in range(100_000):
        tree = [tree]
    resource, problems = read({"kind": "Flag", "metadata": {"key": "a"}, "spec": tree})
    assert resource is None
    assert [problem.code for problem in problems] == ["too_deep"]


@pytest.mark.parametrize(
    "tree", [None, {}, {"metadata": []}, {"metadata": {"version": "7"}}, {"metadata": {"version": True}}]
)
def test_no_version_is_expected_where_none_is_said(tree: object) -> None:
    """Only a whole number is a version."""
    assert expected_version(tree) is None
