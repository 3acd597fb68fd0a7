"""What a relay serves is on disk soon after it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.relaying import TokenHash, Tokens, read_relay_file
from rollout_server.app import keep_relayed as module
from rollout_server.app.keep_relayed import keep_relayed
from rollout_server.app.relayed import Relayed
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_shelf import MemoryShelf
from tests.small_relay import until
from tests.unit.server.app.test_follow_upstream import DIGEST, HERE, RECORD

TOKENS = Tokens("production", (TokenHash("0a1b2c3d", "ff" * 32, 99),))
WHOLE = Part(snapshot=True, base_revision=0, position=HERE, ruleset_digest=DIGEST, records=(RECORD,))


@asynccontextmanager
async def keeping(shelf: MemoryShelf) -> AsyncIterator[Relayed]:
    relayed = Relayed("production", FakeClock(), 10)
    task = asyncio.create_task(keep_relayed(relayed, shelf))
    try:
        yield relayed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_change_is_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, with the tokens; and of many in a row the last."""
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0.01)
    shelf = MemoryShelf()
    async with keeping(shelf) as relayed:
        relayed.admit(Tokens("production", ()))
        relayed.take([WHOLE], 42)
        await until(lambda: shelf.saves > 0)
        relayed.admit(TOKENS)
        await until(lambda: shelf.data is not None and read_relay_file(shelf.data)[1] == TOKENS)
        assert shelf.data is not None
        snapshot, _, at_ms = read_relay_file(shelf.data)
        assert (snapshot.position, snapshot.ruleset_digest, snapshot.environment, at_ms) == (
            HERE,
            DIGEST,
            "production",
            42,
        )


async def test_what_came_last_is_kept_at_the_end() -> None:
    """Also in the second in which nothing is saved."""
    shelf = MemoryShelf()
    async with keeping(shelf) as relayed:
        relayed.take([WHOLE], 42)
        await until(lambda: shelf.saves == 1)
        relayed.admit(TOKENS)
    assert shelf.data is not None
    assert read_relay_file(shelf.data)[1] == TOKENS


async def test_nothing_is_kept_before_there_is_a_ruleset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens alone would let processes in to nothing; and a disk that takes nothing stops nobody."""
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0)
    shelf = MemoryShelf()
    shelf.is_full = True
    async with keeping(shelf) as relayed:
        relayed.admit(TOKENS)
        await asyncio.sleep(0)
        assert shelf.data is None
        relayed.take([WHOLE], 42)
        await until(lambda: shelf.tries > 0)
        shelf.is_full = False
        relayed.admit(TOKENS)
        await until(lambda: shelf.data is not None)
