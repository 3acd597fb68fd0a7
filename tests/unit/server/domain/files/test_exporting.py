"""Export."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.model import ValueType, Variant
from rollout_server.domain.files import export, export_json, fmt, load
from rollout_server.domain.files.flags import BOOLEAN_VARIANTS
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind, Metadata, Resource

FLAG = Resource(
    Kind.FLAG,
    Metadata("page-limit", owner="no", expires="2027-06-01"),
    FlagSpec(ValueType.INTEGER, (Variant("on", 1), Variant("1.10", 2)), "on", "on"),
    version=41,
)
COHORT = Resource(Kind.COHORT, Metadata("beta"), CohortSpec(include=tuple(f"user-{n}" for n in range(15))))


def test_an_export_reads_as_if_a_person_had_written_it() -> None:
    """Quotes where they are needed and nowhere else, brackets where they fit."""
    users = "\n".join(f"    - user-{n}" for n in range(15))
    assert export([FLAG, COHORT]) == (
        "kind: Flag\n"
        'metadata: {key: page-limit, owner: "no", expires: "2027-06-01"}\n'
        "spec:\n"
        "  type: integer\n"
        '  variants: {"on": 1, "1.10": 2}\n'
        '  off: "on"\n'
        "---\n"
        "kind: Cohort\n"
        "metadata: {key: beta}\n"
        f"spec:\n  include:\n{users}\n"
    )


def test_versions_are_written_on_request() -> None:
    """A file that carries them finds out when it is stale."""
    assert load(export([FLAG], with_versions=True)).documents[0].expected_version == 41
    assert load(export_json([FLAG], with_versions=True), "f.json").documents[0].expected_version == 41


def test_a_plain_flag_is_two_lines() -> None:
    """An empty spec is left out."""
    plain = Resource(Kind.FLAG, Metadata("a"), FlagSpec(ValueType.BOOLEAN, BOOLEAN_VARIANTS, "off", "off"))
    assert export([plain]) == "kind: Flag\nmetadata: {key: a}\n"
    assert export([]) == ""


@pytest.mark.parametrize("owner", ["\x9b2J", "\u202e", "zero\u200bwidth", "\U000e0001", "\ue000", "\u2028"])
def test_nothing_hidden_stays_unescaped(owner: str) -> None:
    """What a terminal obeys or a reviewer does not see is an escape, and reads back as it was."""
    resource = Resource(Kind.COHORT, Metadata("a", owner=owner), CohortSpec())
    for text, name in ((export([resource]), "f.yaml"), (export_json([resource]), "f.json")):
        assert text.replace("\n", "").isprintable()
        (document,) = load(text, name).documents
        assert document.resource is not None
        assert document.resource.metadata.owner == owner
        assert fmt(export([resource])) == export([resource])


def test_json_is_a_list() -> None:
    """Nothing hidden stays unescaped in it."""
    text = export_json([Resource(Kind.COHORT, Metadata("a", owner="\u202e"), CohortSpec())])
    assert json.loads(text) == [{"kind": "Cohort", "metadata": {"key": "a", "owner": "\u202e"}}]
    assert "\u202e" not in text
