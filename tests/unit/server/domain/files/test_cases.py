"""Test cases in files."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.bounds import CASES_MAX
from rollout_server.domain.files.cases import Case, read_cases
from rollout_server.domain.files.scalars import Unquoted
from rollout_server.domain.files.shape import Reading


def test_a_case_is_a_context_and_what_it_gets() -> None:
    """Units and attributes as in every other context of JSON; on and off need no quotes."""
    reading = Reading()
    tree = [
        {
            "name": "n",
            "context": {"units": {"user": "u-1"}, "attributes": {"plan": {"tier": "pro"}}},
            "expect": Unquoted("on"),
        },
        {"context": {}, "expect": "off"},
    ]
    assert read_cases(reading, tree) == (
        Case("n", {"user": "u-1"}, {"plan": {"tier": "pro"}}, "on", "tests[0]"),
        Case("", {}, {}, "off", "tests[1]"),
    )
    assert reading.problems == []


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({}, "tests"),
        ([1], "tests[0]"),
        ([{"expect": "on"}], "tests[0].context"),
        ([{"context": {}}], "tests[0].expect"),
        ([{"context": {}, "expect": True}], "tests[0].expect"),
        ([{"context": {}, "expect": "on", "expects": 1}], "tests[0].expects"),
        ([{"context": {"user": "u-1"}, "expect": "on"}], "tests[0].context.user"),
        ([{"context": {"units": []}, "expect": "on"}], "tests[0].context.units"),
        ([{"context": {"units": {"user": 7}}, "expect": "on"}], "tests[0].context.units.user"),
        ([{"context": {"units": {"User": "u"}}, "expect": "on"}], "tests[0].context.units.User"),
        ([{"context": {"attributes": []}, "expect": "on"}], "tests[0].context.attributes"),
        ([{"context": {"attributes": {"a": Unquoted("no")}}, "expect": "on"}], "tests[0].context.attributes.a"),
        ([{}] * (CASES_MAX + 1), "tests"),
    ],
)
def test_a_wrong_case_says_where(tree: object, path: str) -> None:
    """A test that tests nothing is no test."""
    reading = Reading()
    read_cases(reading, tree)
    assert [problem.path for problem in reading.problems] == [path]
