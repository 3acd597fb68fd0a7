"""Sums of users who do not exist: possible ones, at the level that was asked for."""

from __future__ import annotations

import pytest

from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, is_possible
from rollout_server.domain.guardrails.families import is_bounded
from rollout_server.domain.guardrails.histogram import above, count, position
from rollout_server.domain.guardrails.spec import PPM, Measures, Per, Source
from rollout_server.domain.simulation.chance import Chance
from rollout_server.domain.simulation.outcomes import EVENTS_PER_UNIT, cell, usual_level
from tests.guardrail_windows import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_sums_are_possible_and_at_their_level(name: str) -> None:
    """Of every kind of metric; per event they come by class of user, from Prometheus as counters."""
    metric, level, chance = KINDS[name], 0.2, Chance(7)
    total, windows = Cell(), 50
    for _ in range(windows):
        drawn = cell(metric, level, 200, chance)
        assert is_possible(drawn, bounded=is_bounded(metric))
        total += drawn
    if metric.measures is Measures.QUANTILE:
        beyond = above(total.histogram, position(level)) / count(total.histogram)
        assert beyond == pytest.approx(1 - metric.quantile_ppm / PPM, abs=0.02)
    else:
        assert total.x / total.n == pytest.approx(level, rel=0.1)
    is_bare = metric.source is Source.PROMETHEUS and not metric.denominator
    events = EVENTS_PER_UNIT if metric.per is Per.EVENT else 1
    assert total.n == pytest.approx(windows if is_bare else windows * 200 * events, rel=0.05)
    assert len(total.bucket_n) == (HASH_BUCKETS if metric.per is Per.EVENT and metric.source is Source.SDK else 0)
    assert sum(total.bucket_n) in {0, total.n}


def test_nobody_does_nothing() -> None:
    """An arm without users has no sums."""
    assert {cell(metric, 0.2, 0, Chance(1)) for metric in KINDS.values()} == {Cell()}


def test_usual_levels() -> None:
    """Few errors, a good share of orders."""
    assert usual_level(KINDS["errors"]) == 0.02
    assert usual_level(KINDS["conversion"]) == 0.3
    assert usual_level(KINDS["p95"]) == 0.3
