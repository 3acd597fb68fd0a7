"""The counters of one process: exact, bounded, and in nobody's way."""

from __future__ import annotations

import math
import threading
from fractions import Fraction

import pytest

from rollout_sdk import tally as module
from rollout_sdk.attribution import Attribution, Place
from rollout_sdk.engine import sample as sampling
from rollout_sdk.engine.log_histogram import bin_of
from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import HASH_BITS, UnitSample, run_key, unit_hash
from rollout_sdk.sums import ArmKey, LossReason, RunKey
from rollout_sdk.tally import REST, STRATA_MAX, Tally
from tests.telemetry_world import ERRORS, LATE, LATENCY, ORDERS

RUN = RunKey("launch", 1)
KEY = run_key("launch", "s" * 16, 1)


def place(arm: Arm = Arm.CANDIDATE, allocation: int = 1) -> Place:
    return Place("launch", 1, allocation, 500_000, arm)


def attribution(unit: int = 0, arm: Arm = Arm.CANDIDATE, stratum: str = "") -> Attribution:
    return Attribution(place(arm), stratum, unit)


def hashed(number: int) -> int:
    """A unit's 64-bit hash, spread as real ones are."""
    return unit_hash(KEY, str(number).encode())


def arm_key(arm: Arm = Arm.CANDIDATE, stratum: str = "", *, recomputed: bool = False) -> ArmKey:
    return ArmKey(1, 500_000, stratum, arm, recomputed)


def test_events_are_summed_by_class_of_user() -> None:
    """n, x and xx of both; the class is a user's own."""
    tally = Tally()
    for value in (True, False, True):
        tally.record(ERRORS, value, [attribution(65)], recomputed=False)
    tally.record(ERRORS, 1, [attribution(2, Arm.CONTROL)], recomputed=False)
    arms = tally.rotate(7.0).runs[RUN]
    sums = arms[arm_key()].events["errors"]
    assert (sums.n[1], sums.x[1], sums.xx) == (3, 2.0, 2.0)
    assert arms[arm_key(Arm.CONTROL)].events["errors"].n == {2: 1}
    assert tally.rotate(8.0).is_empty


def test_quantiles_are_counted_in_bins() -> None:
    """Other metrics have none."""
    tally = Tally()
    tally.record(LATENCY, 0.118, [attribution()], recomputed=False)
    tally.record(LATE, 3, [attribution()], recomputed=False)
    events = tally.rotate(0).runs[RUN][arm_key()].events
    assert (dict(events["latency"].bins), dict(events["late"].bins)) == ({bin_of(0.118): 1}, {})


def test_a_unit_counts_once_in_a_run() -> None:
    """By its first outcome, over all windows, arms and ways to record."""
    tally = Tally()
    tally.record(ORDERS, value=False, attributions=[attribution(5)], recomputed=False)
    tally.record(ORDERS, value=True, attributions=[attribution(5)], recomputed=False)
    first = tally.rotate(0)
    tally.record(ORDERS, value=True, attributions=[attribution(5, Arm.CONTROL)], recomputed=True)
    second = tally.rotate(1)
    assert first.runs[RUN][arm_key()].outcomes == {"orders": [(5, 0.0)]}
    assert first.runs[RUN][arm_key()].reporting == [5]
    assert second.runs[RUN][arm_key(Arm.CONTROL, recomputed=True)].outcomes == {"orders": []}


def test_the_two_kinds_of_sums_never_mix() -> None:
    """An arm worked out afterwards is another row than one taken from a decision."""
    tally = Tally()
    tally.record(ERRORS, value=True, attributions=[attribution()], recomputed=False)
    tally.record(ERRORS, value=True, attributions=[attribution()], recomputed=True)
    arms = tally.rotate(0).runs[RUN]
    assert {key.recomputed: sums.events["errors"].n.total() for key, sums in arms.items()} == {False: 1, True: 1}


@pytest.mark.parametrize("value", [None, "yes", math.nan, math.inf, 2, -1, 1e16, 0.5, [], object()])
def test_a_value_that_the_metric_cannot_have_is_lost_and_counted(value: object) -> None:
    """Nothing is guessed, and nothing raised."""
    tally = Tally()
    tally.record(ERRORS, value, [attribution()], recomputed=False)
    window = tally.rotate(0)
    assert (window.runs, dict(window.losses)) == ({}, {LossReason.BAD_VALUE: 1})


