"""Documents in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.cli import sentences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["all", "any", "not", "cohort", "attribute", "in", "on_missing", "x"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"attribute": "email", "ends_with": "@example.com"}, 'email ends with "@example.com"'),
        ({"unit": "tenant", "in": ["t-1"]}, 'unit tenant in ["t-1"]'),
        ({"cohort": "beta"}, "in cohort beta"),
        ({"not": {"cohort": "beta"}}, "not in cohort beta"),
        (
            {"all": [{"cohort": "a"}, {"any": [{"cohort": "b"}, {"cohort": "c"}]}]},
            "in cohort a and (in cohort b or in cohort c)",
        ),
        ({"all": []}, "always"),
        ({"any": []}, "never"),
        ({"any": [{"cohort": "a"}]}, "in cohort a"),
        (
            {"attribute": "plan", "equals": "Pro", "ignore_case": True, "on_missing": "no_match"},
            'plan equals "Pro" (any case) (missing: no match)',
        ),
        ({"attribute": "n", "in": [1, 2, 3, 4, 5, 6]}, "n in [1, 2, 3, 4, 5, … 6 in all]"),
        ({"later": 1}, '{"later": 1}'),
    ],
)
def test_conditions(condition: Any, expected: str) -> None:
    assert sentences.condition(condition) == expected


@given(JSON)
def test_a_document_of_a_later_release_is_still_shown(tree: Any) -> None:
    assert isinstance(sentences.condition(tree), str)


def test_outcomes() -> None:
    assert sentences.outcome({"serve": "on"}) == "on"
    assert sentences.outcome({"split": {"on": "12.5%", "off": "87.5%"}}) == "on 12.5 %, off 87.5 %"
    assert sentences.outcome({"rollout": "launch"}) == "as rollout launch says"
    assert sentences.outcome({}) == ""
