"""Absolute limits, and who is blamed for breaking them."""

from __future__ import annotations

from math import exp, log

import pytest

from rollout_server.domain.guardrails.absolute import Absolute, AbsoluteState, Blame
from rollout_server.domain.guardrails.data import Cell, WindowSums
from tests.guardrail_windows import ERRORS, had, window

ALARM = log(100)


def told(share_t: float, share_c: float | None, *, first: int = 0, windows: int = 60) -> list[list[WindowSums]]:
    """Windows with these shares; without a control the whole audience is exposed."""
    control = Cell() if share_c is None else had(500, 500 * share_c)
    reach = 1_000_000 if share_c is None else 500_000
    return [
        [window(number, had(500, 500 * share_t), control, reach_ppm=reach)] for number in range(first, first + windows)
    ]


def after(test: Absolute, *stretches: list[list[WindowSums]]) -> AbsoluteState:
    state = test.start()
    for stretch in stretches:
        for parts in stretch:
            state = test.absorb(state, parts)
    return state


def test_a_candidate_past_the_limit_alone_is_blamed() -> None:
    """The control keeps the limit, the candidate does not."""
    test = Absolute(ERRORS, 0.01)
    state = after(test, told(0.04, 0.004))
    assert test.blame(state) is Blame.CANDIDATE
    assert test.log_e(state) >= ALARM


def test_a_shared_outage_is_not_blamed() -> None:
    """Both arms are far past the limit: nothing to act on, though it is past."""
    test = Absolute(ERRORS, 0.01)
    state = after(test, told(0.2, 0.2))
    assert test.blame(state) is Blame.BOTH
    assert test.log_past(state) >= ALARM > test.log_e(state)


def test_a_small_control_gives_time_to_find_out() -> None:
    """While nobody knows whether a thin control is past the limit too, the candidate is not blamed yet."""
    test = Absolute(ERRORS, 0.01)
    state = test.start()
    for number in range(3):
        state = test.absorb(state, [window(number, had(1900, 60), had(5, 0), reach_ppm=950_000)])
    assert test.log_past(state) >= ALARM
    assert test.blame(state) is Blame.UNCLEAR
    assert test.log_e(state) < ALARM


def test_with_everybody_exposed_the_limit_alone_decides() -> None:
    """While watching there is no control, and being past the limit is enough."""
    test = Absolute(ERRORS, 0.01)
    state = after(test, told(0.04, None))
    assert test.log_e(state) >= ALARM
    assert test.log_alone(state) >= ALARM
    assert exp(test.log_past(after(test, told(0.01, None)))) == pytest.approx(
        exp(test.log_alone(after(test, told(0.01, None)))) + 0.5
    )


def test_an_outage_of_yesterday_is_not_blamed_after_full_exposure() -> None:
    """What both arms went through before everybody was exposed says nothing afterwards."""
    test = Absolute(ERRORS, 0.01)
    state = after(test, told(0.2, 0.2), told(0.004, None, first=60, windows=5))
    assert test.log_alone(state) < 0
    assert test.log_e(state) < ALARM


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_within_the_limit_is_no_evidence(share: float) -> None:
    """At the limit or below it E stays low."""
    test = Absolute(ERRORS, 0.01)
    state = after(test, told(share, share))
    assert test.log_past(state) < log(3)
