"""The same judgement, all windows of a run at once: numpy over windows, for the two families that most rows use.

Thousands of runs of 1 440 looks are then minutes, not hours. It is the judge's arithmetic and no other, so it is
held to it: `simulate` lets the real code judge every `CHECKED`-th run as well and stops when they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erfc, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.guardrails.worlds import WINDOWS, Run, Slice
from rollout_server.domain.guardrails import mixtures, rates
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import FREEDOM_MIN, NOTE_EVERY, NOTES_KEPT, SCALES, Clustered
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell
from rollout_server.domain.guardrails.evidence import Evidence
from rollout_server.domain.guardrails.levels import FADE
from rollout_server.domain.guardrails.rates import Rates

Floats = NDArray[np.float64]
_TAIL = -30.0


def log_e_of(test: Evidence[Any], bound: Bound) -> Callable[[Run], Floats] | None:
    """Return what gives log E after each window of a run; None for families that only the real code judges."""
    if type(test) is Rates:
        return lambda run: mixed(sum((rate_steps(part, bound) for part in run.slices), np.zeros(1)))
    if type(test) is Clustered and not bound.margin:
        return lambda run: clustered(run.slices, bound)
    return None


def rate_steps(part: Slice, bound: Bound) -> Floats:
    """Return the increments of `Rates` for each window and size of effect."""
    n_t, x_t = _column(part.candidate, "n"), _column(part.candidate, "x")
    n_c, x_c = _column(part.control, "n"), _column(part.control, "x")
    known_n, known_x = _known(n_t + n_c, x_t + x_c)
    exact = ((known_x > rates.SMALL * known_n) & (known_x < known_n))[:, None]
    ratios, edge = np.array(bound.alternatives), bound.ratio
    n_t, x_t, n_c, x_c = n_t[:, None], x_t[:, None], n_c[:, None], x_c[:, None]
    with np.errstate(all="ignore"):
        level = (known_x / known_n)[:, None]
        safe = _safe_2x2(n_t, x_t, n_c, x_c, ratios, edge, level)
        small = x_t * np.log(ratios / edge) - (x_t + x_c) * np.log((n_t * ratios + n_c) / (n_t * edge + n_c))
    return np.where((n_t > 0) & (n_c > 0), np.where(exact, safe, small), 0.0)


def mixed(steps: Floats) -> Floats:
    """Return log E of the mixture over effects and onsets, as `mixtures.grow` and `log_e` give it window by window."""
    grown = np.cumsum(steps, axis=0)
    before = grown - steps
    weights = np.log([mixtures.FROM_START, *map(mixtures.restart_weight, range(1, WINDOWS))])[:, None]
    weights = weights + np.where(np.arange(WINDOWS)[:, None] > 0, np.log(mixtures.LATER), 0.0)
    values = grown + np.logaddexp.accumulate(weights - before, axis=0)
    unspent = np.log([mixtures.unspent(window + 1) for window in range(WINDOWS)])
    return np.logaddexp(np.logaddexp.reduce(values + np.log(mixtures.PRIOR), axis=1), unspent)


def clustered(slices: Sequence[Slice], bound: Bound) -> Floats:
    """Return log E of `Clustered`."""
    parts = [_scores(part, bound) for part in slices]
    scores = np.cumsum(sum(score for score, _ in parts), axis=0)
    information = np.cumsum(sum(gained for _, gained in parts))
    sign = 1 if bound.rising else -1
    at = np.arange(WINDOWS)
    logs = [log(mixtures.FROM_START) + _e_since(scores, information, sign)]
    logs.append(np.log([mixtures.unspent(window // NOTE_EVERY * NOTE_EVERY + 1) for window in range(WINDOWS)]))
    for note in range(NOTE_EVERY, WINDOWS, NOTE_EVERY):
        weight = mixtures.unspent(note - NOTE_EVERY + 1) - mixtures.unspent(note + 1)
        since = _e_since(scores - scores[note - 1], information - information[note - 1], sign)
        is_kept = (at >= note) & (at < note + NOTE_EVERY * NOTES_KEPT)
        logs.append(np.where(is_kept, log(weight) + since, -np.inf))
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


def _column(cells: Sequence[Cell], name: str) -> Floats:
    return np.array([getattr(cell, name) for cell in cells], dtype=float)


def _known(n: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Return what `levels.learn` knows before each window."""
    known_n, known_x = np.zeros(WINDOWS), np.zeros(WINDOWS)
    all_n = all_x = 0.0
    for window, (more_n, more_x) in enumerate(zip(n.tolist(), x.tolist(), strict=True)):
        known_n[window], known_x[window] = all_n, all_x
        if more_n:
            all_n, all_x = FADE * all_n + more_n, FADE * all_x + more_x
    return known_n, known_x


