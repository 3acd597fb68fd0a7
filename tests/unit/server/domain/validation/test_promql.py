"""PromQL, as far as it can be judged without Prometheus."""

import pytest

from rollout_server.domain.validation.promql import promql_fault


@pytest.mark.parametrize(
    "query",
    [
        'sum(errors_total{arm="{arm}"})',
        "sum by (job) (rate(errors_total{arm='{arm}', run=\"{run}\"}[5m]))",
        'sum(x{arm="{arm}", path=~"/a/[0-9]{2,3}|\\"b\\""}) # all of them (',
        "max_over_time(x{arm=`{arm}`}[1h30m:5m] offset 1w) / 2 >= bool 0.5",
        'x{arm="{arm}"}[300]',
        'x{arm="{arm}"}[1h:]',
    ],
)
def test_what_prometheus_may_take_is_taken(query: str) -> None:
    """Brackets inside quotes and comments are no brackets; ranges and subqueries are known."""
    assert promql_fault(query) == ("", "")


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
    ],
)
def test_what_it_cannot_take_is_refused(query: str, why: str) -> None:
    """Each with the place or the word, and with what to do."""
    message, hint = promql_fault(query)
    assert why in message
    assert hint
