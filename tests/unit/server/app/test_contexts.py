"""Populations as they are sent."""

from __future__ import annotations

import pytest

from rollout_server.app.contexts import read_contexts
from rollout_server.errors import InvalidInput


def test_contexts_are_read_in_order() -> None:
    """Units and attributes, as sent."""
    found = read_contexts(['{"units": {"user": "u-1"}}', '{"attributes": {"a": 1}}'], 1)
    assert [dict(one.units) for one in found] == [{"user": "u-1"}, {}]


def test_each_bad_one_is_named_by_its_number() -> None:
    """Counted over the whole population, at most a hundred of them."""
    with pytest.raises(InvalidInput) as refused:
        read_contexts(['{"units": {"user": "u-1"}}', "{", "7"], 501)
    assert [one.path for one in refused.value.problems] == ["population[502]", "population[503]"]
    with pytest.raises(InvalidInput) as refused:
        read_contexts(["{"] * 300, 1)
    assert len(refused.value.problems) == 100
