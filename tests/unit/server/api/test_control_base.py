"""What was committed is told, whatever else fails."""

from __future__ import annotations

import pytest

from rollout_server.api import control_base
from rollout_server.api.control_base import written
from rollout_server.app.kill import Kill, kill
from rollout_server.errors import Unavailable
from tests.small_environment import MIA, flag, opened, put


async def test_an_entry_is_told_with_its_fields_and_without_them_if_need_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that stands is never answered as a failure."""
    async with opened() as environment:
        await put(environment, flag("checkout"))
        done = await kill(environment, Kill("checkout"), MIA)
        told = await written(environment, done.entry)
        assert told is not None
        assert told.changes[0].fields
        assert await written(environment, None) is None

        async def away(*_: object) -> None:
            raise Unavailable("journal", "away")

        monkeypatch.setattr(control_base, "tell", away)
        bare = await written(environment, done.entry)
        assert bare is not None
        assert (bare.revision, len(bare.changes)) == (told.revision, 0)
