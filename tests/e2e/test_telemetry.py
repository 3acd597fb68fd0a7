"""Telemetry from `scope` and `record` in real processes to sums on a real server, over real gRPC."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk import Client, Context, Settings
from rollout_sdk.engine.model import Arm
from rollout_server.domain.guardrails.data import Cell, WindowSums
from rollout_server.domain.journal import Change, Draft
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.resources import Kind, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec
from rollout_server.domain.telemetry import RECOMPUTED, RunId
from tests.small_server import World, document, world

WAIT_S = 60
FOREVER = 1 << 40
LAUNCH = RunId("launch", 1)
DOCUMENTS = (
    document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
    document("Flag", "plain"),
    document("Metric", "errors", {"measures": "proportion", "per": "event", "bad": "high"}),
    document("Metric", "latency", {"measures": "quantile", "quantile": "p95", "per": "event", "unit": "seconds"}),
    document("Metric", "orders", {"measures": "proportion", "per": "unit", "bad": "low"}),
    document(
        "Pipeline", "careful", {"stages": [{"name": "canary", "audience": "everyone", "share": "50%", "soak": "1h"}]}
    ),
    document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
)

PROGRAM = """
import json, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from rollout_sdk import Client, Context, Settings

TARGET, TOKEN, NUMBER = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Client.of(Settings(TARGET, token=TOKEN, backoff_base_ms=5, backoff_max_ms=50))
assert client.wait_until_ready(30)
told = {"n": {"candidate": 0, "control": 0}, "x": {"candidate": 0.0, "control": 0.0}, "arms": {}, "orders": {}}
lock = threading.Lock()

def deep(user):
    client.decide("checkout", user)

def work(number):
    user = Context(f"u-{number}")
    with client.scope(user) as scope:
        deep(Context(f"u-{number}"))
        scope.enabled("plain")
        arm = client.decide("checkout", user).arm.value
        failed = number % 7 == 0
        scope.record("errors", failed)
        scope.record("latency", 0.1 if arm == "control" else 0.2)
        scope.record("orders", number % 3 == 0)
    with lock:
        told["n"][arm] += 1
        told["x"][arm] += failed
        told["arms"][number] = arm
        told["orders"][number] = number % 3 == 0

def say():
    os.write(1, (json.dumps(told) + "\\n").encode())
"""


@asynccontextmanager
async def launched(data: Path, **options: Any) -> AsyncIterator[World]:
    """A server with a rollout that exposes half of everybody."""
    async with world(data, **{"report_every_ms": 100, "window_ms": 1_000, **options}) as house:
        await house.admin.apply(*DOCUMENTS)
        await set_run(house, Phase.RUNNING, 1)
        yield house


async def set_run(house: World, phase: Phase, allocation: int) -> None:
    """Write the run's status, as the controller would."""
    environment = house.running.served["production"].environment
    id_ = ResourceId(Kind.ROLLOUT, "launch")
    found = environment.state.resources[id_]
    pipeline = environment.state.resources[ResourceId(Kind.PIPELINE, "careful")].spec
    assert isinstance(found.status, RolloutStatus)
    assert isinstance(pipeline, PipelineSpec)
    run = Run("launch", "checkout", "off", "on", 1, pipeline, phase=phase, entered=(Entered(0, 1, 500_000),))
    run = replace(run, allocation=allocation)
    changed: Resource = replace(found, status=replace(found.status, run=run))
    draft = Draft({id_: found.version}, (Change(id_, changed),), "mia@example.com (a1b2c3d4)", "start", at_ms=1)
    await environment.commit(draft)


@dataclass
class Child:
    process: asyncio.subprocess.Process

    async def told(self) -> dict[str, Any]:
        """What it counted itself, once it has ended."""
        out, err = await asyncio.wait_for(self.process.communicate(), WAIT_S)
        assert self.process.returncode == 0, err.decode()
        lines = [json.loads(line) for line in out.decode().splitlines()]
        told: dict[str, Any] = {"n": Counter(), "x": Counter(), "arms": {}, "orders": {}}
        for line in lines:
            for what in ("n", "x"):
                told[what].update(line[what])
            told["arms"].update(line["arms"])
            told["orders"].update(line["orders"])
        return told


