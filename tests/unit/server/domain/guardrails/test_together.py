"""Several guardrails of one run."""

from __future__ import annotations

from math import inf, log

import pytest

from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import Action, Guardrail, RelativeLimit
from rollout_server.domain.guardrails.state import GuardrailState
from rollout_server.domain.guardrails.together import log_sum, verdicts, weights
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict
from tests.guardrail_windows import ERRORS, had, look, window

ANY = RelativeLimit(0)


def guard(weight: float = 0.0, action: Action = Action.ROLLBACK) -> Guardrail:
    return Guardrail("metric", ANY, action, weight)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.0, 0.0], [0.5, 0.5]),
        ([0.5, 0.0, 0.0], [0.5, 0.25, 0.25]),
        ([3.0, 1.0], [0.75, 0.25]),
        ([0.2, 0.2], [0.5, 0.5]),
        ([1.0, 0.0], [2 / 3, 1 / 3]),
    ],
)
def test_weights_sum_to_one(given: list[float], expected: list[float]) -> None:
    """Equal unless given, never more than 1 together, and nobody is left without one."""
    assert weights([guard(weight) for weight in given]) == pytest.approx(expected)


def test_only_those_that_roll_back_share() -> None:
    """A guardrail that holds or notifies is judged alone, at alpha."""
    assert weights([guard(), guard(action=Action.HOLD), guard(), guard(action=Action.NOTIFY)]) == [0.5, 1.0, 0.5, 1.0]
    assert weights([guard(action=Action.HOLD)]) == [1.0]


def judged(shares: list[float], actions: list[Action], windows: int) -> tuple[list[float], tuple[Verdict, ...]]:
    judges = [Judge(ERRORS, guard(action=action)) for action in actions]
    states: list[GuardrailState] = [judge.start(1) for judge in judges]
    now = look()
    for number in range(windows):
        states = [
            judge.absorb(state, [window(number, had(1000, 1000 * share), had(1000, 100))], now)
            for judge, state, share in zip(judges, states, shares, strict=True)
        ]
    logs = [judge.log_e(state) for judge, state in zip(judges, states, strict=True)]
    return logs, verdicts(judges, states, [now] * len(judges))


def test_two_that_nearly_show_it_show_it_together() -> None:
    """The weighted sum rolls back before either alone would, and the verdict names who carried most."""
    for windows in range(1, 60):
        logs, found = judged([0.125, 0.126], [Action.ROLLBACK] * 2, windows)
        if any(verdict.standing is Standing.DEGRADED for verdict in found):
            break
    else:
        pytest.fail("never degraded")
    assert log_sum([log(0.5) + value for value in logs]) >= log(100)
    if max(logs) < log(200):
        assert [verdict.reason for verdict in found] == [found[0].reason, Reason.TOGETHER]
        assert found[0].standing is not Standing.DEGRADED
        assert "carried most of the evidence" in found[1].sentence


def test_one_among_many_needs_its_share_of_alpha() -> None:
    """With an idle companion E must reach 200; alone, or with action hold, 100 is enough."""
    for windows in range(1, 60):
        (first, _), found = judged([0.13, 0.1], [Action.ROLLBACK] * 2, windows)
        assert (found[0].standing is Standing.DEGRADED) is (first >= log(200) or found[0].reason is Reason.TOGETHER)
        (alone, _), held = judged([0.13, 0.1], [Action.HOLD, Action.ROLLBACK], windows)
        assert (held[0].standing is Standing.DEGRADED) is (alone >= log(100))
        assert held[1].standing is not Standing.DEGRADED
        if first > log(300):
            break


def test_nothing_adds_up_to_nothing() -> None:
    """The sum of suppressed evidence is none."""
    assert log_sum([-inf, -inf]) == -inf
    assert log_sum([log(2), log(3)]) == pytest.approx(log(5))
