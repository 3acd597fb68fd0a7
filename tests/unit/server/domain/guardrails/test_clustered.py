"""Events clustered by unit."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.clustered import (
    NOTE_EVERY,
    NOTES_KEPT,
    Clustered,
    Tally,
    e_of,
    inflated,
    scored,
    spread,
)
from rollout_server.domain.guardrails.data import HASH_BUCKETS, Cell, WindowSums
from rollout_server.domain.guardrails.rates import Rates
from tests.guardrail_windows import REQUESTS, dealt, had, window, world

RISING = Bound(1.0, rising=True)


def sticky(seed: int, factor: float = 1.0, windows: int = 60) -> list[list[WindowSums]]:
    """Two hundred users who stay in their arm, a few of them busy, each with a habit of failing."""
    rng = Random(seed)  # noqa: S311 - a seeded world
    users = [
        (rng.random() < 0.5, rng.randrange(HASH_BUCKETS), exp(rng.gauss(0, 1)), min(0.5, 0.05 * exp(rng.gauss(0, 1))))
        for _ in range(200)
    ]
    found = []
    for number in range(windows):
        arms: tuple[list[tuple[int, float]], list[tuple[int, float]]] = ([], [])
        for exposed, bucket, activity, habit in users:
            share = min(1.0, habit * (factor if exposed else 1.0))
            for _ in range(int(activity + rng.random())):
                arms[exposed].append((bucket, float(rng.random() < share)))
        found.append([window(number, dealt(arms[1]), dealt(arms[0]))])
    return found


def reaches(test: Clustered | Rates, run: list[list[WindowSums]]) -> bool:
    state = test.start()
    for parts in run:
        state = test.absorb(state, parts)  # type: ignore[arg-type]  # each test gets back its own state
        if test.log_e(state) >= log(100):  # type: ignore[arg-type]
            return True
    return False


def test_users_who_stay_are_not_counted_as_many() -> None:
    """Where counting requests as independent is false again and again, classes of users are not."""
    runs = [sticky(seed) for seed in range(40)]
    assert sum(reaches(Rates(RISING), run) for run in runs) >= 8
    assert sum(reaches(Clustered(RISING), run) for run in runs) <= 1


def test_a_regression_is_found() -> None:
    """Five times as many failing requests are found, and only in the direction that harms."""
    assert sum(reaches(Clustered(RISING), sticky(seed, 5.0)) for seed in range(5)) == 5
    assert not any(reaches(Clustered(Bound(1.0, rising=False)), sticky(seed, 3.0)) for seed in range(5))


def test_one_user_who_fails_a_thousand_times_is_one_user() -> None:
    """A single broken client, however loud, is no evidence."""
    test = Clustered(RISING)
    state = test.start()
    for number in range(100):
        calm = [(bucket, 0.0) for bucket in range(HASH_BUCKETS)]
        state = test.absorb(state, [window(number, dealt([*calm, *[(7, 1.0)] * 50]), dealt([*calm, (9, 1.0)]))])
        assert test.log_e(state) < log(10)


def test_scores_add_up_to_the_efficient_score() -> None:
    """Over all classes the score is x_T - (x_T + x_C) q, of each window by itself."""
    part = window(0, dealt([(1, 1.0), (2, 0.0), (3, 1.0)]), dealt([(1, 0.0), (4, 1.0)]))
    tally = scored(Tally(), part, Bound(1.5, rising=True))
    q = 3 * 1.5 / (3 * 1.5 + 2)
    assert sum(tally.scores) == pytest.approx(2 - 3 * q)
    assert tally.information == pytest.approx(3 * q * (1 - q))


def test_without_classes_nothing_is_said() -> None:
    """Sums without hash buckets, or of one arm, are no evidence here."""
    test = Clustered(RISING)
    state = test.absorb(test.start(), [window(0, had(100, 90), had(100, 1)), window(0, dealt([(1, 1.0)]), Cell())])
    assert test.log_e(state) == pytest.approx(0)


def test_few_classes_have_little_freedom() -> None:
    """A variance that one class dominates has about 2 degrees of freedom, an even one 63."""
    even = [1.0, -1.0] * (HASH_BUCKETS // 2)
    assert spread(even)[2] == HASH_BUCKETS - 1
    assert spread([10.0, *[0.0] * (HASH_BUCKETS - 1)])[2] == pytest.approx(2.1, abs=0.1)
    assert spread([0.0] * HASH_BUCKETS) == (0.0, 0.0, 0.0)


def test_evidence_of_few_classes_counts_for_less() -> None:
    """The same score over its error says less where few classes carry the variance (Student's t)."""
    few = Tally((2.0, 2.2, 1.8, 2.1, 1.9, 2.0, *[0.0] * (HASH_BUCKETS - 6)), information=10.0)
    total, variance, freedom = spread(few.scores)
    assert freedom < 25
    assert Clustered(RISING).e_since(few) < e_of(total / variance**0.5, 10.0, variance) - 0.1


def test_evidence_needs_information() -> None:
    """Without information E is 1; a large score with information is evidence."""
    assert e_of(4.0, 0.0, 1.0) == pytest.approx(0)
    assert e_of(4.0, 10.0, 10.0) > log(100) > e_of(1.0, 10.0, 10.0)


def test_inflation_is_at_least_one() -> None:
    """Classes that look more alike than chance allows do not sharpen anything."""
    assert inflated(Tally((1.0, -1.0) * 32, naive=1000.0))[0] == 1.0
    assert inflated(Tally((1.0, -1.0) * 32, naive=6.5))[0] == pytest.approx(10, rel=0.01)
    assert inflated(Tally())[1] == 0.0


def test_a_late_onset_is_found_from_a_note() -> None:
    """Sums noted on the way keep a long healthy past from hiding a regression; few are kept."""
    test = Clustered(RISING)
    state = test.start()
    past = NOTE_EVERY * (NOTES_KEPT + 1)
    for parts in world(REQUESTS, 1.0, windows=past):
        state = test.absorb(state, parts)
    assert len(state.notes) == NOTES_KEPT
    for parts in world(REQUESTS, 1.6, windows=200, seed=2):
        state = test.absorb(state, parts)
        if test.log_e(state) >= log(100):
            break
    whole = test.e_since(state.tally)
    assert test.log_e(state) >= log(100) > whole
