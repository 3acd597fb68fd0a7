"""Seeded worlds: what an instance-fleet would report of one run, window by window.

Each world is a function from a random generator to a `Run`. Truth is set here and nowhere read by the judge. Units
are drawn per arm and window; clustered worlds draw users first (activity and habit stay with a user for the whole
run, and so does the arm), then their events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rollout_sdk.engine.log_histogram import BINS_PER_DOUBLING
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, WindowSums

WINDOWS = 1440
SESSION = 30  # windows that a user stays, and after which reach may change
Floats = NDArray[np.float64]
Shape = Callable[[Generator], Floats]
RAMP = (0.01, 0.05, 0.1, 0.25, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Slice:
    """Sums of one stratum: arrays by window (and by hash bucket, or value, where the world has them).

    Attributes:
        reach: the share exposed, by window.
        ratio: the true ratio of the candidate's level, by window.
        level: the true level of the control, by window.
    """

    stratum: str
    reach: Floats
    ratio: Floats
    level: Floats
    candidate: list[Cell]
    control: list[Cell]


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        onset: first window of the regression; 0 where it begins with the run.
    """

    slices: Sequence[Slice]
    onset: int = 0

    def windows(self) -> Iterator[list[WindowSums]]:
        """Yield the sums of each window, all strata."""
        allocations = [np.cumsum(np.diff(part.reach, prepend=part.reach[0]) != 0) for part in self.slices]
        for window in range(WINDOWS):
            yield [
                WindowSums(
                    1,
                    int(allocation[window]) + 1,
                    int(part.reach[window] * 1_000_000),
                    part.stratum,
                    "metric",
                    window,
                    part.candidate[window],
                    part.control[window],
                )
                for part, allocation in zip(self.slices, allocations, strict=True)
            ]


def flat(value: float) -> Floats:
    """The same in every window."""
    return np.full(WINDOWS, value)


