"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.real_redis import SharedRedis, shared_redis

# No test asserts a time: a busy machine is not a bug.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def redis() -> Iterator[SharedRedis]:
    """A real Redis, started with the first test that asks for it."""
    with shared_redis() as server:
        yield server
