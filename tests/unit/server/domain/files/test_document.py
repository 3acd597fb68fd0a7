"""Files to documents."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollout_sdk.engine.problems import Problem
from rollout_server.domain.files import bounds, duplicates, load, locate, located

TEXT = """# flags
kind: Flag
metadata: {key: a, version: 4}
spec:
  rules:
    - {id: r, serve: onn}
environments:
  production:
    spec:
      rules: [{id: p, serve: on}]
tests:
  - {context: {units: {user: u-1}}, expect: off}
---
{"kind": "Cohort", "metadata": {"key": "b"}}
"""


def said(text: str | bytes, name: str = "f.yaml") -> list[str]:
    return [str(problem) for problem in load(text, name).problems]


def test_every_document_of_a_file_is_read() -> None:
    """YAML and JSON documents stand beside each other."""
    loaded = load(TEXT, "flags.yaml")
    assert loaded.problems == ()
    assert [document.origin for document in loaded.documents] == ["flags.yaml:2:1", "flags.yaml:14:1"]
    flag, cohort = loaded.documents
    assert flag.expected_version == 4
    assert cohort.expected_version is None
    assert flag.resource is not None
    assert flag.cases[0].expect == "off"
    assert json.dumps(flag.tree) == json.dumps(
        {
            "kind": "Flag",
            "metadata": {"key": "a", "version": 4},
            "spec": {"rules": [{"id": "r", "serve": "onn"}]},
        }
    )


def test_an_environment_is_merged() -> None:
    """What travels to a server is the document of its environment; tests and overlays stay at home."""
    flag = load(TEXT, "flags.yaml", "production").documents[0]
    assert flag.tree == {
        "kind": "Flag",
        "metadata": {"key": "a", "version": 4},
        "spec": {"rules": [{"id": "p", "serve": "on"}]},
    }
    assert locate(flag, "spec.rules[0].serve") == (10, 23)
    assert locate(load(TEXT, "flags.yaml").documents[0], "spec.rules[0].serve") == (6, 15)


def test_a_servers_problem_finds_its_line() -> None:
    """Origin and path travel; line and column are found at home. Strangers' problems are left as they are."""
    documents = load(TEXT, "flags.yaml").documents
    problem = Problem("flag/a", "spec.rules[0].serve", "unknown_variant", 'unknown variant "onn"', 'did you mean "on"?')
    found = located(documents, [replace(problem, origin="flags.yaml:2:1"), problem])
    assert str(found[0]) == ('flags.yaml:6:15: flag/a: spec.rules[0].serve: unknown variant "onn" (did you mean "on"?)')
    assert found[1] is problem


def test_a_mistake_in_one_document_hides_none_in_another() -> None:
    """All problems of a file at once, syntax included."""
    assert said("a: [\n---\nkind: Flag\nmetadata: {key: A}\n---\n\tb: 1\n") == [
        (
            "f.yaml:2:1: not valid YAML: while parsing a flow node expected the node content, "
            "but found 'the end of the document' (something is missing here, or a comma too many)"
        ),
        (
            'f.yaml:4:12: metadata.key: "A" cannot be the key of a flag: character 1 is U+0041 LATIN CAPITAL LETTER A '
            "(a key is 1 to 128 of a-z, 0-9, '.', '_', '-' and begins with a letter or digit)"
        ),
        (
            "f.yaml:6:1: not valid YAML: while scanning for the next token found character '\\t' "
            "that cannot start any token (indent with spaces, not with tabs)"
        ),
    ]


def test_other_environments_are_checked_too() -> None:
    """A mistake in production's overlay is told while staging is applied."""
    text = "kind: Flag\nmetadata: {key: a}\nenvironments:\n  production: {spec: {rules: [{id: 007, serve: on}]}}\n"
    assert said(text) == [
        (
            "f.yaml:4:32: flag/a: environments.production.spec.rules[0].id: in environment production: "
            'the key of a rule is wanted, found the number 007 (quote it: "007")'
        )
    ]
    assert load(text).documents[0].resource is None
    assert len(load(text, "", "production").problems) == 1


