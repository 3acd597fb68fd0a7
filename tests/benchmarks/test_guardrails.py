"""The simulation works in its quick form, judges by the real code, and its baselines are the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.guardrails import __main__ as tables
from benchmarks.guardrails import fast
from benchmarks.guardrails.baselines import NEVER, alarms, confidence_sequence, pooled, threshold, z_test
from benchmarks.guardrails.scenarios import HELD_OUT, NOTHING_WRONG, REGRESSIONS
from benchmarks.guardrails.simulate import OURS, guardrail, interval, outcome, over_floor
from benchmarks.guardrails.worlds import Run, Traffic, flat, units
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.families import two_arms
from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import PPM, Bad, Guardrail
from rollout_server.domain.guardrails.together import verdicts
from rollout_server.domain.guardrails.verdict import Standing
from tests.guardrail_windows import look

ROOT = Path(__file__).parents[2]
BEYOND = 100.0  # nats; a rollback takes 4.6
MARKS = "<!-- benchmarks.guardrails -->", "<!-- end of benchmarks.guardrails -->"
PAGES = [ROOT / "docs/guardrails.md", ROOT / "docs/adr/0012-guardrails.md"]
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


@pytest.mark.parametrize(
    "name", ["steady, 10 % exposed", "unequal strata and reach", "conversion 30 %, low is bad", "late 2x"]
)
def test_all_windows_at_once_say_what_the_real_code_says(name: str) -> None:
    """The fast form of rates gives log E of the real code after each window, to the last digits."""
    _is_the_real_code(name)


@pytest.mark.parametrize("name", ["clustered users, 10 %", "clustered users, ramp", "clustered 2x, 50 %"])
def test_all_classes_at_once_say_what_the_real_code_says(name: str) -> None:
    """The fast form of clustered events, too, notes included."""
    _is_the_real_code(name)


def _is_the_real_code(name: str) -> None:
    row = next(row for row in (*NOTHING_WRONG, *REGRESSIONS) if row.name == name)
    bound = Bound(1 + row.limit.ppm / PPM, row.metric.bad is Bad.HIGH)
    test = two_arms(row.metric, bound)
    run = row.make(np.random.default_rng(8))
    log_e = fast.log_e_of(test, bound)
    assert log_e is not None
    state, found = test.start(), []
    for parts in run.windows():
        state = test.absorb(state, parts)
        found.append(test.log_e(state))
    kept = np.array(found) < BEYOND  # further on the real code may have reached its largest float
    assert log_e(run)[kept] == pytest.approx(np.array(found)[kept], abs=1e-9)


def test_a_fast_form_that_differs_stops_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so manieth run is judged by the real code as well, and a difference is no row but an error."""
    row = next(row for row in REGRESSIONS if row.name == "constant 2x")
    monkeypatch.setattr(fast, "mixed", lambda steps: np.full(len(steps), 9.0))
    with pytest.raises(AssertionError, match="rolls back at 0, the real code at"):
        outcome(row, (9, 0, 0))
    assert outcome(row, (9, 0, 1)).delays[OURS] == 1


def test_both_pages_show_the_table_whole() -> None:
    """Between the same marks, the same text, with every row of the bench in its order."""
    shown = [page.read_text().split(MARKS[0])[1].split(MARKS[1])[0] for page in PAGES]
    assert shown[0] == shown[1]
    places = [shown[0].index("\n" + row.name + "  ") for row in (*NOTHING_WRONG, *REGRESSIONS, *HELD_OUT)]
    assert places == sorted(places)
    assert "python -m benchmarks.guardrails" in shown[0]


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
    assert 0.8 < ratio[0] < 1.9
    assert 0 < ratio[1] < 0.5
    assert all(done.exposed > 0 and not done.early for done in outcomes)
    low, high = interval(0, 2000)
    assert (low, high) == pytest.approx((0.0, 0.0019), abs=1e-4)
