"""Laws of the statistics, over generated reports and restarts."""

from __future__ import annotations

import json
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, WindowSums
from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import Guardrail, RelativeLimit
from rollout_server.domain.guardrails.state import read_guardrail, write
from tests.guardrail_windows import ERRORS, REQUESTS, dealt, had, look, window

# Whole numbers of values add without error, so merging must agree exactly.
events = st.lists(st.tuples(st.integers(0, HASH_BUCKETS - 1), st.sampled_from([0.0, 1.0])), max_size=12)
cells = st.one_of(events.map(dealt), st.just(Cell()))
counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@st.composite
def runs(draw: st.DrawFn) -> list[WindowSums]:
    """Windows in order, with strata, reaches, allocations, gaps and empty arms."""
    numbers = sorted(draw(st.sets(st.integers(0, 400), max_size=25)))
    return [
        window(
            number,
            had(*draw(counts)),
            had(*draw(counts)),
            reach_ppm=draw(st.sampled_from([10_000, 500_000, 1_000_000])),
            stratum=stratum,
        )
        for number in numbers
        for stratum in draw(st.sampled_from([[""], ["a", "b"]]))
    ]


@given(st.lists(cells, min_size=1, max_size=5), st.randoms())
def test_cells_merge_in_any_order(parts: list[Cell], random: object) -> None:
    """However reports arrive and are grouped, the sums are the same."""
    shuffled = sorted(parts, key=lambda _: random.random())  # type: ignore[attr-defined]  # a Random
    assert reduce(Cell.__add__, shuffled, Cell()) == reduce(Cell.__add__, parts, Cell())


@given(runs(), st.lists(st.integers(0, 50), max_size=6))
def test_restarts_and_repeats_change_nothing(parts: list[WindowSums], cuts: list[int]) -> None:
    """Judged in one go, or in pieces with restarts between them and everything told again: the same evidence."""
    judge, now = Judge(ERRORS, Guardrail("metric", RelativeLimit(100_000, at_least=0.001))), look()
    whole = judge.absorb(None, parts, now)
    numbers = sorted({part.window for part in parts})
    pieces = judge.start(1)
    for cut in [*sorted(cuts), len(numbers)]:
        known = [part for part in parts if part.window in numbers[:cut]]
        pieces = judge.absorb(read_guardrail(json.loads(json.dumps(write(pieces))), "here"), known, now)
    assert pieces == whole


@given(runs())
def test_every_look_has_a_verdict(parts: list[WindowSums]) -> None:
    """Whatever comes in, nothing raises, and E of nothing wrong with the data is a number."""
    for metric in (ERRORS, REQUESTS):
        judge, now = Judge(metric, Guardrail("metric", RelativeLimit(0))), look()
        state = judge.absorb(None, parts, now)
        verdict = judge.verdict(state, now)
        assert verdict.sentence
        assert -100 < verdict.log_e < 1000
