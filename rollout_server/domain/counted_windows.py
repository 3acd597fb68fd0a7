"""From samples of counters, and from values of a bare ratio, to windows.

Counters: what a series grew by between two samples belongs to the window of the later one. So no sample is counted
twice, none is extrapolated, and a counter that fell is seen wherever it fell. A window is closed once each arm was
heard in it; a window without samples waits for the next one, since scrapes may be further apart than windows.

* A counter that fell began again, and what it lost cannot be known: the whole window is left out.
* A series that appears counts from 0 if its target was scraped before without it: the first error of a process is an
  error. On a target that is new, or was out of sight, only what comes after its first sample counts.
* What grew over a longer time than scrapes may be apart is left out: arms would be compared at different times.
* Without the numerator's series an arm had none (of errors, say), as long as the other arm shows that they exist.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine.model import Arm
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import MetricWindow, MetricWindows, Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollout_server.domain.metric_source import MetricQuery

Labels = tuple[tuple[str, str], ...]
Fault = tuple[Reason, str]

_TARGET = ("job", "instance")
_WHOLE = 1e-6  # of a count: what sums of floating point numbers may miss


class Sample(NamedTuple):
    """One scrape of one series."""

    at_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series, ascending."""

    labels: Labels
    samples: tuple[Sample, ...]

    @property
    def target(self) -> Labels:
        """What was scraped."""
        return tuple(label for label in self.labels if label[0] in _TARGET)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found for one slot."""

    numerator: tuple[Series, ...] = ()
    denominator: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class _Growth:
    at_ms: int
    since_ms: int
    amount: float
    trouble: Reason | None = None


@dataclass(slots=True)
class _Group:
    """Windows that are closed together."""

    heard: set[Arm] = field(default_factory=set)
    n: defaultdict[Slot, float] = field(default_factory=lambda: defaultdict(float))
    x: defaultdict[Slot, float] = field(default_factory=lambda: defaultdict(float))
    since_ms: int | None = None
    trouble: Reason | None = None

    def add(self, slot: Slot, growth: _Growth, *, is_denominator: bool) -> None:
        if is_denominator:
            self.heard.add(slot.arm)
        self.trouble = self.trouble or growth.trouble
        if growth.amount:
            (self.n if is_denominator else self.x)[slot] += growth.amount
            self.since_ms = growth.since_ms if self.since_ms is None else min(self.since_ms, growth.since_ms)


def counted_windows(
    query: MetricQuery, counted: Mapping[Slot, Counted], after: int, through: int, window_ms: int
) -> MetricWindows:
    """Return the windows > `after` and <= `through` that two counters tell of.

    Args:
        query: that was asked.
        counted: by slot, samples from `query.lookback_ms` before the first window to the end of the last.
        after: ordinal of the last window that was answered.
        through: ordinal of the last window asked for.
        window_ms: how long a window is.
    """
    start_ms, end_ms = (after + 1) * window_ms, (through + 1) * window_ms
    longest_ms = 2 * (query.late_ms + window_ms)  # since one arm's last scrape but one, until the other's last
    found: list[MetricWindow] = []
    group, closed = _Group(), after
    trouble: Fault | None = None
    for window, growths in _by_window(counted, start_ms, end_ms, window_ms):
        for slot, growth, is_denominator in growths:
            group.add(slot, growth, is_denominator=is_denominator)
        if not group.heard >= query.arms:
            continue
        close_ms = (window + 1) * window_ms
        since_ms = group.since_ms if group.since_ms is not None else window * window_ms
        trouble = _trouble(group, close_ms - since_ms, longest_ms)
        if trouble is None:
            found.append(MetricWindow(window, since_ms, _cells(query, group)))
        group, closed = _Group(), window
    # Windows that wait for longer than scrapes are apart wait in vain.
    given_up = through - -(-query.late_ms // window_ms) - 1
    fault = _fault(query, counted, end_ms, query.late_ms + 2 * window_ms) or trouble
    reason, detail = fault or (None, "")
    return MetricWindows(tuple(found), max(closed, min(given_up, through)), reason, detail)


def bare_windows(
    query: MetricQuery, values: Mapping[Slot, tuple[Series, ...]], after: int, through: int, window_ms: int
) -> MetricWindows:
    """Return the windows > `after` and <= `through` that a bare ratio tells of: those that share no data.

    Args:
        query: that was asked.
        values: by slot, a sample at the end of each window, of the last one at least.
        after: ordinal of the last window that was answered.
        through: ordinal of the last window asked for.
        window_ms: how long a window is.
    """
    apart = max(1, -(-query.span_ms // window_ms))
    found = []
    for window in range(after + 1, through + 1):
        if (window + 1) % apart:
            continue
        at_ms = (window + 1) * window_ms
        cells, trouble = _values_at(query, values, at_ms)
        if trouble is None:
            found.append(MetricWindow(window, at_ms - max(query.span_ms, window_ms), cells))
    _, fault = _values_at(query, values, (through + 1) * window_ms)
    reason, detail = fault or (None, "")
    return MetricWindows(tuple(found), max(after, through), reason, detail)


def _by_window(
    counted: Mapping[Slot, Counted], start_ms: int, end_ms: int, window_ms: int
) -> Iterator[tuple[int, list[tuple[Slot, _Growth, bool]]]]:
    scrapes = _scrapes(counted)
    windows: defaultdict[int, list[tuple[Slot, _Growth, bool]]] = defaultdict(list)
    for slot, one in counted.items():
        for part, is_denominator in ((one.numerator, False), (one.denominator, True)):
            for series in part:
                for growth in _growths(series, scrapes[series.target], start_ms):
                    if start_ms <= growth.at_ms < end_ms:
                        windows[growth.at_ms // window_ms].append((slot, growth, is_denominator))
    yield from sorted(windows.items(), key=lambda item: item[0])


def _scrapes(counted: Mapping[Slot, Counted]) -> defaultdict[Labels, list[int]]:
    """Return when each target was scraped, ascending."""
    times: defaultdict[Labels, set[int]] = defaultdict(set)
    for one in counted.values():
        for series in (*one.numerator, *one.denominator):
            times[series.target].update(sample.at_ms for sample in series.samples)
    return defaultdict(list, {target: sorted(found) for target, found in times.items()})


def _growths(series: Series, scrapes: list[int], start_ms: int) -> Iterator[_Growth]:
    for first in series.samples[:1]:
        earlier = bisect_left(scrapes, first.at_ms)
        if earlier and first.at_ms >= start_ms:
            yield _grown(Sample(scrapes[earlier - 1], 0.0), first)
        else:
            yield _Growth(first.at_ms, first.at_ms, 0.0, None if isfinite(first.value) else Reason.NOT_A_NUMBER)
    for before, sample in pairwise(series.samples):
        yield _grown(before, sample)


def _grown(before: Sample, sample: Sample) -> _Growth:
    if not (isfinite(sample.value) and isfinite(before.value)):
        return _Growth(sample.at_ms, before.at_ms, 0.0, Reason.NOT_A_NUMBER)
    if sample.value < 0:
        return _Growth(sample.at_ms, before.at_ms, 0.0, Reason.IMPOSSIBLE)
    if sample.value < before.value:
        return _Growth(sample.at_ms, before.at_ms, 0.0, Reason.COUNTER_RESET)
    return _Growth(sample.at_ms, before.at_ms, sample.value - before.value)


def _trouble(group: _Group, span_ms: int, longest_ms: int) -> Fault | None:
    """Return why a closed group is left out."""
    if group.trouble is not None:
        return group.trouble, ""
    if not _are_whole(group.n.values()):
        return Reason.IMPOSSIBLE, "the denominator counts fractions"
    if span_ms > longest_ms:
        return Reason.STALE, f"samples of both arms are {span_ms / 1_000:g} s apart; is `late` the scrape interval?"
    return None


def _are_whole(counts: Iterable[float]) -> bool:
    return all(abs(count - round(count)) <= _WHOLE * max(1.0, count) for count in counts)


def _cells(query: MetricQuery, group: _Group) -> dict[Slot, Cell]:
    return {one.slot: Cell(round(group.n[one.slot]), group.x[one.slot]) for one in query.asked}


def _fault(query: MetricQuery, counted: Mapping[Slot, Counted], end_ms: int, patience_ms: int) -> Fault | None:
    newest: dict[Arm, int] = {}
    for slot, one in counted.items():
        for series in one.denominator:
            for sample in series.samples[-1:]:
                newest[slot.arm] = max(sample.at_ms, newest.get(slot.arm, 0))
    if not newest:
        return Reason.EMPTY, "no series of the denominator in either arm"
    if not any(one.numerator for one in counted.values()):
        return Reason.EMPTY, "no series of the numerator in either arm"
    for arm in sorted(query.arms - newest.keys(), key=lambda arm: arm.value):
        return Reason.ONE_ARM, f"the {arm.value} has no series of the denominator"
    stale = [arm.value for arm, at_ms in newest.items() if at_ms < end_ms - patience_ms and arm in query.arms]
    if not stale:
        return None
    if len(stale) < len(query.arms):
        return Reason.ONE_ARM, f"the {stale[0]} has no new sample"
    age_ms = end_ms - max(newest.values())
    return Reason.STALE, f"by {age_ms / 1_000:g} s, and scrapes are at most {query.late_ms / 1_000:g} s apart"


def _values_at(
    query: MetricQuery, values: Mapping[Slot, tuple[Series, ...]], at_ms: int
) -> tuple[dict[Slot, Cell], Fault | None]:
    cells: dict[Slot, Cell] = {}
    for one in query.asked:
        found = [
            sample.value for series in values.get(one.slot, ()) for sample in series.samples if sample.at_ms == at_ms
        ]
        if len(found) > 1:
            detail = f"{len(found)} series of the {one.slot.arm.value}, and a bare ratio is one number: aggregate them"
            return {}, (Reason.TOO_MANY_SERIES, detail)
        if any(not isfinite(value) for value in found):
            return {}, (Reason.NOT_A_NUMBER, f"the {one.slot.arm.value} is {found[0]}")
        if found:
            cells[one.slot] = Cell(1, found[0])
    heard = {slot.arm for slot in cells}
    if not heard:
        return {}, (Reason.EMPTY, "")
    for arm in sorted(query.arms - heard, key=lambda arm: arm.value):
        return {}, (Reason.ONE_ARM, f"the {arm.value} has no value")
    return cells, None
