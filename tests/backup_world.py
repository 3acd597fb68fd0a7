"""Stores that are backed up and restored, and all that can be read from them, for tests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout_sdk.engine.model import Arm
from rollout_sdk.engine.sample import EVERYTHING
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.domain.telemetry import Intake, Outcome, ProcessWindow, RunCheckpoint, RunId
from rollout_server.ports import Journal, TelemetryStore
from rollout_server.stores import KEY_FILE, Stores, open_stores
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag, flag_id
from tests.real_redis import SharedRedis
from tests.small_server import settings
from tests.telemetry_world import cell, place

FOREVER = 1 << 50
KINDS = ("sqlite", "redis")
BOTH = ("production", "staging")
RUNS = (RunId("launch", 1), RunId("launch", 2), RunId("search.v2-x", 1))
METRICS = ("errors", "latency", "orders", "slow")
STRATA = ("", "tenant=t-9", "tenant=ü", "country=KR (recomputed)")


@dataclass(frozen=True)
class Room:
    """Where stores are opened: a directory for each, and a database of Redis where it is of that kind."""

    path: Path
    redis: SharedRedis
    key: bytes = KEY

    @asynccontextmanager
    async def opened(self, kind: str, name: str, **options: Any) -> AsyncIterator[Stores]:
        """Open a store of its own; with `restore=` it is filled first."""
        data = self.path / name
        data.mkdir(exist_ok=True)
        (data / KEY_FILE).write_text(self.key.hex(), encoding="ascii")
        if kind == "redis" and "redis_url" not in options:
            options["redis_url"] = await self.redis.url()
        stores = await open_stores(settings(data, **{"environments": ",".join(BOTH), **options}), SystemClock())
        try:
            yield stores
        finally:
            await stores.close()


async def fill_journal(journal: Journal, count: int = 6) -> None:
    """Some history, part of it behind a checkpoint, with idempotency keys on both sides of it."""
    for number in range(count):
        more: dict[str, Any] = {"idempotency_key": f"k{number}", "fingerprint": "f", "at_ms": 1_000 + number}
        await journal.commit(draft(flag("a", "on" if number % 2 else "off"), flag(f"f{number}", value="ü"), **more))
    await journal.commit(draft(flag_id("f1"), at_ms=2_000))
    await journal.compact(1_003)


def report(chance: random.Random, instance: str, sequence: int) -> Intake:
    """A report with something of everything."""

    def somewhere() -> Any:
        return place(
            chance.choice(tuple(Arm)),
            run=chance.choice(RUNS),
            allocation=chance.randint(1, 2),
            reach_ppm=chance.choice((10_000, 500_000)),
            stratum=chance.choice(STRATA),
        )

    def units() -> tuple[int, ...]:
        return tuple(chance.choice((0, 1, 2**32, 2**63, EVERYTHING - 1, chance.getrandbits(64))) for _ in range(4))

    window = chance.randint(1, 9)
    return Intake(
        instance,
        sequence,
        at_ms=1_000 * sequence,
        events=tuple(
            (somewhere(), chance.randint(1, 9), name, cell(3, chance.random(), chance.randint(0, 3)))
            for name in METRICS[:2]
        ),
        outcomes=tuple(
            (somewhere(), window, name, tuple(Outcome(unit, chance.random()) for unit in units()))
            for name in METRICS[2:]
        ),
        units=((somewhere(), window, units(), units()),),
        quantiles=frozenset({"slow"}),
        bounds=((chance.choice(RUNS), chance.choice(("", "orders")), chance.choice((EVERYTHING, 2**63 + 5))),),
        unattributed={"errors": chance.randint(1, 3)},
        losses={"no room at all": 1},
    )


async def fill_telemetry(store: TelemetryStore, reports: list[Intake], token: int) -> None:
    """Reports, processes, and checkpoints of some runs amid them."""
    for number, each in enumerate(reports):
        await store.commit(each)
        if number % 3 == 1:
            run = RUNS[number % 2]
            await store.keep(RunCheckpoint(run, token, {"errors": number // 3, "": 1}, f"evidence {number}".encode()))
        await store.add_processes(ProcessWindow(number % 4, 3, number % 2))


async def telemetry_of(store: TelemetryStore) -> dict[str, Any]:
    """All that can be asked of it."""
    found: dict[str, Any] = {
        "window_ms": store.window_ms,
        "heard": dict(await store.heard(0)),
        "processes": await store.processes(-1, FOREVER),
        "ledger": await store.ledger(),
        "last_window": await store.last_window(),
    }
    for run in RUNS:
        checkpoint = await store.checkpoint(run)
        found[f"{run} checkpoint"] = checkpoint and (checkpoint.fence, dict(checkpoint.judged), checkpoint.body)
        found[f"{run} exposures"] = await store.exposures(run, -1, FOREVER)
        for metric in METRICS:
            found[f"{run} {metric}"] = await store.sums(run, metric, -1, FOREVER)
    return found


async def journal_of(journal: Journal) -> dict[str, Any]:
    """All that can be asked of it, but for the name of the epoch."""
    state, checkpoint = await journal.load(), await journal.checkpoint()
    oldest = checkpoint.state.position.revision
    return {
        "head": (state.position.revision, state.position.digest, state.at_ms),
        "resources": state.resources,
        "checkpoint": (checkpoint.sealed, checkpoint.state.resources),
        "entries": await journal.entries(oldest, 1_000),
        "history": await journal.history(flag_id("a"), 0, 1_000),
        "recalled": [await journal.recall(f"k{number}", "f") for number in range(6)],
        "past": [
            (await journal.state_at(revision=revision)).resources
            for revision in range(oldest, state.position.revision + 1)
        ],
    }


async def everything(stores: Stores) -> dict[str, Any]:
    """All of both environments."""
    found: dict[str, Any] = {}
    for name in BOTH:
        found |= {f"{name}: {what}": value for what, value in (await journal_of(stores.journal(name))).items()}
        telemetry = await stores.telemetry(name)
        found |= {f"{name}: {what}": value for what, value in (await telemetry_of(telemetry)).items()}
        found[f"{name}: notes"] = await stores.notes(name).load()
    return found