def _safe_2x2(n_t: Floats, x_t: Floats, n_c: Floats, x_c: Floats, ratio: Floats, bound: float, level: Floats) -> Floats:
    room = 1 - rates.CAP * (1 - level)
    theta_c = np.minimum(room, level * (n_t + n_c) / (n_t * ratio + n_c))
    theta_t = np.minimum(room, ratio * theta_c)
    a = bound * (n_t + n_c)
    b = n_t * (bound + theta_t) + n_c * (1 + bound * theta_c)
    c = n_t * theta_t + n_c * theta_c
    q_c = 2 * c / (b + np.sqrt(np.maximum(0.0, b * b - 4 * a * c)))
    q_t = bound * q_c
    is_told = ((theta_t - bound * theta_c) * (ratio - bound) > 0) & (q_c > 0) & (q_c < 1) & (q_t > 0) & (q_t < 1)
    steps = (
        x_t * np.log(theta_t / q_t)
        + (n_t - x_t) * np.log((1 - theta_t) / (1 - q_t))
        + x_c * np.log(theta_c / q_c)
        + (n_c - x_c) * np.log((1 - theta_c) / (1 - q_c))
    )
    return np.where(is_told, steps, 0.0)


def _scores(part: Slice, bound: Bound) -> tuple[Floats, Floats]:
    n_t, x_t = _column(part.candidate, "n"), _column(part.candidate, "x")
    n_c, x_c = _column(part.control, "n"), _column(part.control, "x")
    with np.errstate(all="ignore"):
        base = n_t * bound.ratio + n_c
        q = n_t * bound.ratio / base
        level = (x_t + x_c) / base
        scores = (
            (1 - q)[:, None] * _column(part.candidate, "bucket_x")
            - ((1 - q) * bound.ratio * level)[:, None] * _column(part.candidate, "bucket_n")
            - q[:, None] * _column(part.control, "bucket_x")
            + (q * level)[:, None] * _column(part.control, "bucket_n")
        )
    told = (n_t > 0) & (n_c > 0)
    return np.where(told[:, None], scores, 0.0), np.where(told, (x_t + x_c) * q * (1 - q), 0.0)


def _e_since(scores: Floats, information: Floats, sign: int) -> Floats:
    total = scores.sum(axis=1)
    squares = (scores - total[:, None] / HASH_BUCKETS) ** 2
    second = squares.sum(axis=1)
    with np.errstate(all="ignore"):
        freedom = np.minimum(HASH_BUCKETS - 1, 3 * second**2 / (squares**2).sum(axis=1) - 1)
        error = np.sqrt(second * HASH_BUCKETS / (HASH_BUCKETS - 1))
        t = sign * total / error
        z = np.sign(t) * (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t * t / freedom))
        whole = np.logaddexp.reduce(
            [log(weight) + _one_sided(z, (scale * information / error) ** -2) for weight, scale in SCALES]
        )
    return np.where((second > 0) & (freedom >= FREEDOM_MIN) & (information > 0), whole, 0.0)


def _one_sided(s: Floats, rho: Floats) -> Floats:
    total = 1 + rho
    z = s / np.sqrt(total)
    return np.asarray(log(2) + 0.5 * np.log(rho / total) + z * z / 2 + _log_cdf(z))


def _log_cdf(z: Floats) -> Floats:
    near = np.array([0.5 * erfc(-value / 2**0.5) if value > _TAIL else 1.0 for value in z.tolist()])
    return np.where(z > _TAIL, np.log(near), -0.5 * z * z - np.log(np.abs(z)) - 0.9189385332046727 - 1 / (z * z))
