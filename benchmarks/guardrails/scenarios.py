"""The scenarios: nothing wrong, in every way that fools a test; and regressions, in every way that hides one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from benchmarks.guardrails.worlds import (
    WINDOWS,
    Run,
    Traffic,
    Users,
    clustered,
    cycle,
    flat,
    late,
    outages,
    ramp,
    thinned,
    units,
    values,
    without_buckets,
)
from rollout_server.domain.guardrails.spec import Bad, Measures, MetricSpec, Per, RelativeLimit, Source

ERRORS = MetricSpec(Measures.PROPORTION)
CONVERSION = MetricSpec(Measures.PROPORTION, bad=Bad.LOW)
REQUESTS = MetricSpec(Measures.PROPORTION, Per.EVENT)
BASKET = MetricSpec(Measures.MEAN)
P95 = MetricSpec(Measures.QUANTILE, quantile_ppm=950_000)
P95_REQUESTS = MetricSpec(Measures.QUANTILE, Per.EVENT, quantile_ppm=950_000)
MEAN_REQUESTS = MetricSpec(Measures.MEAN, Per.EVENT)
COUNTERS = MetricSpec(Measures.PROPORTION, Per.EVENT, source=Source.PROMETHEUS, numerator="a", denominator="b")
ANY = RelativeLimit(0)  # the hardest: being no better is already the edge of the null
TWENTY = RelativeLimit(200_000)
TENTH = flat(0.1)
USERS = Users()
FEW = Users(count=800)
MANY = Users(count=20_000, per_window=0.1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of a table.

    Attributes:
        make: a run from a generator.
        exact: the family promises alpha exactly.
        in_target: the row counts towards the targets of `docs/guardrails.md`.
        worth: times the full number of runs: fewer for slow worlds, more for rows that stand at their target.
        ceiling: mean delay over the floor at most; None where no floor is defined.
    """

    name: str
    metric: MetricSpec
    make: Callable[[Generator], Run]
    limit: RelativeLimit = ANY
    exact: bool = True
    in_target: bool = True
    worth: float = 1.0
    ceiling: float | None = None


def _one(traffic: Traffic) -> Callable[[Generator], Run]:
    return lambda rng: Run([units(rng, traffic)])


def _outages(rng: Generator) -> Run:
    return Run([units(rng, Traffic(level=0.02 * outages(rng)))])


def _everything(rng: Generator) -> Run:
    return Run([units(rng, Traffic(400 * cycle(0.7), ramp(), 0.02 * outages(rng)))])


def _strata(rng: Generator) -> Run:
    # Pilots have habits of their own and a reach of their own; both change during the run.
    reaches = (0.5, 0.9, 0.1, 0.02, 0.3, 0.7)
    levels = (0.2, 0.005, 0.05, 0.4, 0.001, 0.02)
    sizes = (20, 200, 50, 10, 300, 100)
    return Run(
        [
            units(
                rng,
                Traffic(
                    size * cycle(0.5),
                    np.where(np.arange(WINDOWS) < rng.integers(200, 1200), reach / 3, reach),
                    level * outages(rng, 2.0),
                    stratum=f"tenant-{place}",
                ),
            )
            for place, (reach, level, size) in enumerate(zip(reaches, levels, sizes, strict=True))
        ]
    )


def _missing(rng: Generator) -> Run:
    return Run([thinned(rng, units(rng, Traffic(level=0.02 * outages(rng))), 0.3)])


def _late(ratio: float, traffic: Traffic | None = None) -> Callable[[Generator], Run]:
    usual = traffic or Traffic(reach=TENTH)

    def make(rng: Generator) -> Run:
        ratios, onset = late(rng, ratio)
        return Run([units(rng, replace(usual, ratio=ratios))], onset)

    return make


def _values(**world: float) -> Callable[[Generator], Run]:
    def make(rng: Generator) -> Run:
        ratio, reach, level = world.get("ratio", 1.0), world.get("reach", 0.5), outages(rng, 3.0)
        rest = {key: value for key, value in world.items() if key not in {"ratio", "reach"}}
        return Run([values(rng, per_window=60, reach=flat(reach), level=0.1 * level, ratio=flat(ratio), **rest)])

    return make


def _users(reach: object, ratio: float = 1.0, users: Users = USERS, sigma: float = 0.0) -> Callable[[Generator], Run]:
    shares = ramp() if reach == "ramp" else flat(float(str(reach)))
    level = 0.1 if sigma else 0.02

    def make(rng: Generator) -> Run:
        return Run(
            [clustered(rng, users, reach=shares, level=level * outages(rng, 3.0), ratio=flat(ratio), value_sigma=sigma)]
        )

    return make


def _counters(rng: Generator) -> Run:
    bursts = Users(habit=0.0, heavy=0.0)
    return Run([without_buckets(clustered(rng, bursts, reach=flat(0.5), level=flat(0.02), ratio=flat(1.0)))])


def _sticky_counters(rng: Generator) -> Run:
    return Run([without_buckets(clustered(rng, USERS, reach=flat(0.5), level=flat(0.02), ratio=flat(1.0)))])


