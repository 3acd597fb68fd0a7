"""Runs of a scenario through the real judge, window by window, in parallel; and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.guardrails import fast
from benchmarks.guardrails.baselines import NEVER, alarms, first
from benchmarks.guardrails.scenarios import Scenario
from benchmarks.guardrails.worlds import WINDOWS, Run
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.families import joined
from rollout_server.domain.guardrails.look import ALPHA
from rollout_server.domain.guardrails.pace import nats
from rollout_server.domain.guardrails.spec import PPM, Bad, Measures, Per

OURS = "guardrail"
SEED = 20_261_121
CHECKED = 25  # every so manieth run is judged by the real code too, where `fast` judges


@dataclass(frozen=True, slots=True)
class Outcome:
    """When each method rolled back in one run, counted from the onset; None for never.

    Attributes:
        early: methods that rolled back before the onset: false alarms.
        exposed: outcomes of exposed units between onset and the guardrail's rollback, or the end.
        nats: information per window after the onset; None where no floor is defined.
    """

    delays: Mapping[str, int | None]
    early: frozenset[str]
    exposed: int
    nats: float | None


def guardrail(run: Run, scenario: Scenario) -> int:
    """Return the window at which the guardrail rolls back, by the code that judges real rollouts."""
    _, test = _test(scenario)
    state, enough = test.start(), log(1 / ALPHA)
    for window, parts in enumerate(run.windows()):
        state = test.absorb(state, parts)
        if test.log_e(state) >= enough:
            return window
    return NEVER


def judged(run: Run, scenario: Scenario, *, check: bool) -> int:
    """Return the same from `fast` where that knows the family.

    Raises:
        AssertionError: the real code, asked as well because of `check`, says otherwise.
    """
    bound, test = _test(scenario)
    log_e = fast.log_e_of(test, bound)
    if log_e is None:
        return guardrail(run, scenario)
    window = first(log_e(run) >= log(1 / ALPHA))
    if check and window != (real := guardrail(run, scenario)):
        raise AssertionError(f"{scenario.name}: the fast form rolls back at {window}, the real code at {real}")
    return window


def _test(scenario: Scenario) -> tuple[Bound, Evidence[Any]]:
    bound = Bound(1 + scenario.limit.ppm / PPM, scenario.metric.bad is Bad.HIGH)
    return bound, joined(scenario.metric, bound, scenario.limit.at_least, both=True)


def floor_nats(run: Run, scenario: Scenario) -> float | None:
    """Return the mean nats per window after the onset: min over a common q of n_T KL(p_T, r0 q) + n_C KL(p_C, q)."""
    if scenario.ceiling is None or scenario.metric.measures is not Measures.PROPORTION:
        return None
    if scenario.metric.per is not Per.UNIT:
        return None
    part, at = run.slices[0], run.onset
    n_t = float(np.mean([cell.n for cell in part.candidate[at:]]))
    n_c = float(np.mean([cell.n for cell in part.control[at:]]))
    level, ratio = float(part.level[at]), float(part.ratio[at])
    return nats(n_t, level * ratio, n_c, level, 1 + scenario.limit.ppm / PPM)


def outcome(scenario: Scenario, seed: tuple[int, int, int]) -> Outcome:
    """Simulate one run; the seed is that of the bench, the row's place and the run's number."""
    run = scenario.make(np.random.default_rng(seed))
    sign = 1 if scenario.metric.bad is Bad.HIGH else -1
    at = {OURS: judged(run, scenario, check=not seed[2] % CHECKED), **alarms(run, sign)}
    early = frozenset(name for name, window in at.items() if NEVER < window < run.onset)
    delays = {name: None if window == NEVER or name in early else window - run.onset + 1 for name, window in at.items()}
    end = at[OURS] if at[OURS] != NEVER else WINDOWS - 1
    exposed = sum(cell.n for part in run.slices for cell in part.candidate[run.onset : end + 1])
    return Outcome(delays, early, exposed, floor_nats(run, scenario))


def _task(work: tuple[Callable[[], Sequence[Scenario]], int, int]) -> Outcome:
    table, row, number = work
    return outcome(table()[row], (SEED, row, number))


def simulate(
    table: Callable[[], Sequence[Scenario]], row: int, runs: int, processes: int, progress: Callable[[int], None]
) -> list[Outcome]:
    """Simulate the runs of one row. `table` must be importable: workers build the scenarios themselves."""
    work = [(table, row, number) for number in range(runs)]
    found: list[Outcome] = []
    with get_context("fork").Pool(processes) as pool:
        for done in pool.imap_unordered(_task, work, chunksize=8):
            found.append(done)
            progress(len(found))
    return found


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / runs
    middle = (share + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z / (1 + z * z / runs) * sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    return max(0.0, middle - half), min(1.0, middle + half)


def over_floor(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Return the mean delay of what is found over Wald's floor d(power, alpha) / nats, and half its 95 % interval."""
    known = [outcome for outcome in outcomes if OURS not in outcome.early]
    found = [delay for outcome in known if (delay := outcome.delays[OURS]) is not None]
    gains = [outcome.nats for outcome in outcomes if outcome.nats]
    if not found or not gains:
        return None
    power = min(len(found) / len(known), 1 - 1e-9)
    needed = power * log(power / ALPHA) + (1 - power) * log((1 - power) / (1 - ALPHA))
    floor = needed / float(np.mean(gains))
    return float(np.mean(found)) / floor, 1.96 * float(np.std(found)) / sqrt(len(found)) / floor