@pytest.mark.parametrize("value", [Fraction(1, 2), -1, math.nan])
def test_counts_are_not_negative(value: object) -> None:
    """And they are numbers."""
    tally = Tally()
    tally.record(LATE, value, [attribution()], recomputed=False)
    tally.record(LATENCY, value=True, attributions=[attribution()], recomputed=False)
    assert tally.rotate(0).losses == {LossReason.BAD_VALUE: 2}


def test_strata_are_bounded() -> None:
    """The first 64 values keep their names, the rest are together; without a name there is none."""
    tally = Tally()
    for number in range(STRATA_MAX + 10):
        tally.record(ERRORS, value=True, attributions=[attribution(0, stratum=f"t={number}")], recomputed=False)
    tally.record(ERRORS, value=True, attributions=[attribution()], recomputed=False)
    arms = tally.rotate(0).runs[RUN]
    assert len(arms) == STRATA_MAX + 2
    assert arms[arm_key(stratum=REST)].events["errors"].n.total() == 10


def test_cells_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one window is lost and counted; the next has room again."""
    monkeypatch.setattr(module, "CELLS_MAX", 5)
    tally = Tally()

    def fill() -> None:
        for number in range(10):
            where = Attribution(place(allocation=number), "", number)
            tally.record(ERRORS, value=True, attributions=[where], recomputed=False)

    fill()
    window = tally.rotate(0)
    assert (window.cells, window.losses[LossReason.NO_ROOM]) == (5, 8)
    fill()
    assert tally.rotate(0).cells == 5


def test_a_sample_keeps_units_by_their_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full one halves its bound; what is kept then is all of the units below it."""
    monkeypatch.setattr(sampling, "SAMPLE_UNITS_MAX", 100)
    sample = UnitSample(HASH_BITS)
    units = {hashed(number) for number in range(1_000)}
    for unit in units:
        sample.take(unit)
        assert not sample.take(unit)
    sample.purge()
    assert sample.seen == {unit for unit in units if unit < sample.bound}
    assert len(sample.seen) <= 100
    assert len(sample.seen) * (1 << HASH_BITS) / sample.bound == pytest.approx(1_000, rel=0.35)


def test_all_samples_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With any number of runs and metrics."""
    monkeypatch.setattr(module, "UNITS_MAX", 200)
    tally = Tally()
    for run in range(20):
        sample = tally.exposures(RunKey("launch", run))
        for number in range(50):
            sample.take(unit_hash(KEY, f"{run}/{number}".encode()) << HASH_BITS)
    tally.rotate(0)
    assert sum(len(tally.exposures(RunKey("launch", run)).seen) for run in range(20)) <= 200


def test_reporting_units_share_the_bound_of_exposures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both arms and both questions have one threshold."""
    monkeypatch.setattr(sampling, "SAMPLE_UNITS_MAX", 100)
    tally = Tally()
    for number in range(1_000):
        tally.record(ERRORS, value=True, attributions=[attribution(hashed(number))], recomputed=False)
    window = tally.rotate(0)
    bound = window.bounds[RUN, ""]
    kept = [unit for unit in window.runs[RUN][arm_key()].reporting if unit < bound]
    assert len(kept) == len(set(kept)) == sum(hashed(number) < bound for number in range(1_000))


def test_ended_runs_are_forgotten() -> None:
    """A new run counts every unit afresh, and memory does not grow with runs."""
    tally = Tally()
    tally.exposures(RUN).take(5 << HASH_BITS)
    tally.forget_all_but(set())
    assert tally.exposures(RUN).take(5 << HASH_BITS)


def test_nothing_is_lost_between_threads_and_rotations() -> None:
    """Each outcome is in exactly one window."""
    tally = Tally()
    windows = []

    def record(number: int) -> None:
        for _ in range(500):
            tally.record(ERRORS, value=True, attributions=[attribution(number)], recomputed=False)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        windows.append(tally.rotate(0))
    windows.append(tally.rotate(0))
    counts = [window.runs[RUN][arm_key()].events["errors"].n.total() for window in windows if window.runs]
    assert sum(counts) == 2_000


def test_the_last_window_of_a_run_says_how_far_its_sample_reached() -> None:
    """A full sample was halved, and the run ended before the window closed: else half would be told as everybody."""
    tally = Tally()
    tally.exposures(RUN).halve()
    tally.expose(1, place(), "")
    tally.forget_all_but([])
    tally.exposures(RUN)  # as after a kill that was taken back
    assert tally.rotate(1.0).bounds[RUN, ""] == sampling.EVERYTHING >> 1
    tally.expose(2, place(), "")
    assert tally.rotate(2.0).bounds[RUN, ""] == sampling.EVERYTHING
