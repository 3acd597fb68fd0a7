"""The words of metrics and guardrails."""

from __future__ import annotations

from rollout_server.domain.guardrails.spec import (
    Action,
    Bad,
    Guardrail,
    Measures,
    MetricSpec,
    Per,
    RelativeLimit,
    Source,
)


def test_the_words_are_those_of_files() -> None:
    """Each enum's values are what people write in a Metric or a Pipeline."""
    assert [word.value for word in Measures] == ["proportion", "count", "mean", "quantile"]
    assert [word.value for word in (*Per, *Bad, *Source)] == ["unit", "event", "high", "low", "sdk", "prometheus"]
    assert [word.value for word in Action] == ["rollback", "hold", "notify"]


def test_what_is_not_said_is_the_careful_choice() -> None:
    """High is bad, units are counted, and being past the limit rolls back."""
    metric, guardrail = MetricSpec(Measures.PROPORTION), Guardrail("checkout.error_rate", RelativeLimit(200_000))
    assert (metric.per, metric.bad, metric.source) == (Per.UNIT, Bad.HIGH, Source.SDK)
    assert guardrail.action is Action.ROLLBACK
