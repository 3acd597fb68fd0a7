"""Documents as callers send them."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.limits import DOCUMENTS_PER_APPLY
from rollout_sdk.engine.problems import Problem
from rollout_server.app.documents import Document, Specs, read_documents
from rollout_server.errors import InvalidInput
from tests.small_environment import cohort, document, flag, flag_id


def problems_of(*documents: Document) -> list[Problem]:
    with pytest.raises(InvalidInput) as refusal:
        read_documents(documents)
    return list(refusal.value.problems)


def test_documents_become_resources_in_their_order() -> None:
    """Each document is one resource; where it was read is kept beside it."""
    specs = read_documents([flag("b"), cohort("beta", "u-1"), flag("a")])
    assert [str(one.id) for one in specs.resources] == ["flag/b", "cohort/beta", "flag/a"]
    assert specs.origins[flag_id("a")] == "a.yaml:1:1"
    assert specs.expected == {}
    assert read_documents([]) == Specs((), {}, {})


def test_the_version_an_author_saw_is_kept() -> None:
    """`metadata.version` is what the author's edit rests on."""
    assert read_documents([document("Flag", "a", {}, version=7)]).expected == {flag_id("a"): 7}


def test_all_problems_of_all_documents_are_told() -> None:
    """Nothing is read in part: every document's every problem comes back, with its origin."""
    wrong = problems_of(
        Document("{", "Flag", "torn", "a.yaml:1"),
        document("Flag", "fine", {}),
        document("Flag", "odd", {"ruls": [], "unit": 7}),
        document("Token", "sneaky"),
    )
    assert {problem.origin for problem in wrong} == {"a.yaml:1", "odd.yaml:1:1", "sneaky.yaml:1:1"}
    assert wrong[0].resource == "flag/torn"
    assert all(problem.hint for problem in wrong)


def test_a_resource_is_given_once() -> None:
    """Two documents of one key would make the order of files a meaning."""
    (problem,) = problems_of(flag("a"), Document(flag("a").json, origin="other.yaml:9"))
    assert (problem.code, problem.origin, problem.resource) == ("twice", "other.yaml:9", "flag/a")
    assert "a.yaml:1:1" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        '{"kind": NaN}',
        '{"kind": 1e400}',
        '{"kind": "Flag", "kind": "Flag"}',
        "[" * 100_000,
        "\ud800",
        '{"a": ' + "9" * 10_000 + "}",
        '{"kind": "Flag", "metadata": {"key": "a"}, "spec": {"unit": "\\ud800"}}',
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    """Torn, doubled, not finite, too deep, half of a character: a problem, never a crash."""
    problems = problems_of(Document(text, origin="x.yaml:3"))
    assert problems[0].origin == "x.yaml:3"


def test_too_many_documents_are_refused_by_number() -> None:
    """The limit holds where a change is made."""
    problems = problems_of(*[Document("{}")] * (DOCUMENTS_PER_APPLY + 1))
    assert [problem.code for problem in problems] == ["too_many"]
    assert len(read_documents(flag(f"f{number}") for number in range(100)).resources) == 100
    assert json.loads(flag("a").json)["kind"] == "Flag"
