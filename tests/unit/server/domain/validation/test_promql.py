"""PromQL that could not be asked is refused at `apply`."""

import pytest

from rollout_server.domain.validation.promql import promql_fault


@pytest.mark.parametrize(
    "query",
    [
        'errors_total{arm="{arm}"}',
        'sum(errors_total{arm="{arm}"})',
        'sum by (job) ((errors_total{variant="{variant}"}))',
        'sum(x{arm="{arm}", path=~"/a/[0-9]{2,3}|\\"b\\""}) # all of them (',
        '{__name__=~"a_total|b_total", arm=`{arm}`, reach="{reach}", run="{run}"}',
    ],
)
def test_a_counter_is_a_selector_alone_or_in_a_sum(query: str) -> None:
    """Brackets inside quotes and comments are no brackets."""
    assert promql_fault(query, is_counter=True) == ("", "")


@pytest.mark.parametrize(
    "query",
    [
        'sum by (job) (rate(errors_total{arm="{arm}", run="{run}"}[5m])) / scalar(sum(rate(b[5m])))',
        "max_over_time(x{arm=`{arm}`}[1h30m:5m]) / 2 >= bool 0.5",
        'job:error_ratio:rate1m{arm="{arm}"}',
        'rate(x{arm="{arm}"}[300])',
    ],
)
def test_a_bare_ratio_is_anything_with_a_value_at_a_moment(query: str) -> None:
    """Functions, operators, ranges and subqueries are Prometheus' own."""
    assert promql_fault(query, is_counter=False) == ("", "")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "empty"),
        ("  # nothing", "nothing in the query"),
        ("{}", "empty"),
        ('sum(x{arm="{arm}"}', "the bracket ( at character 4 is not closed"),
        ('sum(x{arm="{arm}"}))', "the bracket ) at character 20 closes nothing"),
        ('sum(x{arm="{arm}")}', "closes nothing"),
        ('x{arm="{arm}}', 'the quote " at character 7 is not closed'),
        ('rate(x{arm="{arm}"}[5 minutes])', "[5 minutes] is no range"),
        ('rate(x{arm="{arm}"}[])', "[] is no range"),
        ('rate(x{arm="{arm}"}[1h:soon])', "is no range"),
        ("sum(x)", "nothing in the query tells the arms apart"),
        ("sum(x{arm={arm}})", "nothing in the query tells the arms apart"),
        ('sum(x{arm="{arn}"})', 'there is no placeholder "{arn}"'),
        ('sum(x{arm="$arm"} ; drop)', "; is no part of PromQL"),
        ('sum(x{arm="{arm}"}) \u2013 1', "U+2013 stands outside quotes"),
        ('summ(x{arm="{arm}"})', "summ"),
        ('x{arm="{arm}"} +', "could not parse"),
        ('x{arm=~"{arm}("}', "could not parse"),
        ('x{arm="{arm}"} offset 5m', "another moment"),
        ('x{arm="{arm}"} @ 1700000000', "another moment"),
        ('x{arm="{arm}"} + Inf', "not finite"),
        ('x{arm="{arm}"} + 1e400', "not finite"),
        ('x{arm="{arm}" or arm="b"}', "no PromQL"),
        ("(" * 17 + 'x{arm="{arm}"}' + ")" * 17, "nested more than 16 deep"),
        ('x{arm="{arm}"}' + " + 1" * 49, "more than 48 operators"),
    ],
)
@pytest.mark.parametrize("is_counter", [True, False])
def test_what_it_cannot_take_is_refused(query: str, why: str, *, is_counter: bool) -> None:
    """Each with the place or the word, and with what to do."""
    message, hint = promql_fault(query, is_counter=is_counter)
    assert why in message
    assert hint


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(errors_total{arm="{arm}"}[5m]))',
        'increase(errors_total{arm="{arm}"}[1m])',
        'errors_total{arm="{arm}"} / 2',
        'max(errors_total{arm="{arm}"})',
        'errors_total{arm="{arm}"}[5m]',
    ],
)
def test_what_is_worked_out_of_a_counter_is_no_counter(query: str) -> None:
    """It could fall, or was extrapolated; the hint names the counter that is in it."""
    message, hint = promql_fault(query, is_counter=True)
    assert "no counter" in message
    assert 'errors_total{arm="{arm}"}' in hint


@pytest.mark.parametrize(
    "query",
    ['x{arm="{arm}"}[5m]', 'x{arm="{arm}"}[5m:1m]', '"{arm}"', 'label_replace(vector(1), "a", "{arm}", "", "")'],
)
def test_a_bare_ratio_has_one_value_at_a_moment(query: str) -> None:
    """A range, a text, or what asks for no series at all is none."""
    assert promql_fault(query, is_counter=False)[0]
