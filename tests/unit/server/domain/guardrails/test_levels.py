"""Predictions from earlier windows."""

from __future__ import annotations

import pytest

from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.levels import FADE, learn, level_of
from tests.guardrail_windows import had, valued


def test_each_stratum_has_its_own_level() -> None:
    """Strata teach nothing to each other, and both arms teach."""
    levels = learn(learn((), "a", had(10, 1), had(30, 3)), "b", had(10, 5), had(10, 5))
    first, second = level_of(levels, "a"), level_of(levels, "b")
    assert first is not None
    assert second is not None
    assert (first.mean, second.mean) == (0.1, 0.5)
    assert level_of(levels, "c") is None


def test_old_windows_fade() -> None:
    """A level follows a cycle; windows without outcomes change nothing."""
    levels = learn(learn((), "", had(100, 10), Cell()), "", had(100, 50), Cell())
    known = level_of(levels, "")
    assert known is not None
    assert known.mean == pytest.approx((10 * FADE + 50) / (100 * FADE + 100))
    assert learn(levels, "", Cell(), Cell()) == levels


def test_variance_is_of_one_value() -> None:
    """The variance is that of the values around their mean, never negative."""
    known = level_of(learn((), "", valued([1.0, 3.0]), Cell()), "")
    assert known is not None
    assert known.variance == pytest.approx(1.0)
