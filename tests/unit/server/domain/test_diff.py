"""Fields that differ, at the places that documents have."""

from dataclasses import replace
from typing import Any as Anything

import pytest

from rollout_server.domain.diff import LISTED_MAX, Operation, change_of, is_same_document
from rollout_server.domain.resources import (
    CohortStatus,
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    TokenSpec,
    TokenStatus,
)
from tests.small_state import cohort_document, flag_document

RULES: tuple[dict[str, Anything], ...] = (
    {"id": "staff", "when": {"attribute": "email", "ends_with": "@x.com"}, "serve": "on"},
    {"id": "launch", "split": {"on": "25%", "off": "75%"}},
)


def fields(before: Resource | None, after: Resource | None) -> list[tuple[str, str, str]]:
    return [(one.path, one.before_json, one.after_json) for one in change_of(before, after).fields]


def test_rules_are_matched_by_their_id() -> None:
    """A new share is one field of one rule, wherever the rule stands."""
    before = flag_document("f", *RULES)
    after = flag_document("f", {"id": "launch", "split": {"on": "50%", "off": "50%"}}, RULES[0])
    assert fields(before, after) == [
        ("spec.rules", '["staff","launch"]', '["launch","staff"]'),
        ("spec.rules[launch].split.on", '"25%"', '"50%"'),
        ("spec.rules[launch].split.off", '"75%"', '"50%"'),
    ]


def test_rules_that_come_and_go_are_shown_whole_and_their_place_too() -> None:
    """A rule put first is another thing than one put last."""
    before = flag_document("f", RULES[0])
    assert [path for path, _, _ in fields(before, flag_document("f", *RULES))] == ["spec.rules[launch]"]
    assert [path for path, _, _ in fields(before, flag_document("f", *reversed(RULES)))] == [
        "spec.rules",
        "spec.rules[launch]",
    ]
    assert [path for path, _, _ in fields(flag_document("f", *RULES), before)] == ["spec.rules[launch]"]


def test_conditions_and_requirements_have_places() -> None:
    """Leaves by position, requirements by flag."""
    rule = {"id": "a", "when": {"all": [{"attribute": "n", "<": 1}, {"cohort": "beta"}]}, "serve": "on"}
    other = {
        "id": "a",
        "when": {"all": [{"attribute": "n", "<": 2}, {"cohort": "beta"}, {"not": {"cohort": "x"}}]},
        "serve": "on",
    }
    before = flag_document("f", rule, requires=[{"flag": "p", "variants": ["on"]}])
    after = flag_document("f", other, requires=[{"flag": "p", "variants": ["on", "blue"]}])
    assert fields(before, after) == [
        ("spec.requires[p].variants", '["on"]', '["on","blue"]'),
        ("spec.rules[a].when.all[0].<", "1", "2"),
        ("spec.rules[a].when.all[2]", "", '{"not":{"cohort":"x"}}'),
    ]


def test_the_order_of_a_split_is_meaning() -> None:
    """The same shares in another order move every unit, so the whole split is shown."""
    before = flag_document("f", {"id": "a", "split": {"on": "50%", "off": "50%"}})
    after = flag_document("f", {"id": "a", "split": {"off": "50%", "on": "50%"}})
    assert not is_same_document(before, after)
    assert fields(before, after) == [("spec.rules[a].split", '{"on":"50%","off":"50%"}', '{"off":"50%","on":"50%"}')]


def test_a_value_that_only_looks_equal_is_a_change() -> None:
    """True is not 1."""
    before, after = (flag_document("f", type="json", variants={"on": one, "off": 0}) for one in (1, True))
    assert not is_same_document(before, after)
    assert fields(before, after) == [("spec.variants.on", "1", "true")]


def test_short_lists_are_shown_whole_long_ones_by_entry_longer_ones_counted() -> None:
    """A cohort of a million keys does not fill the screen."""
    few = [f"u{at}" for at in range(3)]
    assert fields(cohort_document("c", *few), cohort_document("c", *few[:2])) == [
        ("spec.include", '["u0","u1","u2"]', '["u0","u1"]')
    ]
    many = [f"u{at}" for at in range(50)]
    assert fields(cohort_document("c", *many), cohort_document("c", *many[1:], "new")) == [
        ('spec.include["u0"]', '"u0"', ""),
        ('spec.include["new"]', "", '"new"'),
    ]
    heaps = [f"u{at}" for at in range(LISTED_MAX * 3)]
    assert fields(cohort_document("c", *heaps), cohort_document("c", *heaps[: LISTED_MAX + 1])) == [
        ("spec.include", '{"count":300}', '{"count":101}')
    ]
    assert fields(cohort_document("c", *many), cohort_document("c", *reversed(many))) == [
        ("spec.include", '{"count":50}', '"the same, in another order"')
    ]


def test_created_and_deleted_resources_show_their_document() -> None:
    """Field by field against nothing; lists of many keys counted; what verbs will write is no news."""
    cohort = replace(cohort_document("c", *(f"u{at}" for at in range(1_000))), status=CohortStatus(), version=7)
    made = change_of(None, cohort)
    assert (made.operation, made.version_before, made.version_after) == (Operation.CREATE, 0, 7)
    assert fields(None, cohort) == [("metadata.key", "", '"c"'), ("spec.include", "", '{"count":1000}')]
    gone = change_of(cohort, None)
    assert (gone.operation, gone.version_before, gone.version_after) == (Operation.DELETE, 7, 0)
    flag = replace(flag_document("f"), status=FlagStatus("s" * 16))
    assert fields(None, flag) == [("metadata.key", "", '"f"')]


def test_what_verbs_write_is_shown() -> None:
    """A kill is a field of the status; it is no change of the document."""
    flag = replace(flag_document("f"), status=FlagStatus("s" * 16), version=1)
    dead = replace(flag, status=FlagStatus("s" * 16, killed=True), version=2)
    assert fields(flag, dead) == [("status.killed", "false", "true")]
    assert change_of(flag, dead).operation is Operation.UPDATE
    assert is_same_document(flag, dead)
    assert change_of(flag, flag).operation is Operation.UNCHANGED


def test_hashes_of_tokens_are_never_shown() -> None:
    """A token's diff has who and when, and not the hash."""
    token = Resource(Kind.TOKEN, Metadata("t"), TokenSpec("secret-hash", "viewer", "mia", 1, 2), TokenStatus(), 1)
    revoked = replace(token, status=TokenStatus(5))
    assert "secret-hash" not in str(change_of(None, token))
    assert fields(token, revoked) == [("status.revoked_at_ms", "0", "5")]


def test_nothing_is_no_change() -> None:
    """One side exists."""
    with pytest.raises(ValueError, match="before or after"):
        change_of(None, None)
