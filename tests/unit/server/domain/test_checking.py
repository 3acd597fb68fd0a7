"""Lint and test cases."""

from __future__ import annotations

from pathlib import Path

from rollout_server.domain.checking import lint, run_cases
from rollout_server.domain.files import export, load
from rollout_server.domain.files.document import Document
from tests.small_state import EMPTY, applied, wished

BETA = "kind: Cohort\nmetadata: {key: beta}\nspec: {include: [u-1]}\n"
ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples" / "flags"
DOCUMENTS = ROOT / "tests" / "documents"


def examples(environment: str | None = None) -> list[Document]:
    found: list[Document] = []
    for path in sorted(EXAMPLES.glob("*.yaml")):
        loaded = load(path.read_bytes(), path.name, environment)
        assert loaded.problems == ()
        found += loaded.documents
    return found


def test_the_examples_are_in_order() -> None:
    """What we ship reads, fits together, and its own tests hold."""
    assert lint(examples()) == ()
    assert lint(examples("production")) == ()
    results = run_cases(examples())
    assert len(results) >= 7
    assert [result for result in results if not result.passed] == []


def test_references_are_checked_at_their_lines() -> None:
    """What one document says of another is checked over all of them together."""
    text = "kind: Flag\nmetadata: {key: a}\nspec:\n  never: [betta]\n  rules:\n    - {id: r, serve: onn}\n"
    cohort = load(BETA, "b.yaml").documents
    problems = lint([*load(text, "a.yaml").documents, *cohort])
    assert [(problem.origin, problem.path) for problem in problems] == [
        ("a.yaml:6:15", "spec.rules[0].serve"),
        ("a.yaml:4:11", "spec.never[0].cohort"),
    ]
    assert 'did you mean "beta"?' in str(problems[1])


def test_what_exists_beside_the_files_is_known() -> None:
    """A flag may name what is on the server already."""
    document = load("kind: Flag\nmetadata: {key: a}\nspec: {never: [beta]}\n", "a.yaml").documents
    known = load(BETA).documents[0].resource
    assert known is not None
    assert len(lint(document)) == 1
    assert lint(document, [known]) == ()


def test_twins_across_files_are_told() -> None:
    """Two files, one key: neither silently wins."""
    text = "kind: Flag\nmetadata: {key: a}\n"
    problems = lint([*load(text, "a.yaml").documents, *load(text, "b.yaml").documents])
    assert [(problem.origin, problem.code) for problem in problems] == [("b.yaml:1:1", "duplicate_resource")]


def test_a_case_that_fails_says_what_was_decided() -> None:
    """And where it stands."""
    text = (
        "kind: Flag\nmetadata: {key: a}\nspec: {targets: {on: [u-1]}}\n"
        "tests:\n  - {context: {units: {user: u-1}}, expect: off}\n  - {context: {}, expect: off}\n"
    )
    first, second = run_cases(load(text, "a.yaml").documents)
    assert (first.passed, first.decision.variant, first.origin) == (False, "on", "a.yaml:5:5")
    assert second.passed
    assert second.flag == "a"


def test_rollout_examples_are_in_order_over_the_flag_examples() -> None:
    """Whoever applies them to what `rollout dev` started is refused nothing."""
    flags, rollouts = (
        [document for path in sorted(folder.glob("*.yaml")) for document in load(path.read_text(), path.name).documents]
        for folder in (EXAMPLES, EXAMPLES.parent / "rollouts")
    )
    standing = applied(EMPTY, *(document.resource for document in flags if document.resource is not None))
    wanted = [document.resource for document in rollouts if document.resource is not None]
    assert len(wanted) == len(rollouts) >= 11
    assert wished(standing, *wanted).problems == ()
    assert lint(rollouts, standing.resources.values()) == ()


def test_the_example_of_the_design_loads_round_trips_and_is_in_order() -> None:
    """With the cohorts, metrics and the channel that it names and does not show."""
    documents: list[Document] = []
    for name in ("design.yaml", "surroundings.yaml"):
        loaded = load((DOCUMENTS / name).read_text(encoding="utf-8"), name)
        assert loaded.problems == ()
        documents += loaded.documents
    assert lint(documents) == ()
    resources = [document.resource for document in documents if document.resource is not None]
    assert len(resources) == 15
    again = load(export(resources)).documents
    assert [document.resource for document in again] == resources
    assert wished(EMPTY, *resources).problems == ()


def test_lint_tells_what_is_wrong_around_flags_at_its_line() -> None:
    """Validation of every kind comes with places in the file."""
    text = "kind: Pipeline\nmetadata: {key: p}\nspec:\n  stages:\n    - {name: a, share: 0%}\n"
    (problem,) = lint(load(text, "p.yaml").documents)
    assert (problem.origin, problem.code) == ("p.yaml:5:17", "bad_share")