def test_a_resource_defined_twice_is_told() -> None:
    """Within a file, and across files for who loads several."""
    text = "kind: Flag\nmetadata: {key: a}\n"
    assert said(text + "---\n" + text) == [
        "f.yaml:4:1: flag/a: flag/a is defined twice, first at f.yaml:1:1 (keep one of them)"
    ]
    files = [*load(text, "a.yaml").documents, *load(text, "b.yaml").documents]
    assert [problem.origin for problem in duplicates(files)] == ["b.yaml:1:1"]


def test_a_name_given_twice_costs_the_resource() -> None:
    """Which of the two was meant is not guessed."""
    loaded = load("kind: Flag\nmetadata: {key: a, key: b}\n", "f.yaml")
    assert [str(problem) for problem in loaded.problems] == [
        'f.yaml:2:20: "key" stands here for the second time, the first is at 2:12 (keep one of them)'
    ]
    assert loaded.documents[0].resource is None


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "---\n---\n", "...\n", "---\n# a\n...\n", "\ufeff", "%YAML 1.2\n---\n"],
)
def test_a_file_without_documents_is_fine(text: str) -> None:
    """Nothing to read is nothing wrong."""
    assert load(text, "f.yaml") == load("", "f.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.2\n---\nkind: Flag\nmetadata: {key: a}\n...\n",
        "\ufeffkind: Flag\r\nmetadata: {key: a}\r\n",
        "--- {kind: Flag, metadata: {key: a}}\n",
        '[{"kind": "Flag", "metadata": {"key": "a"}}]',
        '{"kind": "Flag", "metadata": {"key": "a"}} # YAML after all\n',
    ],
)
def test_other_forms_of_the_same(text: str) -> None:
    """Directives, marks, line ends of other systems, lists of JSON."""
    loaded = load(text.encode(), "f.yaml")
    assert loaded.problems == ()
    assert [str(document.resource.id) for document in loaded.documents if document.resource] == ["flag/a"]


def test_documents_of_a_json_list_know_their_places() -> None:
    """Each begins where it begins."""
    text = '[{"kind": "Flag", "metadata": {"key": "a"}},\n  {"kind": "Flag", "metadata": {"key": "b", "owner": 7}}]'
    loaded = load(text, "f.json")
    assert [document.origin for document in loaded.documents] == ["f.json:1:2", "f.json:2:3"]
    assert [problem.origin for problem in loaded.problems] == ["f.json:2:45"]


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (b"kind: \xff", "f.yaml", "f.yaml:1:7: byte 0xFF is not UTF-8"),
        ("kind: \x1b", "f.yaml", "f.yaml:1:7: U+001B a control character stands here unseen"),
        ("{kind: Flag}", "f.json", "f.json:1:2: not valid JSON: Expecting property name"),
        ("[" * 100_000, "f.json", "f.json:1:1: maps and lists lie more than 100 inside each other"),
        ("[" * 100_000, "f.yaml", "f.yaml:1:1: maps and lists lie more than 100 inside each other"),
        ("{a: " * 100_000, "f.yaml", "f.yaml:1:401: maps and lists lie more than 100 inside each other"),
        ("just text", "f.yaml", "f.yaml:1:1: a map (a document with kind, metadata and spec) is wanted"),
        ("- kind: Flag", "f.yaml", "f.yaml:1:1: a map (a document with kind, metadata and spec) is wanted"),
        ("a: &a [*a]", "f.yaml", "f.yaml:1:4: the anchor &a is not read"),
        ("kind: Cohort\nmetadata: {key: a}\ntests: []", "f.yaml", "f.yaml:3:1: cohort/a: tests: only flags have tests"),
    ],
)
def test_bad_files_are_refused_with_a_place(text: str | bytes, name: str, problem: str) -> None:
    """Bytes, controls, depth, bombs and other shapes: one line each, never an exception."""
    assert said(text, name)[0].startswith(problem)


def test_documents_are_bounded() -> None:
    """A file of too many documents is read up to the limit, and says so."""
    loaded = load("[" + ",".join(["{}"] * (bounds.DOCUMENTS_MAX + 5)) + "]", "f.json")
    assert len(loaded.documents) == bounds.DOCUMENTS_MAX
    assert loaded.problems[-1].code == "too_many"
