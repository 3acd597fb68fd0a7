"""A guarded run that is backed up amid its evidence, and goes on from there on the other store, and back.

Real servers, real gRPC, a real Redis, real SDKs; only the pace is another one.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk import Client, Context, Settings
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters.backup_file import open_backup
from rollout_server.adapters.sqlite_rows import load
from rollout_server.domain.machine import Run
from rollout_server.domain.resources import Kind, ResourceId, RolloutStatus
from rollout_server.main import Running
from rollout_server.stores import KEY_FILE, STORE_FILE, TELEMETRY_FILE
from tests.real_redis import SharedRedis
from tests.small_relay import USER, until
from tests.small_server import Person, bearer, channel_to, document, free_port, serving

WAIT_S = 60
PACE = {"window_ms": 200, "report_every_ms": 100, "tick_ms": 100}
LAUNCH = {"id": "launch", "rollout": "launch"}
DOCUMENTS = (
    document("Flag", "checkout", {"rules": [LAUNCH]}),
    document("Flag", "other"),
    document("Metric", "errors", {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}),
    document(
        "Pipeline",
        "careful",
        {
            "stages": [{"name": "canary", "share": "50%", "soak": "1h"}],
            "guardrails": [{"metric": "errors", "limit": "+50%", "action": "rollback"}],
        },
    ),
    document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
)


@dataclass
class House:
    """A server, and what people and processes do with it."""

    running: Running
    admin: Person
    data: Path

    async def rollout(self) -> pb.Rollout:
        found = await self.admin.stub.GetRollout(pb.GetRolloutRequest(rollout="launch"), metadata=self.admin.metadata)
        return found.rollout

    async def until(self, holds: Callable[[pb.Rollout], bool]) -> pb.Rollout:
        """Wait for it, not for ever; return how the rollout stands then."""
        async with asyncio.timeout(WAIT_S):
            while not holds(found := await self.rollout()):  # noqa: ASYNC110 - the server's own ticks bring it about
                await asyncio.sleep(0.02)
        return found

    async def visits(self, token: str, users: range, failing: Callable[[bool, int], bool]) -> None:
        """A process that lets these users visit, says how it went, and ends when all of it is taken."""

        def live() -> None:
            settings = Settings(self.running.address, token, "shop", report_every_ms=50)
            with Client.of(settings) as client:
                assert client.wait_until_ready(WAIT_S)
                for number in users:
                    with client.scope(Context(f"u-{number}")) as scope:
                        scope.record("errors", failing(scope.enabled("checkout"), number))
                assert client.flush(WAIT_S)

        await asyncio.to_thread(live)

    async def backup(self, target: Path) -> None:
        """As `rollout backup` does."""
        call = self.admin.stub.Backup(pb.BackupRequest(), metadata=self.admin.metadata)
        await asyncio.to_thread(target.write_bytes, b"".join([piece.data async for piece in call]))


def errors(rollout: pb.Rollout) -> pb.GuardrailStatus:
    """The guardrail of the metric that its processes report; empty before the first look."""
    return next((one for one in rollout.guardrails if one.name == "errors"), pb.GuardrailStatus())


def seen(rollout: pb.Rollout) -> int:
    """Units that it has seen, in both arms."""
    return errors(rollout).candidate_units + errors(rollout).control_units


def evidence(rollout: pb.Rollout) -> tuple[float, ...]:
    """What it rests on."""
    one = errors(rollout)
    return one.estimate, one.low, one.high, one.log_e, one.candidate_units, one.control_units


@asynccontextmanager
async def house(data: Path, token: str = "", **options: Any) -> AsyncIterator[House]:
    """A server; with the token of an admin whom its store knows."""
    async with serving(data, **{**PACE, **options}) as running, channel_to(running.address) as channel:
        await asyncio.wait_for(channel.channel_ready(), WAIT_S)
        yield House(running, Person(channel, bearer(token or await running.token("admin"))), data)


def healthy(_is_exposed: bool, number: int) -> bool:  # noqa: FBT001 - one of two of its kind
    return number % 20 == 0


def bad(is_exposed: bool, number: int) -> bool:  # noqa: FBT001 - the same
    return number % 2 == 0 if is_exposed else healthy(is_exposed, number)


def moved_to(data: Path, before: Path) -> Path:
    """A data directory with nothing in it but the key of another."""
    data.mkdir()
    shutil.copy(before / KEY_FILE, data)
    return data


@pytest.mark.parametrize("is_by_hand", [False, True])
async def test_a_guarded_run_goes_on_where_it_was_on_the_other_store_and_back(
    redis: SharedRedis, tmp_path: Path, *, is_by_hand: bool
) -> None:
    """Soak, evidence and verdict are those of the backup, tokens open, and a bad release is caught from there on."""
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    async with house(tmp_path / "files") as here:
        await here.admin.apply(*DOCUMENTS)
        admin, sdk = (await here.admin.token("admin")).secret, (await here.admin.token("sdk")).secret
        relay = (await here.admin.token("relay")).token
        await here.admin.stub.StartRollout(pb.StartRolloutRequest(rollout="launch"), metadata=here.admin.metadata)
        await here.visits(sdk, range(400), healthy)
        before = await here.until(lambda one: seen(one) == 400 and errors(one).log_e != 0)
        await here.backup(first)
        # What comes after it is lost with the store: more evidence, a kill, and an end of the run.
        await here.visits(sdk, range(1_000, 1_200), bad)
        await here.admin.kill("checkout")
    data = moved_to(tmp_path / "redis", tmp_path / "files")
    async with house(data, admin, redis_url=await redis.url(), restore=first) as here:
        after = await here.until(lambda one: errors(one).log_e != 0)
        assert (after.phase, after.run, after.stage, seen(after)) == ("running", 1, "canary", 400)
        assert evidence(after) == evidence(before)
        assert after.stages[0].soaked_ms >= before.stages[0].soaked_ms
        flags = {one.key: one for one in (await here.admin.status()).flags}
        assert not flags["checkout"].killed
        tokens = await here.admin.stub.ListTokens(pb.ListTokensRequest(), metadata=here.admin.metadata)
        assert [one.role for one in tokens.tokens if one.id == relay.id] == ["relay"]
        await here.visits(sdk, range(2_000, 3_000), bad)
        ended = await here.until(lambda one: one.phase == "rolled back")
        assert errors(ended).log_e > errors(after).log_e
        await here.backup(second)
    back = moved_to(tmp_path / "back", tmp_path / "files")
    options: dict[str, Any] = {"restore": second}
    if is_by_hand:  # in the place of a store, with the sums of a later history beside it
        options = {}
        shutil.copy(tmp_path / "files" / TELEMETRY_FILE, back)
        shutil.copy(second, back / STORE_FILE)
    async with house(back, admin, **options) as here:
        again = await here.rollout()
        assert (again.phase, again.run, evidence(again)) == ("rolled back", 1, evidence(ended))
        # The next run is a fresh one, and whoever drives here keeps what it sees, under a token above those of Redis.
        await here.admin.stub.StartRollout(pb.StartRolloutRequest(rollout="launch"), metadata=here.admin.metadata)
        await here.visits(sdk, range(4_000, 4_300), healthy)
        fresh = await here.until(lambda one: one.run == 2 and seen(one) == 300)
        assert (fresh.phase, fresh.run) == ("running", 2)
        heard = await here.running.telemetry["production"].store.heard(0)
        assert len(heard) >= 3
    async with house(back, admin) as here:
        found = await here.until(lambda one: one.run == 2 and errors(one).log_e != 0)
        assert seen(found) == 300


async def test_processes_hear_of_a_restore(redis: SharedRedis, tmp_path: Path) -> None:
    """A new epoch: a process that is ahead of the backup takes the older rules, instead of waiting for what is lost."""
    backup, url, address = tmp_path / "backup.db", await redis.url(), f"127.0.0.1:{free_port()}"
    async with AsyncExitStack() as stack:
        async with house(tmp_path / "files", listen=address) as here:
            await here.admin.apply(*DOCUMENTS)
            admin, sdk = (await here.admin.token("admin")).secret, (await here.admin.token("sdk")).secret
            await here.backup(backup)
            await here.admin.kill("other")
            settings = Settings(address, sdk, backoff_base_ms=20, backoff_max_ms=100)
            client = await asyncio.to_thread(Client.of, settings)
            stack.push_async_callback(asyncio.to_thread, client.close)
            await until(lambda: client.decide("other", USER).reason.value == "killed")
        data = moved_to(tmp_path / "redis", tmp_path / "files")
        await stack.enter_async_context(house(data, admin, listen=address, redis_url=url, restore=backup))
        await until(lambda: client.decide("other", USER).reason.value != "killed")


RAMPS = document(
    "Pipeline",
    "careful",
    {
        "stages": [
            {"name": "canary", "share": "40%", "ramp": "1s", "soak": "0s"},
            {"name": "most", "share": "90%", "ramp": "1s", "soak": "1h"},
        ],
        "guardrails": [{"metric": "errors", "limit": "+50%", "action": "rollback"}],
    },
)


def ahead(backup: Path, key: bytes) -> list[tuple[int, int]]:
    """Return the runs and allocations of the telemetry in a backup that its journal has yet to open."""
    opened = open_backup(backup, key)
    with closing(opened.connection) as file:
        rollout = load(file, opened.numbers["production"]).resources[ResourceId(Kind.ROLLOUT, "launch")]
        assert isinstance(rollout.status, RolloutStatus)
        run = rollout.status.run
        found = file.execute(
            "SELECT number, max(allocation) FROM run JOIN (SELECT run, allocation FROM cell UNION"
            " SELECT run, allocation FROM unit) AS place ON place.run = run.id GROUP BY number"
        ).fetchall()
        assert found, "something was counted"
        assert isinstance(run, Run)
        return [pair for pair in found if pair > (run.number, run.allocation)]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_amid_ramps_and_new_runs_no_evidence_is_ahead_of_the_journal(
    redis: SharedRedis, tmp_path: Path, kind: str
) -> None:
    """However quickly allocations and runs are opened: what is counted in a backup belongs to what is in it."""
    options: dict[str, Any] = {"redis_url": await redis.url()} if kind == "redis" else {}
    ending = asyncio.Event()
    async with house(tmp_path / "data", **options) as here:
        await here.admin.apply(*DOCUMENTS[:3], RAMPS, DOCUMENTS[-1])
        sdk = (await here.admin.token("sdk")).secret
        start = partial(here.admin.stub.StartRollout, pb.StartRolloutRequest(rollout="launch"))
        await start(metadata=here.admin.metadata)

        async def visit() -> None:
            for first in count(0, 50):
                await here.visits(sdk, range(first, first + 50), healthy)
                if ending.is_set():
                    return

        async def begin_anew() -> None:
            while not ending.is_set():
                await asyncio.sleep(0.7)
                await here.admin.stub.Rollback(pb.RollbackRequest(rollout="launch"), metadata=here.admin.metadata)
                await start(metadata=here.admin.metadata)

        crowd = [asyncio.create_task(visit()), asyncio.create_task(begin_anew())]
        await here.until(lambda one: seen(one) > 0)
        for number in range(8):
            await here.backup(tmp_path / f"{number}.db")
            await asyncio.sleep(0.15)
        ending.set()
        await asyncio.gather(*crowd)
    key = bytes.fromhex((tmp_path / "data" / KEY_FILE).read_text(encoding="ascii"))
    assert [ahead(tmp_path / f"{number}.db", key) for number in range(8)] == [[]] * 8