async def child(house: World, number: int, program: str) -> Child:
    token = dict(house.sdk)["authorization"].removeprefix("Bearer ")
    text = PROGRAM + textwrap.dedent(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        text,
        house.running.address,
        token,
        str(number),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Child(process)


async def total(house: World, metric: str, run: RunId = LAUNCH) -> dict[str, Cell]:
    """Both arms over all windows."""
    found: tuple[WindowSums, ...] = await house.running.telemetry["production"].store.sums(run, metric, -1, FOREVER)
    cells = {"candidate": Cell(), "control": Cell()}
    for each in found:
        cells["candidate"] += each.candidate
        cells["control"] += each.control
    return cells


async def check(house: World, told: list[dict[str, Any]]) -> None:
    """The server's sums are what the processes say they did."""
    errors, latency, orders = [await total(house, metric) for metric in ("errors", "latency", "orders")]
    arms: dict[str, str] = {}
    ordered: dict[str, bool] = {}
    for each in told:
        arms |= each["arms"]
        ordered |= each["orders"]
    for arm in ("candidate", "control"):
        assert errors[arm].n == latency[arm].n == sum(each["n"][arm] for each in told)
        assert errors[arm].x == sum(each["x"][arm] for each in told)
        assert len(latency[arm].histogram) == 1
        assert orders[arm].n == sum(of == arm for of in arms.values())
        assert orders[arm].x == sum(ordered[user] for user, of in arms.items() if of == arm)
    exposed = await house.running.telemetry["production"].store.exposures(LAUNCH, -1, FOREVER)
    for of in Arm:
        wanted = sum(arm == of.value for arm in arms.values())
        assert sum(getattr(each, of.value).exposed for each in exposed) == wanted
        assert sum(getattr(each, of.value).reporting for each in exposed) == wanted


@pytest.mark.asyncio
async def test_four_processes_sum_to_the_truth(tmp_path: Path) -> None:
    """Threads, deep code, units that meet several processes: every outcome counts once, in its arm."""
    program = """
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(NUMBER * 100, NUMBER * 100 + 250)))
    assert client.flush(30)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(NUMBER * 100 + 250, NUMBER * 100 + 300)))
    client.close(30)
    say()
    """
    async with launched(tmp_path) as house:
        children = [await child(house, number, program) for number in range(4)]
        told = await asyncio.gather(*(each.told() for each in children))
        await check(house, list(told))


@pytest.mark.asyncio
async def test_nothing_is_lost_or_doubled_at_fork_and_exit(tmp_path: Path) -> None:
    """A child starts with empty sums, the parent keeps its own, and both report before they end."""
    program = """
    for number in range(50):
        work(number)
    pid = os.fork()
    if not pid:
        told["n"], told["x"] = {"candidate": 0, "control": 0}, {"candidate": 0.0, "control": 0.0}
    for number in range(40, 90) if pid else range(80, 130):
        work(number)
    assert client.flush(30)
    say()
    if not pid:
        client.close(30)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    async with launched(tmp_path) as house:
        told = await (await child(house, 0, program)).told()
        await check(house, [told])
        assert len(await house.running.telemetry["production"].store.heard(0)) == 2


@pytest.mark.asyncio
async def test_a_scope_goes_on_elsewhere(tmp_path: Path) -> None:
    """A task queue or another service records for the arm that was decided, without the unit's key."""
    async with launched(tmp_path) as house:
        settings = Settings(house.running.address, token=dict(house.sdk)["authorization"].removeprefix("Bearer "))
        async with Client.of(settings) as first, Client.of(settings) as second:
            assert await first.ready(WAIT_S)
            assert await second.ready(WAIT_S)
            user = Context("somebody@example.com")
            with first.scope(user) as scope:
                arm = first.decide("checkout", user).arm
            token = scope.carry()
            assert "somebody" not in token
            second.resume(token).record("errors", value=True)
            second.record("errors", user, value=False)
            assert await asyncio.to_thread(second.flush, WAIT_S)
        assert arm is not None
        found = await house.running.telemetry["production"].store.sums(LAUNCH, "errors", -1, FOREVER)
        by_stratum = {each.stratum: getattr(each, arm.value) for each in found}
        assert (by_stratum[""].n, by_stratum[""].x) == (1, 1.0)
        assert (by_stratum[RECOMPUTED].n, by_stratum[RECOMPUTED].x) == (1, 0.0)


@pytest.mark.asyncio
async def test_an_ended_run_counts_no_more(tmp_path: Path) -> None:
    """After a rollback nobody is in an arm; what is recorded belongs to nobody."""
    async with launched(tmp_path) as house:
        settings = Settings(house.running.address, token=dict(house.sdk)["authorization"].removeprefix("Bearer "))
        async with Client.of(settings) as client:
            assert await client.ready(WAIT_S)
            user = Context("u-1")
            with client.scope(user) as scope:
                client.decide("checkout", user)
            told = asyncio.Event()
            loop = asyncio.get_running_loop()
            client.on_change(lambda _: loop.call_soon_threadsafe(told.set))
            await set_run(house, Phase.ROLLED_BACK, 1)
            await asyncio.wait_for(told.wait(), WAIT_S)
            scope.record("errors", value=True)
            assert await asyncio.to_thread(client.flush, WAIT_S)
        assert await house.running.telemetry["production"].store.sums(LAUNCH, "errors", -1, FOREVER) == ()


@pytest.mark.asyncio
async def test_a_process_that_just_ends_reports_first(tmp_path: Path) -> None:
    """Without a line of its own: what was counted in the last moment is delivered before the goodbye."""
    program = """
    for number in range(30):
        work(number)
    say()
    """
    async with launched(tmp_path, report_every_ms=60_000) as house:
        told = await (await child(house, 0, program)).told()
        await check(house, [told])
