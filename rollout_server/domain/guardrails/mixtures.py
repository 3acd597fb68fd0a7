"""Mixtures of e-processes: over the size of an effect and over its onset.

An e-process E starts at 1, is never negative, and its expectation is at most 1 under the null hypothesis at any
stopping time; then P(E ever reaches 1/alpha) <= alpha (Ville 1939), however often one looks. A weighted mean of
e-processes is an e-process, so the size of an effect need not be known: E = sum_i prior_i E_i over a grid of sizes. Nor
need its onset: a share of the prior starts at the first window, the rest is spread over restarts, each worth 1 until it
starts. They are spread evenly, one before each window (docs/adr/0012 says what restarts 30 windows apart would cost).

For each size only the sum over the onsets that have started is carried, because all of them grow by the same factor:

    V_i <- (V_i + weight of the restart due now * late_i / prior_i) * exp(increment_i)
    E    = sum_i prior_i V_i + weight of all restarts yet to come

where late_i is the prior of sizes after a restart. Both priors and the weights of the restarts sum to 1, so E is a
weighted mean whatever they are: they move delays, never alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

_SIZES = 20
_SMALLEST = 0.04
_LARGEST = 4.0
_COMMON = (0.07, 1.2)  # sizes between are alike in prior weight; beyond, it falls off with the fourth power

FROM_START = 0.64  # share of the prior on "it was so from the first window"
DAY = 1440  # windows whose restarts share the first part of what is left, evenly
FIRST_DAY = 0.95  # that part; later days share the rest, the d-th 1 / (d (d - 1)) of it

_EXPONENT_MAX = 600.0
_VALUE_MAX = 1e250  # evidence beyond it says nothing new, and floats end at 1e308


def _effects() -> tuple[float, ...]:
    factor = (_LARGEST / _SMALLEST) ** (1 / (_SIZES - 1))
    return tuple(_SMALLEST * factor**step for step in range(_SIZES))


def _shares(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(weight / sum(weights) for weight in weights)


def _prior(sizes: Sequence[float]) -> tuple[float, ...]:
    low, high = _COMMON
    return _shares([1 / (1 + (low / size) ** 4) / (1 + (size / high) ** 4) for size in sizes])


EFFECTS = _effects()
"""Sizes of effects beyond the limit, as distances of log rate ratios; geometric, so weights are size times density."""

PRIOR = _prior(EFFECTS)
"""Sums to 1. Even over log size from some per cent to a factor of three, so that none of them waits for the others."""

_LATE_PRIOR = _shares([weight * sqrt(size) for weight, size in zip(PRIOR, EFFECTS, strict=True)])
LATER = tuple(late / weight for late, weight in zip(_LATE_PRIOR, PRIOR, strict=True))
"""late_i / prior_i. The larger an effect, the more onsets can be told apart, and the more its onset costs to find."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Evidence so far.

    Attributes:
        values: V_i for each size of the grid.
        windows: how many windows it has seen.
    """

    values: tuple[float, ...]
    windows: int = 0


def start(sizes: int = _SIZES) -> Mixture:
    """Return the evidence before any window: E is 1."""
    return Mixture((FROM_START,) * sizes)


def restart_weight(window: int) -> float:
    """Return the prior weight of the restart before window 1, 2, 3, ...; with `FROM_START` they sum to 1."""
    day = (window - 1) // DAY
    late = 1 - FROM_START
    share = FIRST_DAY if day == 0 else (1 - FIRST_DAY) / (day * (day + 1))
    return late * share / DAY


def unspent(windows: int) -> float:
    """Return the weight of the restarts that have not begun once so many windows are added."""
    begun = max(0, windows - 1)
    day, rest = divmod(begun, DAY)
    late = 1 - FROM_START
    left = late if day == 0 else late * (1 - FIRST_DAY) / day
    return left - rest * restart_weight(begun + 1)


def grow(mixture: Mixture, increments: Sequence[float], later: Sequence[float] = LATER) -> Mixture:
    """Add one window.

    Args:
        mixture: evidence before it.
        increments: of log E, for each size.
        later: weight of each size after a restart over its weight from the start; 1 for each where `log_e` gets a
            prior of its own.
    """
    windows = mixture.windows
    due = restart_weight(windows) if windows else 0.0
    values = tuple(
        [
            min(_VALUE_MAX, (value + due * weight) * exp(min(_EXPONENT_MAX, step)))
            for value, step, weight in zip(mixture.values, increments, later, strict=True)
        ]
    )
    return Mixture(values, windows + 1)


def log_e(mixture: Mixture, prior: Sequence[float] = PRIOR) -> float:
    """Return log E."""
    begun = sum([weight * value for weight, value in zip(prior, mixture.values, strict=True)])
    return log(begun + unspent(mixture.windows))
