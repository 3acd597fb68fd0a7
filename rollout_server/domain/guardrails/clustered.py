"""Events clustered by unit (`per: event`): approximate.

Requests of one user resemble each other, so counting them as independent is false several times too often. Units
are dealt into 64 classes by a hash, and the classes are independent whatever happens inside them. Every window of
every stratum gives each class b a score of candidate against r0 times control (the efficient score of a log ratio,
so nothing is pooled):

    q = n_T r0 / (n_T r0 + n_C),   level = (x_T + x_C) / (n_T r0 + n_C)
    g_b = (1 - q) (x_Tb - r0 level n_Tb) - q (x_Cb - level n_Cb),   information = (x_T + x_C) q (1 - q)

Scores add over windows, strata, allocations and arms, so a user who stays counts as one user however long. With U
the sum of all G_b and V = 64/63 sum (G_b - U/64)^2, U / sqrt(V) is about Student's t; its degrees of freedom follow
from how evenly the classes contribute (Satterthwaite). As a normal deviate z it enters a one-sided normal mixture
over the same effects as elsewhere: a log ratio theta beyond the limit moves z by k = theta * information / sqrt(V).

Onsets: the sums are noted every 120 windows, and evidence since each note is mixed in with the weight of the
restarts that it stands for. The eight latest notes are kept; a dropped one counts 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import HASH_BUCKETS, WindowSums
from rollout_server.domain.guardrails.mixtures import FROM_START, unspent
from rollout_server.domain.guardrails.normal import normal_of_t, one_sided

NOTE_EVERY = 120  # windows
NOTES_KEPT = 8
SCALES = ((0.75, 0.4), (0.25, 1.5))  # weights and half-normal scales of the prior of a log ratio
FREEDOM_MIN = 5.0  # with evidence from fewer classes nothing is said
_FULL_FREEDOM = HASH_BUCKETS - 1.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums of scores.

    Attributes:
        scores: G_b by hash bucket.
        information: on a log ratio.
        naive: variance that U would have if events were independent (quantiles need it).
        beyond, beyond_information: score and information of counts beyond a cut (quantiles).
    """

    scores: tuple[float, ...] = (0.0,) * HASH_BUCKETS
    information: float = 0.0
    naive: float = 0.0
    beyond: float = 0.0
    beyond_information: float = 0.0

    def __sub__(self, earlier: Tally) -> Tally:
        return Tally(
            tuple([a - b for a, b in zip(self.scores, earlier.scores, strict=True)]),
            self.information - earlier.information,
            self.naive - earlier.naive,
            self.beyond - earlier.beyond,
            self.beyond_information - earlier.beyond_information,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """The sums as they stood before this window."""

    window: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class ClusteredState:
    """The sums, and those noted earlier."""

    tally: Tally = Tally()
    notes: tuple[Note, ...] = ()
    windows: int = 0


def scored(tally: Tally, part: WindowSums, bound: Bound) -> Tally:
    """Add one window of one stratum; both arms must have events and sums by hash bucket."""
    candidate, control = part.candidate, part.control
    n_t, n_c = candidate.n, control.n
    if not (n_t and n_c and candidate.bucket_n and control.bucket_n):
        return tally
    base = n_t * bound.ratio + n_c
    q = n_t * bound.ratio / base
    p = 1 - q
    both = candidate.x - bound.margin * n_t + control.x
    level = both / base
    of_t = p * (bound.ratio * level + bound.margin)
    of_c = q * level
    scores = tuple(
        [
            score + p * x_t - of_t * m_t - q * x_c + of_c * m_c
            for score, x_t, m_t, x_c, m_c in zip(
                tally.scores, candidate.bucket_x, candidate.bucket_n, control.bucket_x, control.bucket_n, strict=True
            )
        ]
    )
    naive = p * p * (candidate.xx - candidate.x**2 / n_t) + q * q * (control.xx - control.x**2 / n_c)
    return Tally(
        scores,
        tally.information + both * q * p,
        tally.naive + max(0.0, naive),
        tally.beyond,
        tally.beyond_information,
    )


def spread(scores: Sequence[float]) -> tuple[float, float, float]:
    """Return the sum of scores, its variance, and the degrees of freedom of that variance."""
    total = sum(scores)
    middle = total / HASH_BUCKETS
    squares = [(score - middle) ** 2 for score in scores]
    second = sum(squares)
    if not second > 0:
        return total, 0.0, 0.0
    fourth = sum([square * square for square in squares])
    freedom = min(_FULL_FREEDOM, 3 * second * second / fourth - 1)
    return total, second * HASH_BUCKETS / (HASH_BUCKETS - 1), freedom


def inflated(tally: Tally) -> tuple[float, float]:
    """Return how many times the variance of independent events the classes show (at least 1), and its freedom."""
    _, variance, freedom = spread(tally.scores)
    return (max(1.0, variance / tally.naive), freedom) if tally.naive > 0 else (1.0, 0.0)


def e_of(z: float, information: float, variance: float) -> float:
    """Return log E of a normal deviate: one-sided normal mixtures over the prior of effects."""
    logs = []
    for weight, scale in SCALES:
        k = scale * information / sqrt(variance)
        logs.append(log(weight) + (one_sided(z, 1.0, 1 / (k * k)) if k > 0 else 0.0))
    high = max(logs)
    return high + log(sum(exp(value - high) for value in logs))


class Clustered:
    """Judges the ratio (or, with a margin, the difference) of two levels of clustered events."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._sign = 1 if bound.rising else -1

    def start(self) -> ClusteredState:
        """Return the state before the first window."""
        return ClusteredState()

    def absorb(self, state: ClusteredState, sums: Sequence[WindowSums]) -> ClusteredState:
        """Add one window."""
        tally = state.tally
        for part in sums:
            tally = self.score(tally, part)
        return advance(state, tally)

    def score(self, tally: Tally, part: WindowSums) -> Tally:
        """Add one window of one stratum."""
        return scored(tally, part, self._bound)

    def log_e(self, state: ClusteredState) -> float:
        """Return log E over the onsets that are kept."""
        return over_onsets(state, self.e_since)

    def e_since(self, tally: Tally) -> float:
        """Return log E of the sums since one onset."""
        total, variance, freedom = spread(tally.scores)
        if variance <= 0 or freedom < FREEDOM_MIN or tally.information <= 0:
            return 0.0
        return e_of(normal_of_t(self._sign * total / sqrt(variance), freedom), tally.information, variance)


def advance(state: ClusteredState, tally: Tally) -> ClusteredState:
    """Return the state after a window that led to these sums."""
    windows, notes = state.windows, state.notes
    if windows and windows % NOTE_EVERY == 0:
        notes = (*notes, Note(windows, state.tally))[-NOTES_KEPT:]
    return ClusteredState(tally, notes, windows + 1)


def over_onsets(state: ClusteredState, e_since: Callable[[Tally], float]) -> float:
    """Return log E mixed over the start and the notes kept; onsets to come count 1."""
    noted = max(0, state.windows - 1) // NOTE_EVERY * NOTE_EVERY
    logs = [log(FROM_START) + e_since(state.tally), log(unspent(noted + 1))]
    for note in state.notes:
        weight = unspent(note.window - NOTE_EVERY + 1) - unspent(note.window + 1)
        logs.append(log(weight) + e_since(state.tally - note.tally))
    high = max(logs)
    return high + log(sum([exp(value - high) for value in logs]))
