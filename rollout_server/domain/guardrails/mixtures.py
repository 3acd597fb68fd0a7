"""Mixtures of e-processes: over the size of an effect and over its onset.

An e-process E starts at 1, is never negative, and its expectation is at most 1 under the null hypothesis at any
stopping time; then P(E ever reaches 1/alpha) <= alpha (Ville 1939), however often one looks. A weighted mean of
e-processes is an e-process, so the size of an effect need not be known: E = sum_i prior_i E_i over a grid of sizes. Nor
need its onset: a share of the prior starts at the first window, the rest is spread over restarts, each worth 1 until it
starts. They are spread evenly, one before each window (docs/adr/0012 says what restarts 30 windows apart would cost).

For each size only the sum over the onsets that have started is carried, because all of them grow by the same factor:

    V_i <- (V_i + weight of the restart due now) * exp(increment_i)
    E    = sum_i prior_i V_i + weight of all restarts yet to come
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

_SIZES = 20
_SMALLEST = 0.04
_LARGEST = 4.0

FROM_START = 0.7  # share of the prior on "it was so from the first window"
DAY = 1440  # windows whose restarts share the first part of what is left, evenly
FIRST_DAY = 0.9  # that part; later days share the rest, the d-th 1 / (d (d - 1)) of it

_EXPONENT_MAX = 600.0
_VALUE_MAX = 1e250  # evidence beyond it says nothing new, and floats end at 1e308


def _half_normal(size: float, scale: float) -> float:
    return exp(-0.5 * (size / scale) ** 2) / scale


def _effects() -> tuple[float, ...]:
    factor = (_LARGEST / _SMALLEST) ** (1 / (_SIZES - 1))
    return tuple(_SMALLEST * factor**step for step in range(_SIZES))


def _prior(sizes: Sequence[float]) -> tuple[float, ...]:
    weights = [size * (0.75 * _half_normal(size, 0.4) + 0.25 * _half_normal(size, 1.5)) for size in sizes]
    return tuple(weight / sum(weights) for weight in weights)


EFFECTS = _effects()
"""Sizes of effects beyond the limit, as distances of log rate ratios; geometric, so weights are size times density."""

PRIOR = _prior(EFFECTS)
"""Sums to 1. Most releases that hurt move a metric by tens of per cent, some by factors."""


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


def grow(mixture: Mixture, increments: Sequence[float]) -> Mixture:
    """Add one window.

    Args:
        mixture: evidence before it.
        increments: of log E, for each size.
    """
    windows = mixture.windows
    due = restart_weight(windows) if windows else 0.0
    values = tuple(
        [
            min(_VALUE_MAX, (value + due) * exp(min(_EXPONENT_MAX, step)))
            for value, step in zip(mixture.values, increments, strict=True)
        ]
    )
    return Mixture(values, windows + 1)


def log_e(mixture: Mixture, prior: Sequence[float] = PRIOR) -> float:
    """Return log E."""
    begun = sum([weight * value for weight, value in zip(prior, mixture.values, strict=True)])
    return log(begun + unspent(mixture.windows))
