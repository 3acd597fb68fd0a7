"""Metrics by themselves, and guardrails against the metrics that they watch."""

from typing import Any as Anything

import pytest

from tests.small_rollouts import pipeline, places
from tests.small_state import document

COUNTER = 'sum(errors_total{arm="{arm}"})'


def metric(**spec: Anything) -> list[tuple[str, str]]:
    return places(document("Metric", "m", **spec))


def guardrails(*given: dict[str, Anything]) -> list[tuple[str, str]]:
    return places(pipeline(guardrails=list(given)))


def test_good_metrics_are_good() -> None:
    """Every kind, from either source."""
    assert metric(measures="quantile", quantile="p99.9", per="event", unit="seconds", late="2m") == []
    assert metric(measures="mean", unit="EUR", bad="low") == []
    assert metric(measures="count", late="1m", source="prometheus", numerator=COUNTER, denominator=COUNTER) == []


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"measures": "quantile"}, "spec.quantile", "missing_quantile"),
        ({"measures": "mean", "quantile": "p95"}, "spec.quantile", "unexpected_quantile"),
        ({"measures": "proportion", "unit": "percent"}, "spec.unit", "unexpected_unit"),
        ({"measures": "count", "late": "8d"}, "spec.late", "out_of_range"),
        ({"measures": "count", "numerator": COUNTER}, "spec.numerator", "unexpected_query"),
        ({"measures": "count", "late": "1m", "source": "prometheus"}, "spec.numerator", "missing_query"),
        ({"measures": "count", "source": "prometheus", "numerator": COUNTER}, "spec.late", "missing_late"),
        (
            {"measures": "count", "late": "1m", "source": "prometheus", "numerator": "sum("},
            "spec.numerator",
            "bad_promql",
        ),
        (
            {"measures": "count", "late": "1m", "source": "prometheus", "numerator": COUNTER, "denominator": "x"},
            "spec.denominator",
            "bad_promql",
        ),
        (
            {"measures": "quantile", "quantile": "p95", "late": "1m", "source": "prometheus", "numerator": COUNTER},
            "spec.measures",
            "misfit",
        ),
    ],
)
def test_a_metric_that_cannot_be_measured_is_refused(spec: dict[str, Anything], place: str, code: str) -> None:
    """At the field that is missing or too much."""
    assert metric(**spec) == [(place, code)]


@pytest.mark.parametrize(
    "guardrail",
    [
        {"metric": "errors", "limit": "+20%"},
        {"metric": "errors", "limit": "+0%"},
        {"metric": "errors", "limit": {"relative": "+20%", "at_least": "0.1pp"}, "tolerance": "40%"},
        {"metric": "errors", "limit": {"absolute": 0.01}},
        {"metric": "conversion", "limit": "-3%", "action": "hold"},
        {"metric": "latency", "limit": {"relative": "+10%", "at_least": 0.05}},
        {"metric": "latency", "limit": {"absolute": 0.5}, "action": "notify"},
    ],
)
def test_a_limit_that_fits_its_metric_is_taken(guardrail: dict[str, Anything]) -> None:
    """Relative with the sign of what is bad, absolute in the metric's own unit."""
    assert guardrails(guardrail) == []


@pytest.mark.parametrize(
    ("guardrail", "place", "code"),
    [
        ({"metric": "errors", "limit": "-20%"}, "limit", "wrong_sign"),
        ({"metric": "conversion", "limit": "+3%"}, "limit", "wrong_sign"),
        ({"metric": "conversion", "limit": {"relative": "+3%", "at_least": "1pp"}}, "limit.relative", "wrong_sign"),
        ({"metric": "conversion", "limit": "-100%"}, "limit", "bad_limit"),
        ({"metric": "latency", "limit": {"relative": "+10%", "at_least": "1pp"}}, "limit.at_least", "misfit"),
        ({"metric": "errors", "limit": {"relative": "+10%", "at_least": 0.001}}, "limit.at_least", "misfit"),
        ({"metric": "errors", "limit": {"relative": "+10%", "at_least": 1e308}}, "limit.at_least", "misfit"),
        ({"metric": "latency", "limit": {"relative": "+10%", "at_least": -1}}, "limit.at_least", "wrong_sign"),
        ({"metric": "errors", "limit": {"absolute": 5}}, "limit.absolute", "bad_limit"),
        ({"metric": "latency", "limit": {"absolute": 0}}, "limit.absolute", "bad_limit"),
        ({"metric": "error", "limit": "+20%"}, "metric", "unknown_metric"),
        ({"metric": "errors", "limit": "+20%", "tolerance": "20%"}, "tolerance", "bad_tolerance"),
        ({"metric": "errors", "limit": "+20%", "action": "hold", "weight": "50%"}, "weight", "unexpected_weight"),
    ],
)
def test_a_limit_that_does_not_fit_is_refused(guardrail: dict[str, Anything], place: str, code: str) -> None:
    """A wrong sign, a kind of metric that the limit cannot be about, a name that nothing has."""
    assert guardrails(guardrail) == [(f"spec.guardrails[0].{place}", code)]


