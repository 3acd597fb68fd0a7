"""The first admin token: made once, readable by the server's owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.app.first_token import write_first_token
from rollout_server.app.tokens import authenticate, list_tokens
from rollout_server.domain.rights import Role
from rollout_server.errors import Unavailable
from tests.small_environment import opened


async def test_the_file_opens_the_door_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "first-admin-token"
    async with opened() as environment:
        assert await write_first_token(environment, path)
        assert path.stat().st_mode & 0o777 == 0o600
        _, actor = authenticate([environment], path.read_text(encoding="ascii").strip())
        assert actor.role is Role.ADMIN


async def test_it_is_made_once(tmp_path: Path) -> None:
    """A second start neither makes a token nor touches the file."""
    path = tmp_path / "first-admin-token"
    async with opened() as environment:
        await write_first_token(environment, path)
        path.unlink()
        assert not await write_first_token(environment, path)
        assert not path.exists()
        assert len(list_tokens(environment)) == 1


async def test_a_lost_one_is_made_again_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "first-admin-token"
    async with opened() as environment:
        await write_first_token(environment, path)
        first = path.read_text(encoding="ascii")
        assert await write_first_token(environment, path, is_wanted=True)
        assert path.read_text(encoding="ascii") != first
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_cannot_be_written_is_said_with_the_way_out(tmp_path: Path) -> None:
    async with opened() as environment:
        with pytest.raises(Unavailable, match="cannot be written") as caught:
            await write_first_token(environment, tmp_path / "absent" / "first-admin-token")
        assert "--new-admin-token" in caught.value.hint
