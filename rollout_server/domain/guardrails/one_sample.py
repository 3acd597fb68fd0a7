"""One arm against a number: the likelihood ratio against an absolute limit, for each family.

    proportions of independent units   x ln(theta / L) + (n - x) ln((1 - theta) / (1 - L)), exact
    quantiles                          the same for the share of values beyond the limit, against 1 - quantile
    clustered events                   scores x_b - L n_b by hash bucket (see `clustered`), approximate
    means and counts                   z-scores against L (see `means`), approximate

`candidate` is the arm that is judged; give `swapped` sums to judge the control.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from typing import Any

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import (
    FREEDOM_MIN,
    Clustered,
    ClusteredState,
    Tally,
    advance,
    e_of,
    inflated,
    over_onsets,
)
from rollout_server.domain.guardrails.data import Cell, WindowSums
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.histogram import above, count, position
from rollout_server.domain.guardrails.levels import learn, level_of
from rollout_server.domain.guardrails.means import MeansState, clipped, reaches, tilted
from rollout_server.domain.guardrails.mixtures import EFFECTS, Mixture
from rollout_server.domain.guardrails.normal import normal_of_t

_CAP = 0.25  # alternatives keep this share of the room between the limit and 1
_MANY = 10**9  # denominators of a control that is a number
_LEARNT = 20.0  # values before a variance is believed

Counted = Callable[[Cell], tuple[float, float]]


def plain(cell: Cell) -> tuple[float, float]:
    """Return denominators and how many of them had it."""
    return cell.n, cell.x


def beyond(limit: float, *, high: bool) -> Counted:
    """Return how to count the values of a cell that lie beyond a limit."""
    cut = position(limit)

    def counted(cell: Cell) -> tuple[float, float]:
        n = count(cell.histogram)
        over = above(cell.histogram, cut)
        return n, over if high else n - over

    return counted


def swapped(part: WindowSums) -> WindowSums:
    """Return the sums with the control in the candidate's place, and nobody in its own."""
    return WindowSums(*part.place, part.control)


class OneRate:
    """Judges a share of independent units against a limit in (0, 1)."""

    def __init__(self, limit: float, *, rising: bool, counted: Counted = plain) -> None:
        sign = 1 if rising else -1
        room = 1 - _CAP * (1 - limit)
        rates = [min(room, limit * exp(sign * size)) for size in EFFECTS]
        self._steps = tuple((log(rate / limit), log((1 - rate) / (1 - limit))) for rate in rates)
        self._counted = counted

    def start(self) -> Mixture:
        """Return the state before the first window."""
        return mixtures.start()

    def absorb(self, state: Mixture, sums: Sequence[WindowSums]) -> Mixture:
        """Add one window."""
        counts = [self._counted(part.candidate) for part in sums]
        n, x = sum([n for n, _ in counts]), sum([x for _, x in counts])
        return mixtures.grow(state, [x * had + (n - x) * had_not for had, had_not in self._steps])

    def log_e(self, state: Mixture) -> float:
        """Return log E."""
        return mixtures.log_e(state)


class OneClustered:
    """Judges a level of clustered events against a limit above 0."""

    def __init__(self, limit: float, *, rising: bool) -> None:
        self._limit = limit
        self._test = Clustered(Bound(1.0, rising))

    def start(self) -> ClusteredState:
        """Return the state before the first window."""
        return ClusteredState()

    def absorb(self, state: ClusteredState, sums: Sequence[WindowSums]) -> ClusteredState:
        """Add one window."""
        tally = state.tally
        for part in sums:
            cell = part.candidate
            scores = [
                score + x - self._limit * n
                for score, x, n in zip(tally.scores, cell.bucket_x, cell.bucket_n, strict=bool(cell.bucket_n))
            ]
            if scores:
                tally = Tally(tuple(scores), tally.information + self._limit * cell.n)
        return advance(state, tally)

    def log_e(self, state: ClusteredState) -> float:
        """Return log E over the onsets that are kept."""
        return over_onsets(state, self._test.e_since)


class OneClusteredQuantile:
    """Judges a quantile of clustered events against a limit: the share beyond it, with variance as in `quantiles`."""

    def __init__(self, share: float, *, rising: bool, counted: Counted) -> None:
        self._share = share
        self._sign = 1 if rising else -1
        self._counted = counted

    def start(self) -> ClusteredState:
        """Return the state before the first window."""
        return ClusteredState()

    def absorb(self, state: ClusteredState, sums: Sequence[WindowSums]) -> ClusteredState:
        """Add one window."""
        tally = state.tally
        for part in sums:
            tally = self._added(tally, part.candidate)
        return advance(state, tally)

    def log_e(self, state: ClusteredState) -> float:
        """Return log E over the onsets that are kept."""
        return over_onsets(state, self._e_since)

    def _added(self, tally: Tally, cell: Cell) -> Tally:
        n, x = self._counted(cell)
        if not n or not cell.n or not cell.bucket_n:
            return tally
        mean = cell.x / cell.n
        scores = [
            score + total - mean * events
            for score, total, events in zip(tally.scores, cell.bucket_x, cell.bucket_n, strict=True)
        ]
        return Tally(
            tuple(scores),
            tally.information,
            tally.naive + max(0.0, cell.xx - cell.x * mean),
            tally.beyond + x - self._share * n,
            tally.beyond_information + self._share * n,
        )

    def _e_since(self, tally: Tally) -> float:
        inflation, freedom = inflated(tally)
        if freedom < FREEDOM_MIN or tally.beyond_information <= 0:
            return 0.0
        variance = tally.beyond_information * (1 - self._share) * inflation
        return e_of(
            normal_of_t(self._sign * tally.beyond / sqrt(variance), freedom), tally.beyond_information, variance
        )


class OneMean:
    """Judges a mean of independent units against a limit."""

    def __init__(self, limit: float, *, rising: bool) -> None:
        self._limit = limit
        self._sign = 1 if rising else -1
        self._reaches = reaches(rising)

    def start(self) -> MeansState:
        """Return the state before the first window."""
        return MeansState(mixtures.start())

    def absorb(self, state: MeansState, sums: Sequence[WindowSums]) -> MeansState:
        """Add one window; strata without a variance yet only teach it."""
        steps = [0.0] * len(self._reaches)
        levels = state.levels
        for part in sums:
            cell, known = part.candidate, level_of(levels, part.stratum)
            if cell.n and known is not None and known.n >= _LEARNT and known.variance > 0:
                error = sqrt(known.variance / cell.n)
                z = self._sign * clipped((cell.x / cell.n - self._limit) / error)
                step = tilted(z, abs(self._limit) / error, self._reaches)
                steps = [a + b for a, b in zip(steps, step, strict=True)]
            levels = learn(levels, part.stratum, cell, Cell())
        return MeansState(mixtures.grow(state.mixture, steps), levels)

    def log_e(self, state: MeansState) -> float:
        """Return log E."""
        return mixtures.log_e(state.mixture)


class Against:
    """Judges against a number with a test of two arms: the control becomes so many denominators at that level."""

    def __init__(self, test: Evidence[Any], limit: float) -> None:
        self._test = test
        self._control = Cell(_MANY, limit * _MANY)

    def start(self) -> object:
        """Return the state before the first window."""
        return self._test.start()

    def absorb(self, state: object, sums: Sequence[WindowSums]) -> object:
        """Add one window."""
        return self._test.absorb(state, [WindowSums(*part.place, part.candidate, self._control) for part in sums])

    def log_e(self, state: object) -> float:
        """Return log E."""
        return self._test.log_e(state)
