"""Both stores side by side: commits, what a second server sees of them, loads, reports.

    .venv/bin/python benchmarks/stores.py [seconds for each figure]

Redis runs on this machine behind a Unix socket, with an append-only file on the same disk as SQLite's: what is compared
is the work, not a network.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rollout_server.adapters.redis_store import RedisStore
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.ports import Journal, TelemetryStore
from tests.journal_world import draft, flag, redis_store, sqlite_store
from tests.real_redis import RealRedis, own_redis
from tests.telemetry_world import cell, intake, place

FLAGS = 5_000


async def rate(work: Callable[[int], Awaitable[object]], writers: int, seconds: float) -> tuple[float, float, float]:
    """Return how many a second, and the median and 99th percentile of one, in ms."""
    took_s: list[float] = []
    ends = time.perf_counter() + seconds

    async def write(number: int) -> None:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            await work(number)
            took_s.append(time.perf_counter() - began)

    await asyncio.gather(*(write(number) for number in range(writers)))
    cuts = statistics.quantiles(took_s, n=100)
    return len(took_s) / seconds, cuts[49] * 1_000, cuts[98] * 1_000


async def journal_figures(name: str, journal: Journal, seconds: float) -> None:
    """Print what commits and loads cost."""
    for writers in (1, 16):
        each, p50, p99 = await rate(partial(write_one, journal), writers, seconds)
        print(f"{name:24} {writers:3} writers  {each:8.0f} commits/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    await journal.commit(draft(*(flag(f"g{n}") for n in range(FLAGS))))
    began = time.perf_counter()
    await journal.load()
    print(f"{name:24} load of {FLAGS} flags {time.perf_counter() - began:.2f} s")


async def following(here: RedisStore, there: RedisStore, count: int) -> None:
    """Print how long after the commit began the other server has the entry."""
    journal, beside = here.journal("production"), there.journal("production")
    revision = (await beside.load()).position.revision
    began: dict[int, float] = {}
    lag_ms: list[float] = []

    async def follow() -> None:
        async for entry in beside.tail(revision):
            lag_ms.append((time.perf_counter() - began[entry.revision]) * 1_000)
            if len(lag_ms) == count:
                return

    task = asyncio.create_task(follow())
    for number in range(1, count + 1):
        began[revision + number] = time.perf_counter()
        await journal.commit(draft(flag("f")))
        await asyncio.sleep(0.002)
    await task
    cuts = statistics.quantiles(lag_ms, n=100)
    print(f"{'':24} from commit to another server   p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms")


async def telemetry_figures(name: str, store: TelemetryStore, seconds: float) -> None:
    """Print what reports cost: 2 metrics, 2 arms, 64 classes of users, 20 units."""
    sequence = [0] * 16

    async def report(number: int) -> None:
        sequence[number] += 1
        events = tuple((place(), 7, metric, cell(3, 1.0, number)) for metric in ("errors", "latency") for _ in range(2))
        units = tuple((sequence[number] * 20 + each) << 40 for each in range(20))
        await store.commit(intake(sequence[number], f"t/{number}", events=events, units=((place(), 7, units, ()),)))

    each, p50, p99 = await rate(report, 16, seconds)
    print(f"{name:24}  16 writers  {each:8.0f} reports/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


async def spent_us(server: RealRedis, work: Awaitable[object]) -> float:
    """Return the processor time of Redis for each script that ran meanwhile; waiting is not in it."""
    client = server.client()

    async def look() -> tuple[float, int]:
        info = await client.info("everything")
        return info["used_cpu_user"] + info["used_cpu_sys"], info.get("cmdstat_evalsha", {}).get("calls", 0)

    began_s, before = await look()
    await work
    ended_s, after = await look()
    await client.aclose()
    return (ended_s - began_s) / max(after - before, 1) * 1_000_000


async def write_one(journal: Journal, number: int) -> None:
    """Commit one flag."""
    await journal.commit(draft(flag(f"f{number}")))


async def main(seconds: float) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as directory:
        store = sqlite_store(Path(directory, "store.db"))
        await journal_figures("SQLite, FULL", store.journal("production"), seconds)
        await store.close()
        file = open_telemetry(Path(directory, "telemetry.db"), ["production"], window_ms=10_000)
        await telemetry_figures("SQLite, NORMAL", file.store("production"), seconds)
        await file.close()
    for fsync in ("always", "everysec"):
        async with own_redis(appendfsync=fsync) as server:
            here, there = await redis_store(server.url()), await redis_store(server.url())
            await journal_figures(f"Redis, {fsync}", here.journal("production"), seconds)
            await following(here, there, 300)
            writing = rate(partial(write_one, here.journal("production")), 1, seconds)
            print(f"{'':24} a commit takes {await spent_us(server, writing):.0f} us of Redis's processor")
            reporting = telemetry_figures(f"Redis, {fsync}", await here.telemetry("production", 10_000), seconds)
            print(f"{'':24} a report takes {await spent_us(server, reporting):.0f} us of Redis's processor")
            await here.close()
            await there.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
