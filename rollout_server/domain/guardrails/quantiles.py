"""Quantiles: counts beyond a cut that earlier windows fixed.

The cut is the quantile of both arms' merged, fading histogram of earlier windows, so it is predictable. The limit
shifts the candidate's cut by its logarithm: a candidate that is exactly r0 times as slow has as many values beyond
r0 c as the control beyond c. What is beyond is then a proportion, judged per unit as in `rates` (exact, but for the
bins: the bin that a cut divides is taken as log-uniform over its 2.2 %), or for clustered events as in `clustered`,
with the variance inflated by what the sums per hash bucket show for the mean (approximate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import (
    FREEDOM_MIN,
    ClusteredState,
    Tally,
    advance,
    e_of,
    inflated,
    over_onsets,
    scored,
)
from rollout_server.domain.guardrails.data import Cell, WindowSums
from rollout_server.domain.guardrails.histogram import Histogram, above, count, cut_at, position, value_at
from rollout_server.domain.guardrails.levels import FADE
from rollout_server.domain.guardrails.normal import normal_of_t
from rollout_server.domain.guardrails.rates import Rates, RatesState

LEARNT = 200.0  # values before a cut is believed
_FORGOTTEN = 1e-3  # faded counts below it leave the histogram

Faded: TypeAlias = tuple[tuple[int, float], ...]


def faded(earlier: Faded, *histograms: Histogram) -> Faded:
    """Return the histogram after one more window."""
    counts = {index: FADE * number for index, number in earlier if FADE * number > _FORGOTTEN}
    for histogram in histograms:
        for index, number in histogram:
            counts[index] = counts.get(index, 0.0) + number
    return tuple(sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class QuantilesState:
    """Evidence on what is beyond the cut, and the histogram that fixes the next one."""

    beyond: RatesState | ClusteredState
    histogram: Faded = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """Where each arm is cut, on the axis of bins.

    Attributes:
        high: what lies above counts, else what lies below.
    """

    candidate: float
    control: float
    high: bool

    def beyond(self, part: WindowSums) -> WindowSums:
        """Return the same window with counts beyond the cut."""
        return WindowSums(
            *part.place, self._cell(part.candidate, self.candidate), self._cell(part.control, self.control)
        )

    def _cell(self, cell: Cell, cut: float) -> Cell:
        n = count(cell.histogram)
        over = above(cell.histogram, cut)
        x = over if self.high else n - over
        return Cell(n, x, x)


def cut_for(state: QuantilesState, share: float, bound: Bound, *, high: bool) -> Cut | None:
    """Return the next window's cut; None while too little is known, or where the bound leaves no positive value."""
    if sum([number for _, number in state.histogram]) < LEARNT:
        return None
    place = cut_at(state.histogram, share)
    if place is None:
        return None
    edge = bound.ratio * value_at(place) + bound.margin
    return Cut(position(edge), place, high) if edge > 0 else None


class Quantiles:
    """Judges the ratio of two quantiles of independent units."""

    def __init__(self, bound: Bound, share: float, *, high: bool) -> None:
        self._share = share
        self._high = high
        self._bound = bound
        # Where low is bad, a candidate that falls has more values beyond the cut.
        self._rates = Rates(Bound(1.0, rising=bound.rising is high))

    def start(self) -> QuantilesState:
        """Return the state before the first window."""
        return QuantilesState(self._rates.start())

    def absorb(self, state: QuantilesState, sums: Sequence[WindowSums]) -> QuantilesState:
        """Add one window; until a cut is known it only teaches the histogram."""
        cut = cut_for(state, self._share, self._bound, high=self._high)
        parts = [cut.beyond(part) for part in sums] if cut is not None else []
        learnt = faded(state.histogram, *(cell.histogram for part in sums for cell in (part.candidate, part.control)))
        if not isinstance(state.beyond, RatesState):
            raise TypeError("the state of a test per unit was written by a test per event")
        return QuantilesState(self._rates.absorb(state.beyond, parts), learnt)

    def log_e(self, state: QuantilesState) -> float:
        """Return log E."""
        if not isinstance(state.beyond, RatesState):
            raise TypeError("the state of a test per unit was written by a test per event")
        return self._rates.log_e(state.beyond)


class ClusteredQuantiles:
    """Judges the ratio of two quantiles of clustered events."""

    def __init__(self, bound: Bound, share: float, *, high: bool) -> None:
        self._share = share
        self._high = high
        self._bound = bound
        self._sign = 1 if bound.rising is high else -1

    def start(self) -> QuantilesState:
        """Return the state before the first window."""
        return QuantilesState(ClusteredState())

    def absorb(self, state: QuantilesState, sums: Sequence[WindowSums]) -> QuantilesState:
        """Add one window."""
        clustered = _clustered(state)
        cut = cut_for(state, self._share, self._bound, high=self._high)
        tally = clustered.tally
        for part in sums if cut is not None else ():
            tally = _counted(scored(tally, part, self._bound), cut.beyond(part)) if cut is not None else tally
        learnt = faded(state.histogram, *(cell.histogram for part in sums for cell in (part.candidate, part.control)))
        return QuantilesState(advance(clustered, tally), learnt)

    def log_e(self, state: QuantilesState) -> float:
        """Return log E over the onsets that are kept."""
        return over_onsets(_clustered(state), self._e_since)

    def _e_since(self, tally: Tally) -> float:
        inflation, freedom = inflated(tally)
        if freedom < FREEDOM_MIN or tally.beyond_information <= 0:
            return 0.0
        variance = tally.beyond_information * inflation
        z = normal_of_t(self._sign * tally.beyond / sqrt(variance), freedom)
        return e_of(z, tally.beyond_information, variance)


def _clustered(state: QuantilesState) -> ClusteredState:
    if not isinstance(state.beyond, ClusteredState):
        raise TypeError("the state of a test per event was written by a test per unit")
    return state.beyond


def _counted(tally: Tally, beyond: WindowSums) -> Tally:
    n_t, n_c = beyond.candidate.n, beyond.control.n
    if not n_t or not n_c:
        return tally
    q = n_t / (n_t + n_c)
    return Tally(
        tally.scores,
        tally.information,
        tally.naive,
        tally.beyond + (1 - q) * beyond.candidate.x - q * beyond.control.x,
        tally.beyond_information + (beyond.candidate.x + beyond.control.x) * q * (1 - q),
    )
