"""The simulation works in its quick form, judges by the real code, and its baselines are the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guardrails import __main__ as tables
from benchmarks.guardrails.baselines import NEVER, alarms, confidence_sequence, pooled, threshold, z_test
from benchmarks.guardrails.scenarios import HELD_OUT, NOTHING_WRONG, REGRESSIONS
from benchmarks.guardrails.simulate import guardrail, interval, outcome, over_floor
from benchmarks.guardrails.worlds import Run, Traffic, flat, units
from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import Guardrail
from rollout_server.domain.guardrails.together import verdicts
from rollout_server.domain.guardrails.verdict import Standing
from tests.guardrail_windows import look

PEEKS = {5: 0.142, 10: 0.193, 50: 0.320}


@pytest.mark.parametrize(("looks", "published"), PEEKS.items())
def test_published_costs_of_peeking_are_reproduced(looks: int, published: float) -> None:
    """A two-sided 5 % z-test looked at 5, 10, 50 times is false 14.2, 19.3, 32.0 % of the time (Armitage et al. 1969).

    The density of the sum that has not yet been rejected is followed from look to look on a fine grid.
    """
    step = 0.02
    grid = np.arange(-20, 20 + step / 2, step)
    kernel = np.exp(-(np.arange(-6, 6 + step / 2, step) ** 2) / 2) * step / np.sqrt(2 * np.pi)
    density, kept = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), 1.0
    for look_number in range(1, looks + 1):
        density = np.where(np.abs(grid) < 1.959964 * np.sqrt(look_number), density, 0.0)
        kept = density.sum() * step
        density = np.convolve(density, kernel, mode="same")
    assert 1 - kept == pytest.approx(published, abs=1.5e-3)


def test_the_quick_form_prints_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Both tables, a row for each scenario, in seconds."""
    assert tables.main(["--quick", "--processes", "2"]) == 0
    printed = capsys.readouterr().out
    assert [row.name for row in (*NOTHING_WRONG, *REGRESSIONS, *HELD_OUT) if row.name not in printed] == []


def test_the_simulation_rolls_back_when_the_judge_does() -> None:
    """What is simulated is what `Judge` says, window for window."""
    row = next(row for row in REGRESSIONS if row.name == "constant 2x, limit +20 %")
    run = row.make(np.random.default_rng(5))
    judge, now, state = Judge(row.metric, Guardrail("metric", row.limit)), look(), None
    for parts in run.windows():
        state = judge.absorb(state, parts, now)
        if verdicts([judge], [state], [now])[0].standing is Standing.DEGRADED:
            break
    assert state is not None
    assert state.judged == guardrail(run, row)


def test_baselines_see_what_everybody_would_see() -> None:
    """Each finds a tenfold rate at once and leaves equal, certain arms alone."""
    rng = np.random.default_rng(1)
    bad = Run([units(rng, Traffic(level=flat(0.05), ratio=flat(10.0)))])
    assert all(0 <= window < 20 for window in alarms(bad, 1).values())
    equal = Run([units(rng, Traffic(level=flat(1.0)))])
    assert set(alarms(equal, 1).values()) == {NEVER}
    assert z_test(pooled(bad), -1, 1.645) == threshold(pooled(bad), -1) == confidence_sequence(pooled(bad), -1) == NEVER


def test_a_row_adds_up() -> None:
    """Delays count from the onset, false alarms before it are early, and nothing beats the floor by much."""
    row = next(row for row in REGRESSIONS if row.name == "constant 2x")
    outcomes = [outcome(row, (9, 0, number)) for number in range(30)]
    ratio = over_floor(outcomes)
    assert ratio is not None
    assert 0.8 < ratio < 1.9
    assert all(done.exposed > 0 and not done.early for done in outcomes)
    low, high = interval(0, 2000)
    assert (low, high) == pytest.approx((0.0, 0.0019), abs=1e-4)
