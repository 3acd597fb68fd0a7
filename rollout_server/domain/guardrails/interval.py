"""Estimate and always-valid interval of the difference between candidate and control.

For each value that the truth may have, the mixture of likelihoods over all values is an e-process against it; the
interval holds the values whose E has not reached 1/alpha (the mixture, inverted). It is right at every look at
once, with probability at least 1 - alpha, for one constant ratio. Values lie on a fixed grid of log ratios; what is
carried is one sum of log likelihoods per value, or for the families without a likelihood the sums of a normal
mixture.

A regression that began late is diluted in sums from the start, so the sums are noted every 60 windows, and a
degraded verdict shows the stretch since the note whose evidence against the limit is strongest. That choice is made
after the fact: approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rollout_server.domain.guardrails.data import WindowSums
from rollout_server.domain.guardrails.normal import boundary

ALPHA = 0.05
NOTE_EVERY = 60
NOTES_KEPT = 6

PRECISION = 25.0  # of the normal mixture over log ratios: effects around 20 % are found tightest

Sums = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """An estimate with its interval, on the scale of log ratios; `error` is its standard error."""

    estimate: float
    low: float
    high: float
    error: float


class Tracker(Protocol):
    """What is summed per window, and what can be said of sums."""

    size: int

    def terms(self, part: WindowSums, place: float | None) -> Sequence[float]:
        """Return what one window of one stratum adds; empty when it compares nobody.

        Args:
            part: the window.
            place: where earlier windows put the quantile, on the axis of bins; None unless the metric has one.
        """

    def span(self, sums: Sums) -> Span | None:
        """Return the estimate and interval of a stretch; None before there is one."""


@dataclass(frozen=True, slots=True)
class TrackState:
    """Sums since the start, and as they stood at the latest notes (window count, sums)."""

    sums: Sums
    windows: int = 0
    notes: tuple[tuple[int, Sums], ...] = ()


def start(tracker: Tracker) -> TrackState:
    """Return the state before the first window."""
    return TrackState((0.0,) * tracker.size)


def absorb(tracker: Tracker, state: TrackState, parts: Sequence[WindowSums], place: float | None = None) -> TrackState:
    """Add one window."""
    notes = state.notes
    if state.windows and state.windows % NOTE_EVERY == 0:
        notes = (*notes, (state.windows, state.sums))[-NOTES_KEPT:]
    sums = state.sums
    for part in parts:
        terms = tracker.terms(part, place)
        if terms:
            sums = tuple([a + b for a, b in zip(sums, terms, strict=True)])
    return TrackState(sums, state.windows + 1, notes)


def whole(tracker: Tracker, state: TrackState) -> Span | None:
    """Return what all windows say."""
    return tracker.span(state.sums)


def recent(tracker: Tracker, state: TrackState) -> tuple[Span, int] | None:
    """Return what the windows since the note before last say (60 to 120 of them), and how many they are."""
    began, sums = state.notes[-2] if len(state.notes) > 1 else (0, (0.0,) * len(state.sums))
    span = tracker.span(_since(state.sums, sums))
    return None if span is None else (span, state.windows - began)


def strongest(tracker: Tracker, state: TrackState, edge: float, *, rising: bool) -> Span | None:
    """Return what the stretch says whose estimate lies furthest beyond an edge, in standard errors."""
    sign = 1 if rising else -1
    spans = [tracker.span(state.sums), *(tracker.span(_since(state.sums, sums)) for _, sums in state.notes)]
    known = [span for span in spans if span is not None and span.error > 0]
    return max(known, key=lambda span: sign * (span.estimate - edge) / span.error, default=None)


def _since(sums: Sums, earlier: Sums) -> Sums:
    return tuple([a - b for a, b in zip(sums, earlier, strict=True)])


def around(estimate: float, error: float) -> Span:
    """Invert a two-sided normal mixture around an estimate with this standard error."""
    time = 1 / (error * error)
    reach = boundary(time, ALPHA, PRECISION) / time
    return Span(estimate, estimate - reach, estimate + reach, error)