NOTHING_WRONG = (
    Scenario("steady, 2 %", ERRORS, _one(Traffic())),
    Scenario("steady, 10 % exposed", ERRORS, _one(Traffic(reach=TENTH))),
    Scenario("shared outages (level up to x10)", ERRORS, _outages),
    Scenario("ramp, daily cycle, outages", ERRORS, _everything),
    Scenario("unequal strata and reach", ERRORS, _strata),
    Scenario("late and missing reports", ERRORS, _missing),
    Scenario("conversion 30 %, low is bad", CONVERSION, _one(Traffic(level=flat(0.3), per_window=flat(100)))),
    Scenario("conversion, cycle and ramp", CONVERSION, _one(Traffic(level=0.3 * cycle(0.5), reach=ramp()))),
    Scenario("p95 per unit, outages", P95, _values()),
    Scenario("mean per unit, heavy tail", BASKET, _values(sigma=1.5), exact=False),
    Scenario("mean per unit, 5 % exposed", BASKET, _values(sigma=1.0, reach=0.05), exact=False),
    Scenario("clustered users, 50 %", REQUESTS, _users(0.5), exact=False),
    Scenario("clustered users, 10 %", REQUESTS, _users(0.1), exact=False),
    Scenario("clustered users, ramp", REQUESTS, _users("ramp"), exact=False),
    Scenario("clustered mean latency", MEAN_REQUESTS, _users(0.5, users=FEW, sigma=0.5), exact=False, worth=0.5),
    Scenario("clustered p95, limit 0", P95_REQUESTS, _users(0.5, users=FEW, sigma=0.5), exact=False, worth=0.5),
    Scenario("counters, sessions only", COUNTERS, _counters, exact=False, worth=0.5),
    Scenario("counters, users who stay *", COUNTERS, _sticky_counters, exact=False, in_target=False, worth=0.5),
)

REGRESSIONS = (
    Scenario("constant 1.25x", ERRORS, _one(Traffic(ratio=flat(1.25), reach=TENTH)), ceiling=1.5),
    Scenario("constant 1.5x", ERRORS, _one(Traffic(ratio=flat(1.5), reach=TENTH)), ceiling=1.5),
    Scenario("constant 2x", ERRORS, _one(Traffic(ratio=flat(2.0), reach=TENTH)), ceiling=1.5, worth=5.0),
    Scenario("constant 2x, limit +20 %", ERRORS, _one(Traffic(ratio=flat(2.0), reach=TENTH)), TWENTY, ceiling=1.5),
    Scenario("conversion 30 % -> 27 %", CONVERSION, _one(Traffic(level=flat(0.3), ratio=flat(0.9))), ceiling=1.5),
    Scenario("constant 5x (no target)", ERRORS, _one(Traffic(ratio=flat(5.0), reach=TENTH))),
    Scenario("late 1.5x", ERRORS, _late(1.5), ceiling=2.5, worth=2.0),
    Scenario("late 2x", ERRORS, _late(2.0), ceiling=2.5, worth=5.0),
    Scenario("late 2x, limit +20 %", ERRORS, _late(2.0), TWENTY, ceiling=2.5, worth=2.0),
    Scenario("slow, to 2x in 1 440", ERRORS, _one(Traffic(ratio=1 + np.arange(WINDOWS) / WINDOWS, reach=TENTH))),
    Scenario("1.5x during a ramp", ERRORS, _one(Traffic(ratio=flat(1.5), reach=ramp()))),
    Scenario("tail: 10 % are 3x slower", P95, _values(slow_share=0.1), worth=0.25),
    Scenario("mean +10 %", BASKET, _values(ratio=1.1), exact=False, worth=0.25),
    Scenario("clustered 2x, 50 %", REQUESTS, _users(0.5, 2.0), exact=False, worth=0.25),
    Scenario("clustered 2x, 10 % of many", REQUESTS, _users(0.1, 2.0, MANY), exact=False, worth=0.25),
    Scenario("clustered 2x, 300 exposed *", REQUESTS, _users(0.1, 2.0), exact=False, worth=0.25, in_target=False),
    Scenario("clustered 2x, ramp", REQUESTS, _users("ramp", 2.0), exact=False, worth=0.25),
)

# Effects, shares and traffic that no weight of a prior was chosen by, the hard ones too.
HELD_OUT = (
    Scenario("constant 1.15x, 50 %", ERRORS, _one(Traffic(flat(1000), ratio=flat(1.15))), ceiling=1.5),
    Scenario("constant 1.35x", ERRORS, _one(Traffic(ratio=flat(1.35), reach=TENTH)), ceiling=1.5),
    Scenario("constant 1.75x, 1 %", ERRORS, _one(Traffic(flat(2000), flat(0.01), ratio=flat(1.75))), ceiling=1.5),
    Scenario(
        "conversion 30 % -> 28.5 %",
        CONVERSION,
        _one(Traffic(flat(1500), level=flat(0.3), ratio=flat(0.95))),
        ceiling=1.5,
    ),
    Scenario(
        "conversion 10 % -> 8 %, 10 %",
        CONVERSION,
        _one(Traffic(reach=TENTH, level=flat(0.1), ratio=flat(0.8))),
        ceiling=1.5,
    ),
    Scenario("constant 3x", ERRORS, _one(Traffic(reach=TENTH, ratio=flat(3.0))), ceiling=1.5),
    Scenario("late 1.25x, 50 %", ERRORS, _late(1.25, Traffic(flat(1000))), ceiling=2.5),
    Scenario("late 1.75x", ERRORS, _late(1.75), ceiling=2.5),
    Scenario("late 2x, thin traffic", ERRORS, _late(2.0, Traffic(flat(150), TENTH)), ceiling=2.5),
    Scenario("late 2x, heavy traffic", ERRORS, _late(2.0, Traffic(flat(2000), TENTH)), ceiling=2.5),
    Scenario("late 3x", ERRORS, _late(3.0, Traffic(flat(200), TENTH)), ceiling=2.5),
    Scenario("late conversion 30 % -> 27 %", CONVERSION, _late(0.9, Traffic(level=flat(0.3))), ceiling=2.5),
)