def test_weights_are_given_by_all_or_by_none_and_add_up() -> None:
    """Only those that roll back share alpha."""
    one, other = {"metric": "errors", "limit": "+20%"}, {"metric": "conversion", "limit": "-3%"}
    held = {"metric": "latency", "limit": "+10%", "action": "hold"}
    assert guardrails({**one, "weight": "60%"}, {**other, "weight": "40%"}, held) == []
    assert guardrails({**one, "weight": "60%"}, other) == [("spec.guardrails[1]", "missing_weight")]
    assert guardrails({**one, "weight": "60%"}, {**other, "weight": "30%"}) == [("spec.guardrails", "bad_sum")]


def test_one_metric_has_one_limit_of_each_kind() -> None:
    """A relative and an absolute one are two questions; the same question twice is a slip."""
    relative, absolute = {"metric": "errors", "limit": "+20%"}, {"metric": "errors", "limit": {"absolute": 0.01}}
    assert guardrails(relative, absolute) == []
    assert guardrails(relative, relative) == [("spec.guardrails[1].metric", "duplicate_guardrail")]
    assert ("spec.guardrails", "too_many") in guardrails(*[relative] * 33)


PILOTS = {"name": "pilots", "share": "100%", "audience": {"attribute": "plan", "equals": "pro"}, "soak": "1h"}
SOME = {"name": "some", "share": "1%", "audience": {"attribute": "plan", "equals": "pro"}, "soak": "1h"}
CANARY = {"name": "canary", "share": "1%", "soak": "1h"}
QUARTER = {"name": "quarter", "share": "25%", "soak": "1h"}
RAMP = {"name": "ramp", "share": "25%", "ramp": "2h", "soak": "1h"}


def counted_by(query: str, *stages: dict[str, Anything]) -> list[tuple[str, str]]:
    counted = document("Metric", "counted", measures="count", late="1m", source="prometheus", numerator=query)
    return places(counted, pipeline(*stages, guardrails=[{"metric": "counted", "limit": "+10%"}]))


@pytest.mark.parametrize(
    ("query", "stages", "is_mixed"),
    [
        ('x{arm="{arm}"}', [CANARY, QUARTER], False),
        ('x{variant="{variant}"}', [CANARY, RAMP], False),
        ('x{arm="{arm}"}', [PILOTS, CANARY], True),
        ('x{arm="{arm}", reach="{reach}"}', [PILOTS, CANARY], False),
        ('x{arm="{arm}"}', [SOME, CANARY], False),
        ('x{arm="{arm}"}', [SOME, QUARTER], False),
        ('x{arm="{arm}"}', [SOME | {"share": "5%"}, RAMP], True),
        ('x{arm="{arm}"}', [PILOTS], False),
        ('x{variant="{variant}"}', [SOME, CANARY], True),
        ('x{variant="{variant}", reach="{reach}"}', [SOME, CANARY], True),
    ],
)
def test_a_metric_that_would_mix_reaches_is_refused(
    query: str, stages: list[dict[str, Anything]], *, is_mixed: bool
) -> None:
    """Where its pipeline watches it, before a run is blind for it."""
    assert counted_by(query, *stages) == ([("spec.guardrails[0].metric", "mixed_reach")] if is_mixed else [])


def test_lost_processes_are_the_servers_own_metric() -> None:
    """A guardrail may name it, against a number only; nobody else may have the key."""
    assert guardrails({"metric": "process_lost", "limit": {"absolute": 0.05}}) == []
    assert guardrails({"metric": "process_lost", "limit": "+10%"}) == [("spec.guardrails[0].limit", "no_control")]
    assert places(document("Metric", "process_lost", measures="count")) == [("metadata.key", "built_in")]
