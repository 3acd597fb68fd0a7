"""Samples to windows. Times are seconds, windows ten of them, unless said."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import PPM, Arm
from rollout_server.domain.counted_windows import Counted, Sample, Series, bare_windows, counted_windows
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import Asked, MetricQuery, MetricWindows, Slot

WINDOW_MS = 10_000
CANDIDATE, CONTROL = Slot(10_000, Arm.CANDIDATE), Slot(10_000, Arm.CONTROL)
QUERY = MetricQuery("errors", (Asked(CANDIDATE, "e", "a"), Asked(CONTROL, "e", "a")), late_ms=15_000)
BARE = MetricQuery("ratio", (Asked(CANDIDATE, "r"), Asked(CONTROL, "r")), late_ms=15_000, span_ms=30_000)


def series(samples: dict[int, float], target: str = "a", **labels: str) -> Series:
    """Return a series by second and value."""
    named = tuple(sorted({"instance": target, "job": "shop", **labels}.items()))
    return Series(named, tuple(Sample(second * 1_000, value) for second, value in samples.items()))


def counted(numerator: Series | None, *denominator: Series) -> Counted:
    return Counted((numerator,) if numerator else (), denominator)


def windows(
    candidate: Counted, control: Counted, after: int = 0, through: int = 5, query: MetricQuery = QUERY
) -> MetricWindows:
    return counted_windows(query, {CANDIDATE: candidate, CONTROL: control}, after, through, WINDOW_MS)


def scraped(step: float, seconds: range = range(1, 60, 5), start: float = 1_000.0) -> dict[int, float]:
    return {second: start + step * number for number, second in enumerate(seconds)}


FINE = counted(series(scraped(1)), series(scraped(10)))


def test_a_window_holds_what_was_counted_in_it() -> None:
    """Growth between two scrapes belongs to the window of the later one; nothing is extrapolated."""
    found = windows(FINE, counted(series(scraped(2)), series(scraped(30))))
    assert [one.window for one in found.windows] == [1, 2, 3, 4, 5]
    assert {one.cells[CANDIDATE] for one in found.windows} == {Cell(20, 2.0)}
    assert {one.cells[CONTROL] for one in found.windows} == {Cell(60, 4.0)}
    assert [one.since_ms for one in found.windows] == [6_000, 16_000, 26_000, 36_000, 46_000]
    assert (found.through, found.fault) == (5, None)


def test_windows_that_were_answered_are_not_answered_again() -> None:
    """Each growth is in exactly one window, wherever the question begins."""
    whole = windows(FINE, FINE).windows
    assert windows(FINE, FINE, through=2).windows + windows(FINE, FINE, after=2).windows == whole
    assert windows(FINE, FINE, after=5, through=5).windows == ()


def test_scrapes_further_apart_than_windows_leave_windows_out() -> None:
    """A window without a scrape is no quiet window: the next one holds what happened in it."""
    rare = counted(series(scraped(1, range(2, 60, 15))), series(scraped(10, range(2, 60, 15))))
    found = windows(rare, rare)
    assert [(one.window, one.cells[CANDIDATE].n) for one in found.windows] == [(1, 10), (3, 10), (4, 10)]
    assert (found.through, found.fault) == (4, None)


def test_a_window_waits_for_both_arms() -> None:
    """Arms that live on different targets are scraped at different times, and are still compared."""
    early = counted(series(scraped(1, range(5, 60, 15), 0)), series(scraped(10, range(5, 60, 15), 0)))
    late = counted(series(scraped(1, range(13, 60, 15), 0), "b"), series(scraped(20, range(13, 60, 15), 0), "b"))
    found = windows(early, late)
    assert [(one.window, one.cells[CANDIDATE].n, one.cells[CONTROL].n) for one in found.windows] == [
        (2, 10, 20),
        (4, 10, 20),
        (5, 10, 20),
    ]


def test_a_counter_that_fell_spoils_its_window_and_no_other() -> None:
    """Neither a negative nor a wrong growth is counted; the newest window says why it is missing."""
    fell = {1: 100.0, 6: 110.0, 11: 120.0, 16: 5.0, 21: 15.0, 26: 25.0, 31: 35.0}
    restarted = counted(series(dict(fell)), series(fell))
    fine = counted(series(scraped(1, range(1, 35, 5))), series(scraped(10, range(1, 35, 5))))
    found = windows(restarted, fine, through=3)
    assert [one.window for one in found.windows] == [2, 3]
    assert found.fault is None
    now = windows(restarted, fine, through=1)
    assert (now.windows, now.through, now.fault) == ((), 1, Reason.COUNTER_RESET)


def test_a_fall_is_seen_even_where_the_counter_is_higher_at_the_edges() -> None:
    """Between the edges of window 1 it grew from 120 to 140, and yet it began again."""
    hidden = {1: 100.0, 9: 120.0, 12: 3.0, 19: 140.0}
    found = windows(counted(series(hidden), series(scraped(1, range(1, 20, 5)))), FINE, through=1)
    assert (found.windows, found.fault) == ((), Reason.COUNTER_RESET)


def test_the_first_error_of_a_process_counts() -> None:
    """A series that appears on a target that was scraped without it began at 0."""
    requests = series(scraped(10, range(1, 30, 5)))
    found = windows(counted(series({16: 4.0, 21: 6.0}), requests), FINE, through=2)
    assert [one.cells[CANDIDATE].x for one in found.windows] == [4.0, 2.0]
    assert found.windows[0].since_ms == 6_000


def test_what_a_target_counted_out_of_sight_does_not_count() -> None:
    """All its series appear at once, with a past that belongs to no window."""
    there = counted(series(scraped(1, range(1, 30, 5))), series(scraped(10, range(1, 30, 5))))
    back = counted(None, *there.denominator, series({16: 5_000.0, 21: 5_010.0}, "b"))
    found = windows(back, there, through=2)
    assert [one.cells[CANDIDATE].n for one in found.windows] == [20, 30]


def test_a_gap_is_left_out() -> None:
    """What grew while nothing was scraped may have happened at any time of it, and arms would differ in that."""
    gap = {1: 0.0, 6: 10.0, 56: 500.0, 59: 510.0}
    found = windows(counted(series(gap), series(gap)), FINE)
    assert ([one.window for one in found.windows], found.fault) == ([], Reason.STALE)
    again = gap | {61: 520.0, 66: 530.0}
    both = counted(series(again), series(again))
    found = windows(both, both, through=6)
    assert ([one.window for one in found.windows], found.fault) == ([6], None)


def test_scrapes_that_are_rarer_than_late_says_are_told() -> None:
    """Nothing would ever be judged, and nobody would know why."""
    rare = counted(series(scraped(1, range(2, 300, 90))), series(scraped(10, range(2, 300, 90))))
    told = windows(rare, rare, through=27)
    assert (told.windows, told.fault) == ((), Reason.STALE)
    assert "is `late` the scrape interval?" in told.detail


def test_windows_that_wait_in_vain_are_given_up() -> None:
    """Asking goes on, whatever becomes of an arm: no question grows without end."""
    silent = counted(series({1: 1.0}), series({1: 1.0}))
    assert windows(FINE, silent, through=5).through == 2
    assert counted_windows(QUERY, {}, 0, 5, WINDOW_MS).through == 2
    assert counted_windows(QUERY, {}, 4, 5, WINDOW_MS).through == 4


def test_no_errors_are_no_fault_while_the_other_arm_has_some() -> None:
    """A series of errors appears with the first of them."""
    found = windows(counted(None, *FINE.denominator), FINE)
    assert {one.cells[CANDIDATE] for one in found.windows} == {Cell(20, 0.0)}
    assert found.fault is None


STALE = scraped(10, range(1, 20, 5))


@pytest.mark.parametrize(
    ("candidate", "control", "fault"),
    [
        (Counted(), Counted(), Reason.EMPTY),
        (counted(None, *FINE.denominator), counted(None, *FINE.denominator), Reason.EMPTY),
        (FINE, counted(*FINE.numerator), Reason.ONE_ARM),
        (Counted(), FINE, Reason.ONE_ARM),
        (counted(series(STALE), series(STALE)), FINE, Reason.ONE_ARM),
        (counted(series(STALE), series(STALE)), counted(series(STALE), series(STALE)), Reason.STALE),
    ],
)
def test_a_source_that_shows_nothing_is_a_fault(candidate: Counted, control: Counted, fault: Reason) -> None:
    """Empty, one arm missing, one arm silent, all silent; whether or not there is a window to answer for."""
    told = windows(candidate, control)
    assert told.fault is fault
    assert told.detail
    assert windows(candidate, control, after=5).fault is fault


@pytest.mark.parametrize(
    ("value", "fault"), [(nan, Reason.NOT_A_NUMBER), (inf, Reason.NOT_A_NUMBER), (-1.0, Reason.IMPOSSIBLE)]
)
def test_what_is_no_count_spoils_its_window(value: float, fault: Reason) -> None:
    """Not a number, without end, below nothing: the window is left out with the reason."""
    bad = scraped(1, range(1, 30, 5)) | {26: value}
    found = windows(counted(series(bad), *FINE.denominator), FINE, through=2)
    assert [one.window for one in found.windows] == [1]
    assert found.fault is fault
    first = windows(counted(series({26: value}, "new"), *FINE.denominator), FINE, through=2)
    assert first.fault is (fault if fault is Reason.NOT_A_NUMBER else None)


def test_denominators_are_whole() -> None:
    """They count something; half an event is a query that does not."""
    found = windows(counted(None, series(scraped(0.3))), FINE)
    assert (found.windows, found.fault) == ((), Reason.IMPOSSIBLE)
    almost = windows(counted(None, series(scraped(10 + 1e-9))), FINE)
    assert len(almost.windows) == 5


def test_the_whole_audience_needs_no_control() -> None:
    """At 100 % the candidate alone closes a window."""
    alone = Slot(PPM, Arm.CANDIDATE)
    query = MetricQuery("errors", (Asked(alone, "e", "a"),), late_ms=15_000)
    found = counted_windows(query, {alone: FINE}, 0, 5, WINDOW_MS)
    assert [one.cells[alone].n for one in found.windows] == [20] * 5
    assert found.fault is None


GROWTH = st.integers(0, 50)


@given(st.lists(st.tuples(st.integers(1, 6_000), GROWTH, GROWTH), min_size=1, max_size=40), st.integers(-1, 8))
def test_nothing_is_counted_twice_or_made_up(steps: list[tuple[int, int, int]], split: int) -> None:
    """However often it is asked, and wherever that is split, windows hold at most what both counters grew by."""
    at_ms, requests, errors = 1, 0, 0
    of_requests, of_errors = [Sample(at_ms, 0.0)], [Sample(at_ms, 0.0)]
    for step_ms, more, failed in steps:
        at_ms, requests, errors = at_ms + step_ms, requests + more, errors + failed
        of_requests.append(Sample(at_ms, float(requests)))
        of_errors.append(Sample(at_ms, float(errors)))
    labels = (("instance", "a"), ("job", "shop"))
    one = Counted((Series(labels, tuple(of_errors)),), (Series(labels, tuple(of_requests)),))
    through = at_ms // WINDOW_MS
    first = windows(one, one, after=-1, through=min(split, through))
    rest = windows(one, one, after=max(-1, first.through), through=through)
    cells = [window.cells[CANDIDATE] for window in (*first.windows, *rest.windows)]
    assert (sum(cell.n for cell in cells), sum(cell.x for cell in cells)) == (requests, errors)
    assert [cell for cell in cells if cell.n < 0 or cell.x < 0] == []


def values(by_second: dict[int, float], labels: int = 1) -> tuple[Series, ...]:
    return tuple(series(by_second, pod=str(number)) for number in range(labels))


def bare(
    candidate: tuple[Series, ...], control: tuple[Series, ...], after: int = -1, through: int = 8
) -> MetricWindows:
    return bare_windows(BARE, {CANDIDATE: candidate, CONTROL: control}, after, through, WINDOW_MS)


EVERY = {second: second / 100 for second in range(10, 100, 10)}


def test_bare_ratios_are_paired_at_windows_that_share_no_data() -> None:
    """A range of 30 s makes each third window of 10 s one pair; the others would repeat it."""
    found = bare(values(EVERY), values(dict.fromkeys(EVERY, 1.0)))
    assert [(one.window, one.since_ms, one.cells[CANDIDATE], one.cells[CONTROL]) for one in found.windows] == [
        (2, 0, Cell(1, 0.3), Cell(1, 1.0)),
        (5, 30_000, Cell(1, 0.6), Cell(1, 1.0)),
        (8, 60_000, Cell(1, 0.9), Cell(1, 1.0)),
    ]
    assert (found.through, found.fault) == (8, None)


@pytest.mark.parametrize(
    ("candidate", "control", "fault"),
    [
        ((), (), Reason.EMPTY),
        (values(EVERY), (), Reason.ONE_ARM),
        (values(EVERY | {90: nan}), values(EVERY), Reason.NOT_A_NUMBER),
        (values(EVERY), values(EVERY | {90: inf}), Reason.NOT_A_NUMBER),
        (values(EVERY, labels=2), values(EVERY), Reason.TOO_MANY_SERIES),
    ],
)
def test_a_bare_ratio_without_a_number_is_a_fault(
    candidate: tuple[Series, ...], control: tuple[Series, ...], fault: Reason
) -> None:
    """As of the last window, whether or not that is one that is paired."""
    assert bare(candidate, control).fault is fault
    assert bare(candidate, control, after=8).fault is fault
    assert 8 not in [one.window for one in bare(candidate, control).windows]
