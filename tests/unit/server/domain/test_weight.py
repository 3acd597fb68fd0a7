"""How much something takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import pytest

from rollout_server.domain.resources import CohortSpec, CohortStatus, Kind, Metadata, Resource
from rollout_server.domain.weight import weight


def cohort(keys: int) -> Resource:
    listed = tuple(f"user-{number}" for number in range(keys))
    return Resource(Kind.COHORT, Metadata("c"), CohortSpec(include=listed), CohortStatus())


def bytes_of(value: object) -> int:
    """What it really takes, as if nothing in it were shared."""
    size = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return size + sum(map(bytes_of, value.values()))
    if isinstance(value, (tuple, list, frozenset)):
        return size + sum(map(bytes_of, value))
    if is_dataclass(value):
        return size + sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    return size


@pytest.mark.parametrize("keys", [0, 10, 1_000, 200_000])
def test_a_part_is_some_hundred_bytes(keys: int) -> None:
    """Whatever it is made of."""
    resource = cohort(keys)
    assert 30 <= bytes_of(resource) / weight(resource) <= 120


def test_nothing_weighs_next_to_nothing() -> None:
    assert weight(None) == 1
    assert weight("x" * 6_400) == 101
