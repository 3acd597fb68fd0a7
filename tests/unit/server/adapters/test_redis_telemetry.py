"""The script sums as plain code does, whoever reports at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters.redis_telemetry import RedisTelemetry
from rollout_server.domain.telemetry import Intake, Outcome, RunCheckpoint
from rollout_server.errors import Conflict, Unavailable
from rollout_server.ports import TelemetryStore
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis, own_redis
from tests.telemetry_world import RUN, cell, intake, place

WINDOWS = range(5, 9)


def some_report(chance: random.Random, number: int) -> Intake:
    """Whatever a process might send: all kinds of sums, overlapping units, now and then a lower bound."""

    def somewhere() -> tuple[object, int]:
        arm, stratum = chance.choice(list(Arm)[:2]), chance.choice(("", "kr", "th"))
        return place(arm, allocation=chance.choice((1, 2)), stratum=stratum), chance.choice(WINDOWS)

    def units(count: int) -> tuple[int, ...]:
        return tuple(chance.randrange(64) * (EVERYTHING // 64) + 5 for _ in range(count))

    values = tuple(Outcome(unit, chance.choice((0.0, 0.25, 1.0, 3.5))) for unit in units(6))
    return intake(
        number,
        "t/i",
        at_ms=number,
        events=tuple((*somewhere(), "errors", cell(chance.randrange(5), 1.5, chance.randrange(64))) for _ in range(3)),
        outcomes=tuple((*somewhere(), metric, values) for metric in ("orders", "slow")),
        quantiles=frozenset({"slow"}),
        units=tuple((*somewhere(), units(5), units(3)) for _ in range(2)),
        bounds=((RUN, chance.choice(("", "orders")), EVERYTHING - chance.randrange(EVERYTHING >> 2)),),
        unattributed={"errors": chance.randrange(3)},
        losses={"no_room": 1},
    )


async def everything(store: TelemetryStore) -> list[object]:
    """All that can be asked of it, but the order of unit sums that are floats."""
    sums = [await store.sums(RUN, metric, -1, 99) for metric in ("errors", "orders", "slow")]
    return [*sums, await store.exposures(RUN, -1, 99), await store.ledger(), await store.heard(0)]


@pytest.mark.parametrize("seed", range(6))
async def test_it_agrees_with_plain_code(redis: SharedRedis, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Forty random reports, samples that fill up and halve, and a judged window: the same sums, to the last bit."""
    monkeypatch.setattr("rollout_server.domain.telemetry.UNITS_MAX", 24)
    monkeypatch.setattr("rollout_server.domain.telemetry.STRATA_MAX", 64)
    chance = random.Random(seed)  # noqa: S311 - a case that can be repeated
    store = await redis_store(await redis.url())
    plain, scripted = MemoryTelemetry(), await store.telemetry("production", 10_000)
    for number in range(1, 41):
        report = some_report(chance, number)
        assert await scripted.commit(report) == await plain.commit(report)
        if number == 30:
            for each in (plain, scripted):
                await each.keep(RunCheckpoint(RUN, 1, {"errors": 5, "": 5}, b"judged"))
        assert await everything(scripted) == await everything(plain)
    assert await scripted.last_window() == await plain.last_window()
    assert await scripted.prune(7, {RUN}) == await plain.prune(7, {RUN})
    assert await everything(scripted) == await everything(plain)
    assert await scripted.prune(99, set()) == await plain.prune(99, set())
    assert await everything(scripted) == await everything(plain)
    assert await store.link.command("KEYS", "*:run:*") == []
    await store.close()


async def test_reports_of_many_servers_add_up(redis: SharedRedis) -> None:
    """No report is lost between two that come at once, and the same one through two servers counts once."""
    url = await redis.url()
    stores = [await redis_store(url) for _ in range(3)]
    telemetry: list[RedisTelemetry] = [await store.telemetry("production", 10_000) for store in stores]
    reports = [intake(1, f"t/{n}", events=((place(), 7, "errors", cell(2, 1.0, n % 64)),)) for n in range(60)]
    receipts = await asyncio.gather(
        *(telemetry[(n + again) % 3].commit(report) for n, report in enumerate(reports) for again in range(2))
    )
    assert sum(receipt.is_repeat for receipt in receipts) == 60
    (sums,) = await telemetry[0].sums(RUN, "errors", -1, 99)
    assert (sums.candidate.n, sums.candidate.x) == (120, 60.0)
    for store in stores:
        await store.close()


async def test_who_lost_the_lease_keeps_no_evidence(redis: SharedRedis) -> None:
    """From the moment on when another holds it, also before that one has kept anything."""
    store = await redis_store(await redis.url())
    telemetry = await store.telemetry("production", 10_000)
    old = await store.lease("production").acquire() or 0
    await telemetry.keep(RunCheckpoint(RUN, old, {"errors": 7}, b"mine"))
    await store.link.command("DEL", "rollout:{production}:lease")
    new = await store.lease("production").acquire() or 0
    with pytest.raises(Conflict, match="lease"):
        await telemetry.keep(RunCheckpoint(RUN, old, {"errors": 8}, b"late"))
    found = await telemetry.checkpoint(RUN)
    assert found is not None
    assert (found.body, found.judged) == (b"mine", {"errors": 7})
    await telemetry.keep(RunCheckpoint(RUN, new, {"errors": 8}, b"next"))
    await store.close()


async def test_the_length_of_windows_stays_as_it_was_made(redis: SharedRedis) -> None:
    """Windows are counted in it: another setting changes nothing."""
    store = await redis_store(await redis.url())
    assert (await store.telemetry("production", 10_000)).window_ms == 10_000
    assert (await store.telemetry("production", 500)).window_ms == 10_000
    await store.close()


async def test_without_redis_reports_are_refused_and_come_again() -> None:
    """What was acknowledged before a kill is there after it; the repeat of what was not is counted once."""
    async with own_redis() as server:
        store = await redis_store(server.url())
        telemetry = await store.telemetry("production", 10_000)
        first = intake(1, events=((place(), 7, "errors", cell(3)),))
        second = intake(2, events=((place(), 7, "errors", cell(4)),))
        await telemetry.commit(first)
        server.kill()
        with pytest.raises(Unavailable):
            await telemetry.commit(second)
        server.start()
        await server.ready()
        assert (await telemetry.commit(first)).is_repeat
        assert not (await telemetry.commit(second)).is_repeat
        (sums,) = await telemetry.sums(RUN, "errors", -1, 99)
        assert sums.candidate.n == 7
        await store.close()
