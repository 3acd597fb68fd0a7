"""`at_least`: a difference of rates beyond a margin."""

from __future__ import annotations

from itertools import product
from math import exp, log

import pytest

from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.difference import AtLeast, Difference, closest, increment
from rollout_server.domain.guardrails.rates import Rates
from tests.guardrail_windows import expectation, had, window

MARGIN = 0.05


@pytest.mark.parametrize(
    ("margin", "sign", "size", "level"),
    list(product((MARGIN, -MARGIN), (1, -1), (0.05, 0.5, 2.0), (0.02, 0.2, 0.6))),
)
def test_the_increment_expects_at_most_one(margin: float, sign: int, size: float, level: float) -> None:
    """Over the whole null p_T <= p_C + margin (or >=), whatever level was predicted, every outcome enumerated."""
    for (n_t, n_c), p_c in product(((4, 9), (8, 8)), (0.06, 0.3, 0.9)):
        edge = p_c + margin
        inside = (edge, edge * 0.5) if sign > 0 else (edge, (edge + 1) / 2)
        for p_t in inside:
            found = expectation(
                n_t,
                p_t,
                n_c,
                p_c,
                lambda x_t, x_c, n_t=n_t, n_c=n_c: increment(
                    n_t, x_t, n_c, x_c, factor=exp(sign * size), margin=margin, level=level
                ),
            )
            assert found <= 1 + 1e-9


def test_the_closest_null_lies_on_the_edge_between() -> None:
    """The closest pair of rates is between those of the alternative."""
    q = closest(100, 0.3, 100, 0.1, MARGIN)
    assert 0.1 < q < q + MARGIN < 0.3


def judged(share_t: float, share_c: float, *, both: bool) -> float:
    relative, absolute = Rates(Bound(1.2, rising=both)), Difference(Bound(1.0, rising=both, margin=MARGIN))
    test = AtLeast(relative, absolute, both=both)
    state = test.start()
    for number in range(60):
        state = test.absorb(state, [window(number, had(1000, 1000 * share_t), had(1000, 1000 * share_c))])
    return test.log_e(state)


def test_much_of_almost_nothing_rolls_nothing_back() -> None:
    """Five times as many errors are no regression while they are fewer than the margin; beyond both edges they are."""
    assert judged(0.02, 0.004, both=True) < 0
    assert judged(0.25, 0.1, both=True) > log(100)
    assert judged(0.56, 0.5, both=True) < 0


def test_one_edge_kept_is_healthy() -> None:
    """To be healthy it is enough to stay within the margin, or within the ratio."""
    assert judged(0.02, 0.01, both=False) > log(20)
    assert judged(0.5, 0.5, both=False) > log(20)
    assert judged(0.3, 0.1, both=False) < 0
