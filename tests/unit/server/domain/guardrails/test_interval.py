"""Estimates and always-valid intervals."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from rollout_server.domain.guardrails import interval
from rollout_server.domain.guardrails.interval import ALPHA, NOTE_EVERY, NOTES_KEPT, around
from rollout_server.domain.guardrails.trackers import Likelihoods
from tests.guardrail_windows import ERRORS, had, window, world


def test_the_interval_is_right_at_every_look_at_once() -> None:
    """Of sixty runs with a true ratio of 1.5, looked at two hundred times, few ever exclude it."""
    missed, tracker = 0, Likelihoods()
    for seed in range(60):
        rng, state, wrong = Random(seed), interval.start(tracker), False  # noqa: S311 - a seeded world
        for number in range(200):
            arms = [had(40, sum(rng.random() < share for _ in range(40))) for share in (0.15, 0.1)]
            state = interval.absorb(tracker, state, [window(number, *arms)])
            span = interval.whole(tracker, state)
            wrong = wrong or (span is not None and not span.low <= log(1.5) <= span.high)
        missed += wrong
    assert missed / 60 <= ALPHA


def test_a_late_regression_is_shown_undiluted() -> None:
    """The strongest stretch since a note shows a doubling that the whole run would show as a fraction."""
    tracker = Likelihoods()
    state = interval.start(tracker)
    for number in range(600):
        failing = 40 if number >= 540 else 20
        state = interval.absorb(tracker, state, [window(number, had(200, failing), had(200, 20))])
    whole, strongest = interval.whole(tracker, state), interval.strongest(tracker, state, 0.0, rising=True)
    assert whole is not None
    assert strongest is not None
    assert exp(whole.estimate) == pytest.approx(1.1, abs=0.01)
    assert exp(strongest.estimate) == pytest.approx(2, abs=0.01)
    assert strongest.low > log(1.2)


def test_notes_are_few_and_recent() -> None:
    """What is remembered does not grow; recent windows are one to two notes old."""
    tracker = Likelihoods()
    state = interval.start(tracker)
    for parts in world(ERRORS, 1.0, windows=NOTE_EVERY * (NOTES_KEPT + 2) + 1):
        state = interval.absorb(tracker, state, parts)
    assert len(state.notes) == NOTES_KEPT
    found = interval.recent(tracker, state)
    assert found is not None
    assert found[1] == NOTE_EVERY + 1


def test_before_any_outcome_there_is_no_estimate() -> None:
    """Nothing seen, nothing said."""
    tracker = Likelihoods()
    state = interval.absorb(tracker, interval.start(tracker), [window(0, had(10, 0), had(10, 0))])
    assert interval.whole(tracker, state) is None
    assert interval.recent(tracker, state) is None
    assert interval.strongest(tracker, state, 0.0, rising=True) is None


def test_a_smaller_error_gives_a_narrower_interval() -> None:
    """Intervals shrink as evidence comes in, and always hold the estimate."""
    wide, narrow = around(0.1, 0.2), around(0.1, 0.02)
    assert wide.low < narrow.low < 0.1 < narrow.high < wide.high
    assert 4 * 0.02 > narrow.high - 0.1 > 1.96 * 0.02 * 0.99
