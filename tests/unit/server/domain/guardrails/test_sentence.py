"""The one sentence, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.guardrails.sentence import Figures, name_of, percent, sentence
from rollout_server.domain.guardrails.spec import Measures, MetricSpec
from rollout_server.domain.guardrails.verdict import Reason
from tests.guardrail_windows import ERRORS, P95

FIGURES = Figures(
    0.071,
    0.052,
    0.09,
    0.05,
    relative=True,
    candidate_units=4812,
    control_units=90_000,
    minimum_units=5000,
    tolerance=0.075,
    unit="user",
    detail="half is missing",
)
LEVEL = Figures(
    0.53,
    0.5,
    None,
    0.5,
    relative=False,
    candidate_units=1,
    control_units=0,
    minimum_units=10,
    tolerance=0.75,
    unit="tenant",
)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.PAST_LIMIT, "checkout.latency p95 +7.1 % [+5.2, +9.0] is past its limit +5.0 %; 4 812 users exposed"),
        (
            Reason.TOGETHER,
            (
                "checkout.latency p95 +7.1 % [+5.2, +9.0], limit +5.0 %, carried most of the evidence that the "
                "guardrails together are past their limits; 4 812 users exposed"
            ),
        ),
        (Reason.RULED_OUT, "checkout.latency p95 +7.1 % [+5.2, +9.0] is healthy: worse than +7.5 % is ruled out"),
        (
            Reason.NOT_ENOUGH,
            "checkout.latency p95 +7.1 % [+5.2, +9.0] is undecided, limit +5.0 %: not enough evidence either way",
        ),
        (
            Reason.TOO_FEW_UNITS,
            "checkout.latency p95 is undecided: 4 812 of at least 5 000 users exposed in the smaller arm",
        ),
        (Reason.QUIET, "checkout.latency p95 is quiet: half is missing"),
        (Reason.SKEW, "checkout.latency p95 cannot be judged, the arms are split wrongly: half is missing"),
        (Reason.FAILING, "checkout.latency p95 is blind: the metrics server answers with errors (half is missing)"),
    ],
)
def test_a_relative_sentence(reason: Reason, text: str) -> None:
    """Name, estimate with interval, limit, and what follows from it."""
    assert sentence("checkout.latency", P95, reason, FIGURES) == text


def test_an_absolute_sentence_speaks_the_metrics_unit() -> None:
    """Levels carry their unit, an open side a question mark, one unit no plural."""
    text = sentence("checkout.latency", P95, Reason.PAST_LIMIT, LEVEL)
    assert text == "checkout.latency p95 0.53 seconds [0.5, ?] is past its limit 0.5 seconds; 1 tenant exposed"
    shared = sentence("errors", ERRORS, Reason.SHARED_OUTAGE, LEVEL)
    assert shared == (
        "errors 53.0 % [50.0, ?] is past its limit 50.0 % in both arms: a shared outage, the candidate is not blamed"
    )


def test_quiet_says_that_somebody_reports_only_where_somebody_does() -> None:
    """The detail says otherwise."""
    text = sentence("errors", ERRORS, Reason.QUIET, replace(FIGURES, detail=""))
    assert text == "errors is quiet: instances report, nothing happens"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    """None is left without words, and before any outcome none invents a number."""
    empty = Figures(
        None, None, None, 0.05, relative=True, candidate_units=0, control_units=0, minimum_units=0, tolerance=0.1
    )
    assert sentence("errors", ERRORS, reason, FIGURES).startswith("errors ")
    assert "None" not in sentence("errors", ERRORS, reason, empty)


def test_small_numbers_keep_their_meaning() -> None:
    """Percentages below one keep two digits; quantiles are named as people say them."""
    assert [percent(value) for value in (0.0012, -0.031, 0.0)] == ["+0.12 %", "-3.1 %", "+0.0 %"]
    assert percent(0.02, sign=False) == "2.0 %"
    assert name_of("a", MetricSpec(Measures.QUANTILE, quantile_ppm=999_000)) == "a p99.9"
