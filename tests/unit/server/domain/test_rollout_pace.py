"""How long verdicts take: right within a factor where it is an estimate, and honest where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import (
    AbsoluteLimit,
    Action,
    Guardrail,
    Measures,
    MetricSpec,
    RelativeLimit,
    Source,
)
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.rollout_pace import Pace, Split, Traffic, paces, regression
from tests.guardrail_windows import BARE, KINDS, P95, P95_REQUESTS, cell, look, window

HALF = Split(0.5, 0.5)
TWENTY = Guardrail("metric", RelativeLimit(200_000))
SIZE = 400


def lately(metric: MetricSpec, windows: int = 40, units: float | None = None, size: int = SIZE) -> Traffic:
    rng = Random(5)  # noqa: S311 - a seeded world
    total = Cell()
    for _ in range(windows):
        total += cell(rng, metric, 1.0, size)
    return Traffic(60_000, windows, windows * size * 1_000.0 if units is None else units, {"metric": total})


def pace(
    metric: MetricSpec, traffic: Traffic | None, guardrail: Guardrail = TWENTY, split: Split | None = HALF
) -> Pace:
    return paces([guardrail], {"metric": metric}, split, traffic)[0]


def measured(metric: MetricSpec, guardrail: Guardrail, factor: float, wanted: Standing, size: int) -> float:
    """Mean number of minutes until the real statistics say so."""
    minutes = []
    for seed in range(6):
        rng, judge = Random(seed), Judge(metric, guardrail)  # noqa: S311 - a seeded world
        state = None
        for number in range(1_500):
            arms = cell(rng, metric, factor, size // 2), cell(rng, metric, 1.0, size // 2)
            state = judge.absorb(state, [window(number, *arms)], look())
            if wanted is Standing.HEALTHY and judge.verdict(state, look()).standing is wanted:
                break
            if wanted is Standing.DEGRADED and judge.log_e(state) >= 4.6:
                break
        minutes.append(number + 1)
    return sum(minutes) / len(minutes)


@pytest.mark.parametrize("name", ["errors", "requests", "basket", "latency", "p95", "p95 of requests"])
def test_an_estimate_is_near_what_the_statistics_take(name: str) -> None:
    """For each kind of metric the estimate lies within a factor of three of the real judge, healthy and caught."""
    metric, size = KINDS[name], 100 if name.startswith("p95") else SIZE
    found = pace(metric, lately(metric, size=size))
    assert found.healthy_ms is not None
    assert found.caught_ms is not None
    healthy = measured(metric, TWENTY, 1.0, Standing.HEALTHY, size)
    caught = measured(metric, TWENTY, 1.4, Standing.DEGRADED, size)
    assert healthy / 3 <= found.healthy_ms / 60_000 <= 3 * healthy
    assert caught / 3 <= found.caught_ms / 60_000 <= 3 * caught


def test_what_is_not_known_is_said() -> None:
    """No traffic, no size of the audience, no control, a bare ratio: no number, and why."""
    metric = KINDS["errors"]
    assert pace(metric, None).unknown == "no traffic of this metric is known"
    assert pace(metric, replace(lately(metric), sums={})).unknown == "no traffic of this metric is known"
    assert pace(metric, lately(metric), split=None).unknown == "nobody knows how many units the audience holds"
    assert pace(metric, lately(metric), split=Split(1.0, 0.0)).unknown == "there is no control here"
    assert BARE.source is Source.PROMETHEUS
    assert pace(BARE, lately(BARE)).unknown == "a bare ratio has no spread to estimate from"


def test_less_traffic_and_smaller_shares_take_longer() -> None:
    """Half the traffic takes about twice as long, and one percent far longer than half."""
    metric = KINDS["errors"]
    whole = pace(metric, lately(metric)).caught_ms
    thin = pace(metric, replace(lately(metric), windows=80)).caught_ms
    small = pace(metric, lately(metric), split=Split(0.01, 0.99)).caught_ms
    assert whole is not None
    assert thin is not None
    assert small is not None
    assert thin == pytest.approx(2 * whole, rel=0.2)
    assert small > 10 * whole


def test_healthy_waits_for_the_sample_ratio() -> None:
    """With few units healthy cannot come before a bad split would have been seen."""
    metric = KINDS["errors"]
    plenty, few = pace(metric, lately(metric)), pace(metric, lately(metric, units=40 * SIZE / 10))
    assert plenty.healthy_ms is not None
    assert few.healthy_ms is not None
    assert few.healthy_ms > plenty.healthy_ms
    assert few.caught_ms == plenty.caught_ms


def test_lateness_is_added() -> None:
    """Nothing is judged before it may be late no more."""
    metric = KINDS["errors"]
    late = replace(metric, late_ms=120_000)
    one, other = pace(metric, lately(metric)).caught_ms, pace(late, lately(metric)).caught_ms
    assert one is not None
    assert other == one + 120_000


@pytest.mark.parametrize(
    ("metric", "limit", "level"),
    [
        (KINDS["errors"], 0.4, 0.6),
        (KINDS["basket"], 0.3, 0.45),
        (P95, 0.4, 0.6),
        (P95_REQUESTS, 0.4, 0.6),
    ],
)
def test_absolute_limits_need_no_control(metric: MetricSpec, limit: float, level: float) -> None:
    """Where all are exposed an SLO is still judged; one that does not hold as it is can never be healthy."""
    guardrail = Guardrail("metric", AbsoluteLimit(limit))
    found = pace(metric, lately(metric), guardrail, Split(1.0, 0.0))
    assert found.regression == pytest.approx(level)
    assert found.healthy_ms is not None
    assert found.caught_ms is not None
    broken = pace(metric, lately(metric), Guardrail("metric", AbsoluteLimit(limit / 50)), Split(1.0, 0.0))
    assert broken.healthy_ms is None


def test_the_regression_that_is_meant() -> None:
    """Twice the limit, with its sign; of "no worse at all" ten percent."""
    low = MetricSpec(Measures.PROPORTION, bad=KINDS["conversion"].bad)
    assert regression(KINDS["errors"], TWENTY) == pytest.approx(0.4)
    assert regression(low, Guardrail("metric", RelativeLimit(-30_000))) == pytest.approx(-0.06)
    assert regression(low, Guardrail("metric", RelativeLimit(0))) == pytest.approx(-0.1)
    assert regression(low, Guardrail("metric", AbsoluteLimit(0.9))) == pytest.approx(0.6)
    assert regression(KINDS["errors"], Guardrail("metric", AbsoluteLimit(0.8))) == pytest.approx(0.9)


def test_alpha_is_shared_by_those_that_roll_back() -> None:
    """Several guardrails with rollback take a little longer each; one that holds is judged alone."""
    metric, other = KINDS["errors"], Guardrail("other", RelativeLimit(200_000))
    metrics = {"metric": metric, "other": metric}
    alone = paces([TWENTY], metrics, HALF, lately(metric))[0].caught_ms
    shared = paces([TWENTY, other], metrics, HALF, lately(metric))[0].caught_ms
    holding = paces([TWENTY, replace(other, action=Action.HOLD)], metrics, HALF, lately(metric))[0].caught_ms
    assert alone is not None
    assert shared is not None
    assert shared > alone == holding
