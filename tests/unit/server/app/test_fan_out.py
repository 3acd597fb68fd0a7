"""Fan-out: every stream is led to what is committed, and a history that lost its tail is found out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Position
from rollout_server.app.environment import Environment
from rollout_server.app.fan_out import FanOut
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.reader import Reader
from tests.small_environment import delete, flag, flag_id, opened, put


async def following(environment: Environment) -> FanOut:
    fan_out = FanOut(environment, renew_epoch_every_ms=60_000)
    await fan_out.start()
    return fan_out


async def test_a_client_continues_across_a_restart_by_a_delta() -> None:
    """Deletions before the restart are told too."""
    async with opened() as environment:
        first = await following(environment)
        await put(environment, flag("checkout"), flag("search"))
        reader = Reader()
        reader.take(first.snapshot())
        await delete(environment, flag_id("search"))
        again = await following(environment)
        assert await again.admit(reader.held) == ""
        assert reader.held is not None
        parts = again.parts_since(reader.held)
        assert parts is not None
        assert not parts[0].snapshot
        reader.take(parts)
        whole = Reader()
        whole.take(again.snapshot())
        assert (reader.records, reader.held) == (whole.records, whole.held)


async def test_entries_while_it_starts_are_not_missed() -> None:
    """The log is built of a state that is still the present one when it starts to follow."""

    class Busy(MemoryJournal):
        is_busy = False

        async def history(self, *arguments: object) -> tuple[object, ...]:  # type: ignore[override]
            if self.is_busy:
                self.is_busy = False
                await put(environment, flag("late"))
            return await super().history(*arguments)  # type: ignore[arg-type]

    journal = Busy()
    async with opened(journal) as environment:
        await put(environment, flag("checkout"))
        journal.is_busy = True
        fan_out = await following(environment)
        assert fan_out.position == environment.position
        reader = Reader()
        reader.take(fan_out.snapshot())
        assert {key for _, key in reader.records} == {"checkout", "late"}


async def test_who_holds_nothing_or_a_position_of_ours_is_admitted() -> None:
    async with opened() as environment:
        fan_out = await following(environment)
        await put(environment, flag("checkout"))
        assert await fan_out.admit(None) == ""
        assert await fan_out.admit(fan_out.position) == ""


async def test_a_position_of_another_epoch_is_reset() -> None:
    async with opened() as environment:
        fan_out = await following(environment)
        assert "is not this environment's history" in await fan_out.admit(Position("elsewhere", 3, b"x"))
        assert fan_out.epoch_renewals == 0


@pytest.mark.parametrize("ahead", [True, False])
async def test_a_client_that_holds_what_is_gone_makes_a_new_epoch(*, ahead: bool) -> None:
    """Nobody goes back in revision within an epoch (promise 4): the lost tail is seen, not ignored."""
    async with opened() as environment:
        fan_out = await following(environment)
        await put(environment, flag("checkout"))
        here = fan_out.position
        held = replace(here, revision=here.revision + 5) if ahead else replace(here, digest=bytes(32))
        assert "is not this environment's history" in await fan_out.admit(held)
        assert fan_out.position.epoch == environment.position.epoch != here.epoch
        assert (fan_out.position.revision, fan_out.position.digest) == (here.revision, here.digest)
        assert fan_out.epoch_renewals == 1
        assert fan_out.parts_since(here) is None, "streams that were open are reset too"


async def test_many_clients_with_the_same_proof_renew_once() -> None:
    async with opened() as environment:
        fan_out = await following(environment)
        await put(environment, flag("checkout"))
        held = replace(fan_out.position, revision=99)
        told = await asyncio.gather(*(fan_out.admit(held) for _ in range(20)))
        assert all(told)
        assert fan_out.epoch_renewals == 1


async def test_epochs_are_not_renewed_at_a_clients_pleasure() -> None:
    """Whoever invents positions can make everybody load a snapshot once a minute, no oftener."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        fan_out = await following(environment)
        await put(environment, flag("checkout"))
        await fan_out.admit(replace(fan_out.position, revision=99))
        with pytest.raises(Unavailable, match="a moment ago"):
            await fan_out.admit(replace(fan_out.position, revision=99))
        assert fan_out.epoch_renewals == 1
        clock.advance(60_000)
        await fan_out.admit(replace(fan_out.position, revision=99))
        assert fan_out.epoch_renewals == 2


async def test_a_replica_that_lags_asks_the_store_before_it_doubts() -> None:
    """A client may have been elsewhere before: what the store holds is no lost tail."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, flag("checkout"))
        fan_out = FanOut(environment)
        await fan_out.start()
        fan_out.close()
        await put(environment, flag("search"))
        assert await fan_out._is_stored(environment.position)
        assert not await fan_out._is_stored(replace(environment.position, digest=bytes(32)))
        assert not await fan_out._is_stored(replace(environment.position, revision=99))


async def test_while_the_store_is_away_nothing_is_renewed() -> None:
    journal = MemoryJournal()
    async with opened(journal) as environment:
        fan_out = await following(environment)
        await put(environment, flag("checkout"))
        journal.is_away = True
        with pytest.raises(Unavailable):
            await fan_out.admit(replace(fan_out.position, revision=99))
        assert fan_out.epoch_renewals == 0
