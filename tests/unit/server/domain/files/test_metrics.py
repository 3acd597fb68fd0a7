"""Metrics and guardrails in files."""

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import read
from rollout_server.domain.files.metrics import read_guardrail, read_metric, write_guardrail, write_metric
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.guardrails.spec import (
    AbsoluteLimit,
    Action,
    Bad,
    Guardrail,
    Measures,
    MetricSpec,
    Per,
    RelativeLimit,
    Source,
)


def test_a_metric_says_what_it_measures() -> None:
    """Every field, and what is left out."""
    reading = Reading()
    tree: dict[str, Json] = {
        "measures": "quantile",
        "quantile": "p95",
        "per": "event",
        "unit": "seconds",
        "bad": "high",
        "late": "2m",
        "source": "prometheus",
        "numerator": "a",
        "denominator": "b",
    }
    spec = read_metric(reading, tree)
    assert spec == MetricSpec(
        Measures.QUANTILE, Per.EVENT, Bad.HIGH, 950_000, "seconds", 120_000, Source.PROMETHEUS, "a", "b"
    )
    assert write_metric(spec) == tree
    assert read_metric(reading, {"measures": "mean"}) == MetricSpec(Measures.MEAN)
    assert reading.problems == []


@pytest.mark.parametrize(
    ("tree", "guardrail"),
    [
        ({"metric": "m", "limit": "+10%"}, Guardrail("m", RelativeLimit(100_000))),
        (
            {"metric": "m", "limit": {"relative": "-3%"}, "action": "hold"},
            Guardrail("m", RelativeLimit(-30_000), Action.HOLD),
        ),
        (
            {"metric": "m", "limit": {"relative": "+20%", "at_least": "0.1pp"}},
            Guardrail("m", RelativeLimit(200_000, 0.001, in_points=True)),
        ),
        ({"metric": "m", "limit": {"relative": "+20%", "at_least": 5}}, Guardrail("m", RelativeLimit(200_000, 5.0))),
        ({"metric": "m", "limit": {"absolute": 0.5}}, Guardrail("m", AbsoluteLimit(0.5))),
        (
            {"metric": "m", "limit": "+1%", "weight": "30%", "tolerance": "4.5%"},
            Guardrail("m", RelativeLimit(10_000), weight=0.3, tolerance_ppm=45_000),
        ),
    ],
)
def test_a_guardrail_is_read_and_written(tree: dict[str, Json], guardrail: Guardrail) -> None:
    """Every form of a limit; what is written reads back the same."""
    reading = Reading()
    assert read_guardrail(reading, tree, "spec.guardrails[0]") == guardrail
    assert read_guardrail(reading, write_guardrail(guardrail), "") == guardrail
    assert reading.problems == []


@pytest.mark.parametrize(
    ("limit", "place", "said"),
    [
        (10, "limit", "a limit is wanted"),
        ("10%", "limit", "has no sign"),
        ({"at_least": "1pp"}, "limit.relative", 'the field "relative" is missing'),
        ({"relative": "+1%", "absolute": 5}, "limit.relative", 'cannot stand beside "absolute"'),
        ({"absolute": "1%"}, "limit.absolute", "write 0.5 for half a second, 0.01 for 1%"),
        ({"absolute": 10**400}, "limit.absolute", "too large"),
        ({"relativ": "+1%"}, "limit.relativ", 'did you mean "relative"?'),
    ],
)
def test_a_limit_that_is_none_is_refused(limit: Json, place: str, said: str) -> None:
    """At its place, with what to write."""
    tree: Json = {
        "kind": "Pipeline",
        "metadata": {"key": "p"},
        "spec": {"stages": [], "guardrails": [{"metric": "m", "limit": limit}]},
    }
    problems = read(tree)[1]
    assert problems[0].path == f"spec.guardrails[0].{place}"
    assert said in str(problems[0])
