"""Placeholders, and what a query counts."""

from __future__ import annotations

from contextlib import suppress

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.promql import (
    Counter,
    NotPromql,
    Value,
    counter_of,
    fill,
    placeholders,
    value_of,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def matched(query: str, label: str = "v") -> str:
    """Return the value that PromQL reads for a label."""
    selector = promql_parser.parse(query)
    assert isinstance(selector, promql_parser.VectorSelector)
    (found,) = [one.value for one in selector.matchers.matchers if one.name == label]
    return found


def test_only_names_in_braces_inside_quotes_are_placeholders() -> None:
    """Matchers have braces of their own, comments are for people, and quantifiers of patterns are digits."""
    query = 'x{arm="{arm}", a=\'{run}\', b=`{flag}`, c=~"[0-9]{2,3}"} # {reach}'
    assert placeholders(query) == {"arm", "run", "flag"}
    assert placeholders("{arm}") == frozenset()


def test_what_has_no_value_stays() -> None:
    """Unknown names are refused elsewhere; nothing is filled in by guess."""
    query = 'x{arm="{arm}", b="{other}"} # "{arm}"'
    assert fill(query, {"arm": "candidate"}) == 'x{arm="candidate", b="{other}"} # "{arm}"'


@pytest.mark.parametrize("quote", ['"', "'", "`"])
@given(value=TEXTS)
def test_a_label_gets_exactly_the_value(quote: str, value: str) -> None:
    """Whatever is in it: no value ends its quotes, adds a matcher, or is searched for placeholders again."""
    assert matched(fill(f"x{{v={quote}{{variant}}{quote}}}", {"variant": value})) == value
    assert matched(fill(f"x{{v={quote}{{variant}}{quote}}}", {"variant": "{arm}", "arm": "b"})) == "{arm}"


@pytest.mark.parametrize("operator", ["=~", "!~", "=~ ", "!~\n"])
def test_in_a_pattern_the_value_matches_itself(operator: str) -> None:
    """Keys have dots, and a dot in a pattern is any character."""
    filled = fill(f'x{{v{operator}"{{rollout}}-(a|b)"}}', {"rollout": "shop.v2+(x)"})
    assert matched(filled) == r"shop\.v2\+\(x\)-(a|b)"


def test_backquotes_know_no_escapes_so_they_are_changed() -> None:
    """What else stands in them keeps its meaning."""
    assert matched(fill('x{v=`a\\n{variant}"`}', {"variant": "`"})) == 'a\\n`"'


def test_a_sum_around_a_counter_is_left_out() -> None:
    """The series themselves show that one of them began again; their sum would hide it."""
    for query in (
        'x{arm="{arm}"}',
        'sum(x{arm="{arm}"})',
        'sum by (pod) ((x{arm="{arm}"}))',
        'sum(sum(x{arm="{arm}"}))',
    ):
        assert counter_of(query) == Counter('x{arm="{arm}"}')


def test_a_value_knows_how_far_it_looks_back() -> None:
    """The longest range, or ranges within a subquery: values that are closer than that share data."""
    spans = {
        'x{arm="a"}': 0,
        "rate(x[1m])": 60_000,
        "rate(x[1m]) / rate(y[5m])": 300_000,
        "max_over_time(rate(x[5m])[1h:1m]) + rate(y[2h])": 7_200_000,
        "max_over_time(rate(x[5m])[1h:1m])": 3_900_000,
    }
    assert {query: value_of(query) for query in spans} == {query: Value(query, ms) for query, ms in spans.items()}


@pytest.mark.parametrize("query", ["sum(", "x y", "foo(x)", 'x{a=~"("}', "rate(x)", "", "x offset 1e300", "x[Inf]"])
def test_what_does_not_parse_is_said(query: str) -> None:
    """By either reader, with a hint, and never by a panic of the parser."""
    for read in (counter_of, value_of):
        with pytest.raises(NotPromql) as refused:
            read(query)
        assert str(refused.value)
        assert refused.value.hint


@pytest.mark.parametrize("opened", ["(", "abs(", "sum(", "-(", "x^("])
def test_no_query_is_nested_so_deep_that_the_parser_falls(opened: str) -> None:
    """A full stack ends the process, so depth is counted before it is parsed."""
    with pytest.raises(NotPromql, match=r"nested|operators"):
        value_of(opened * 500 + "x" + ")" * 500)
    with pytest.raises(NotPromql, match="operators"):
        value_of("-" * 3_000 + "x")


@given(st.text("ax(){}[]\"'`\\=~!+-*/^,:@#0159.esumrateoffset \n", max_size=60))
def test_no_text_breaks_the_reading(query: str) -> None:
    """Any text is a counter, a value, or refused."""
    for read in (counter_of, value_of):
        with suppress(NotPromql):
            read(query)
