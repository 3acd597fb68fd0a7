"""Windows merge by addition, whatever the order."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import Arm
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window

VALUES = st.integers(-1_000, 1_000).map(float)  # exact in any order
RUNS = st.sampled_from([RunKey("a", 1), RunKey("b", 2)])
KEYS = st.builds(
    ArmKey, st.integers(1, 2), st.just(500_000), st.sampled_from(["", "x"]), st.sampled_from(Arm), st.booleans()
)
METRICS = st.sampled_from(["errors", "latency"])
EVENTS = st.lists(st.tuples(RUNS, KEYS, METRICS, st.integers(0, 63), VALUES), max_size=20)
UNITS = st.lists(st.tuples(RUNS, KEYS, st.integers(0, 99)), max_size=10)


def window(events: list[tuple[RunKey, ArmKey, str, int, float]], units: list[tuple[RunKey, ArmKey, int]]) -> Window:
    made = Window()
    for run, key, metric, bucket, value in events:
        sums = made.runs.setdefault(run, {}).setdefault(key, ArmSums())
        sums.events.setdefault(metric, EventSums()).add(bucket, value, int(value))
        made.unattributed[metric] += 1
    for run, key, unit in units:
        sums = made.runs.setdefault(run, {}).setdefault(key, ArmSums())
        sums.exposed.append(unit)
        sums.outcomes.setdefault("orders", []).append((unit, 1.0))
        made.bounds[run, ""] = min(made.bounds.get((run, ""), 1_000), 1_000 - unit)
        made.losses[LossReason.NO_ROOM] += 1
    return made


WINDOWS = st.lists(st.builds(window, EVENTS, UNITS), min_size=1, max_size=4)


def merged(windows: list[Window]) -> Window:
    def add(first: Window, second: Window) -> Window:
        first.merge(second)
        return first

    return reduce(add, deepcopy(windows))


def plain(one: Window) -> object:
    """Everything but the order in which units came."""
    runs = {
        run: {
            key: (
                {metric: (sums.xx, sums.n, sums.x, sums.bins) for metric, sums in arm.events.items()},
                {metric: sorted(each) for metric, each in arm.outcomes.items()},
                sorted(arm.exposed),
                sorted(arm.reporting),
            )
            for key, arm in arms.items()
        }
        for run, arms in one.runs.items()
    }
    return runs, one.bounds, one.unattributed, one.losses


@given(WINDOWS, st.randoms(use_true_random=False))
def test_merging_is_associative_and_commutative(windows: list[Window], rng: object) -> None:
    """Windows that waited may be joined in any way; the sums are those of all of them."""
    shuffled = list(windows)
    rng.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis' own Random
    assert plain(merged(windows)) == plain(merged(shuffled))
    if len(windows) > 2:
        assert plain(merged([merged(windows[:2]), *windows[2:]])) == plain(merged([windows[0], merged(windows[1:])]))


@given(EVENTS, EVENTS)
def test_a_merged_window_is_the_window_of_both(first: list[object], second: list[object]) -> None:
    """It does not matter when a window was closed."""
    both = window([*first, *second], [])  # type: ignore[list-item] # events
    assert plain(merged([window(first, []), window(second, [])])) == plain(both)  # type: ignore[arg-type] # events


def test_an_empty_window_says_so() -> None:
    """Losses alone are something to say."""
    assert Window().is_empty
    assert not Window(losses=Counter({LossReason.NO_ROOM: 1})).is_empty