def ramp() -> Floats:
    """Reach in six stages, with steps inside the later ones."""
    stages = np.repeat(RAMP, WINDOWS // len(RAMP))
    inside = np.tile(np.repeat([0.4, 0.6, 0.8, 1.0], WINDOWS // len(RAMP) // 4), len(RAMP))
    return np.asarray(stages * np.where(stages >= RAMP[3], inside, 1.0))


def cycle(depth: float) -> Floats:
    """A day: from 1 - depth to 1 + depth."""
    return np.asarray(1 + depth * np.sin(np.arange(WINDOWS) * 2 * np.pi / WINDOWS))


def outages(rng: Generator, factor: float = 10.0) -> Floats:
    """Shared outages: five times a run, for 5 to 60 windows, the level is up to `factor` times as high."""
    level = flat(1.0)
    for start in rng.integers(0, WINDOWS, 5):
        level[start : start + rng.integers(5, 60)] *= rng.uniform(2, factor)
    return level


def late(rng: Generator, ratio: float) -> tuple[Floats, int]:
    """A regression that begins at any window from 120 to 1 080."""
    onset = int(rng.integers(120, 1080))
    return np.where(np.arange(WINDOWS) < onset, 1.0, ratio), onset


@dataclass(frozen=True, slots=True)
class Traffic:
    """Independent units of one stratum, by window: how many, what share exposed, how many fail, and how much worse."""

    per_window: Floats = field(default_factory=lambda: flat(400))
    reach: Floats = field(default_factory=lambda: flat(0.5))
    level: Floats = field(default_factory=lambda: flat(0.02))
    ratio: Floats = field(default_factory=lambda: flat(1.0))
    stratum: str = ""


def units(rng: Generator, traffic: Traffic) -> Slice:
    """Independent units, each failing once or not."""
    reach, level, ratio = traffic.reach, traffic.level, traffic.ratio
    n_t, n_c = rng.poisson(traffic.per_window * reach), rng.poisson(traffic.per_window * (1 - reach))
    x_t = rng.binomial(n_t, np.minimum(1.0, level * ratio))
    x_c = rng.binomial(n_c, np.minimum(1.0, level))
    return Slice(traffic.stratum, reach, ratio, level, _plain(n_t, x_t), _plain(n_c, x_c))


def values(
    rng: Generator,
    *,
    per_window: float,
    reach: Floats,
    level: Floats,
    ratio: Floats,
    sigma: float = 0.8,
    slow_share: float = 0.0,
    slow_factor: float = 3.0,
) -> Slice:
    """One log-normal value per unit; a share of the candidate's may be slower by a factor (a tail)."""
    arms = []
    for share, change, slow in ((reach, ratio, slow_share), (1 - reach, flat(1.0), 0.0)):
        counts = rng.poisson(per_window * share)
        place = np.repeat(np.arange(WINDOWS), counts)
        drawn = np.repeat(level * change, counts) * np.exp(sigma * rng.standard_normal(len(place)))
        if slow:
            drawn = np.where(rng.random(len(place)) < slow, drawn * slow_factor, drawn)
        arms.append(_valued(place, drawn))
    return Slice("", reach, ratio, level, arms[0], arms[1])


@dataclass(frozen=True, slots=True)
class Users:
    """Users whose habits last.

    Attributes:
        count: of all users; `heavy` of the log-normal spread of activity; `habit` of the log-normal spread of how often
            a user's events fail; `session` the share of windows in which a user is there.
    """

    count: int = 3000
    per_window: float = 0.5
    heavy: float = 1.2
    habit: float = 1.0
    session: float = 0.2


def clustered(
    rng: Generator, users: Users, *, reach: Floats, level: Floats, ratio: Floats, value_sigma: float = 0.0
) -> Slice:
    """Events of users: sticky arms, skewed activity, habits and sessions.

    With `value_sigma` the events carry log-normal values whose median is the user's own; else they fail or do not.
    """
    activity = users.per_window * rng.lognormal(-0.5 * users.heavy**2, users.heavy, users.count) / users.session
    habit = rng.lognormal(-0.5 * users.habit**2, users.habit, users.count)
    bucket, place = rng.random(users.count), rng.integers(0, HASH_BUCKETS, users.count)
    there = rng.random((users.count, WINDOWS // SESSION)) < users.session
    exposed = bucket[:, None] < reach[None, ::SESSION]
    classes = np.zeros((HASH_BUCKETS, users.count))
    classes[place, np.arange(users.count)] = 1.0
    arms = []
    for member, change in ((exposed, ratio), (~exposed, flat(1.0))):
        present = there & member
        if value_sigma:
            present = np.repeat(present, SESSION, axis=1)
            arms.append(_user_values(rng, present, activity, habit, place, level * change, value_sigma))
            continue
        # Poisson events of the users of one class are Poisson together, failing or not.
        events = np.repeat(classes @ (activity[:, None] * present), SESSION, axis=1)
        failing = np.repeat(classes @ ((activity * habit)[:, None] * present), SESSION, axis=1) * level * change
        failing = np.minimum(failing, events)
        x = rng.poisson(failing)
        arms.append(_bucketed(x + rng.poisson(events - failing), x, x))
    return Slice("", reach, ratio, level, arms[0], arms[1])


def without_buckets(part: Slice) -> Slice:
    """The same sums as two counters per arm give them."""
    bare = [[Cell(cell.n, cell.x, cell.x) for cell in arm] for arm in (part.candidate, part.control)]
    return Slice(part.stratum, part.reach, part.ratio, part.level, bare[0], bare[1])


def thinned(rng: Generator, part: Slice, missing: float) -> Slice:
    """Reports that never came, or after the watermark: whole windows, parts of windows, at times one arm alone."""
    kept = []
    whole = rng.random(WINDOWS) < missing / 2
    for arm in (part.candidate, part.control):
        share = np.where(rng.random(WINDOWS) < missing, rng.random(WINDOWS), 1.0)
        share[whole] = 0.0
        n = np.array([cell.n for cell in arm])
        x = np.array([cell.x for cell in arm]).astype(int)
        x_kept = rng.binomial(x, share)
        kept.append(_plain(x_kept + rng.binomial(n - x, share), x_kept))
    return Slice(part.stratum, part.reach, part.ratio, part.level, kept[0], kept[1])


def _plain(n: NDArray[np.int64], x: NDArray[np.int64]) -> list[Cell]:
    return [Cell(int(a), float(b), float(b)) for a, b in zip(n, x, strict=True)]


def _bucketed(n: NDArray[np.int64], x: Floats | NDArray[np.int64], xx: Floats | NDArray[np.int64]) -> list[Cell]:
    totals = zip(n.sum(axis=0).tolist(), x.sum(axis=0).tolist(), xx.sum(axis=0).tolist(), strict=True)
    rows_n, rows_x = n.T.tolist(), x.T.tolist()
    return [
        Cell(a, float(b), float(c), (), tuple(row_n), tuple(row_x))
        for (a, b, c), row_n, row_x in zip(totals, rows_n, rows_x, strict=True)
    ]


def _histograms(place: NDArray[np.int64], drawn: Floats) -> list[tuple[tuple[int, int], ...]]:
    bins = np.floor(np.log2(drawn) * BINS_PER_DOUBLING).astype(int)
    out: list[tuple[tuple[int, int], ...]] = []
    edges = np.searchsorted(place, np.arange(WINDOWS + 1))
    for window in range(WINDOWS):
        index, counts = np.unique(bins[edges[window] : edges[window + 1]], return_counts=True)
        out.append(tuple(zip(index.tolist(), counts.tolist(), strict=True)))
    return out


def _valued(place: NDArray[np.int64], drawn: Floats) -> list[Cell]:
    n = np.bincount(place, minlength=WINDOWS).tolist()
    x = np.bincount(place, drawn, WINDOWS).tolist()
    xx = np.bincount(place, drawn**2, WINDOWS).tolist()
    return [Cell(*sums) for sums in zip(n, x, xx, _histograms(place, drawn), strict=True)]


def _user_values(
    rng: Generator,
    present: NDArray[np.bool_],
    activity: Floats,
    habit: Floats,
    place: NDArray[np.int64],
    level: Floats,
    sigma: float,
) -> list[Cell]:
    who, when = np.nonzero(present)
    counts = rng.poisson(activity[who])
    user, window = np.repeat(who, counts), np.repeat(when, counts)
    order = np.argsort(window, kind="stable")
    user, window = user[order], window[order]
    drawn = level[window] * habit[user] * np.exp(sigma * rng.standard_normal(len(user)))
    cell = place[user] * WINDOWS + window
    size = HASH_BUCKETS * WINDOWS
    n = np.bincount(cell, minlength=size).reshape(HASH_BUCKETS, WINDOWS)
    x = np.bincount(cell, drawn, size).reshape(HASH_BUCKETS, WINDOWS)
    xx = np.bincount(cell, drawn**2, size).reshape(HASH_BUCKETS, WINDOWS)
    return [
        Cell(c.n, c.x, c.xx, histogram, c.bucket_n, c.bucket_x)
        for c, histogram in zip(_bucketed(n, x, xx), _histograms(window, drawn), strict=True)
    ]
