"""Two servers on the Redis of compose.yaml, a rollout with evidence, and a real Prometheus with our rules over them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout_sdk import Client, Context
from rollout_sdk.settings import Settings
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.main import Running
from tests.deployed import DEPLOY, VARIABLES, compose, metrics_in, queries, rules
from tests.real_prometheus import RealPrometheus, prometheus
from tests.real_redis import free_port, own_redis
from tests.small_server import Person, bearer, channel_to, document, http_get, serving

OF_RELAYS = {"rollout_upstream_reachable"}
"""What servers with a store do not tell; tests/unit/server/api/test_relay_metrics.py shows it."""

QUICK = {"window_ms": 200, "report_every_ms": 200, "tick_ms": 200, "http_listen": "127.0.0.1:0"}
DOCUMENTS = (
    document("Metric", "errors", {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}),
    document(
        "Pipeline",
        "careful",
        {
            "stages": [{"name": "half", "share": "50%", "soak": "1h"}],
            "guardrails": [{"metric": "errors", "limit": "+900%", "action": "rollback"}],
        },
    ),
    document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
    document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
)
# Of a server with TLS.
EMPTY = {"overview.json: Certificate A"}
WITHIN_S = 60


def of_redis() -> dict[str, str]:
    """The options of compose.yaml's Redis."""
    program, *words = compose()["services"]["redis"]["command"]
    assert program == "redis-server"
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}


@dataclass
class Pair:
    """Two servers, and what they tell Prometheus."""

    servers: tuple[Running, Running]
    admin: Person

    async def told(self) -> list[str]:
        bodies = [await http_get(each.http_address, "/metrics") for each in self.servers]
        return [line for _, body in bodies for line in body.splitlines()]

    async def tells(self, start: str) -> None:
        """Wait for a series."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                if any(line.startswith(start) for line in await self.told()):
                    return
                await asyncio.sleep(0.05)

    @property
    def ports(self) -> list[int]:
        return [int(each.http_address.rpartition(":")[2]) for each in self.servers]


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[Pair]:
    """As compose.yaml starts them: Redis with its options, the key of one given to both."""
    port = free_port()
    url = f"redis://:{VARIABLES['REDIS_PASSWORD']}@127.0.0.1:{port}/0"
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(own_redis(port=port, **of_redis()))
        first = await stack.enter_async_context(serving(directory / "1", redis_url=url, **QUICK))
        (directory / "2").mkdir(mode=0o700)
        (directory / "2" / "server-key").write_bytes((directory / "1" / "server-key").read_bytes())
        second = await stack.enter_async_context(serving(directory / "2", redis_url=url, **QUICK))
        channel = await stack.enter_async_context(channel_to(first.address))
        yield Pair((first, second), Person(channel, bearer(await first.token("admin"))))


@contextmanager
def visitors(server: str, token: str) -> Iterator[None]:
    """A process whose users come all the time; some of their visits fail."""
    ending, chance = threading.Event(), random.Random(7)  # noqa: S311 - who fails, no secret

    def visit() -> None:
        with Client.of(Settings(server, token, "shop")) as client:
            client.wait_until_ready(WITHIN_S)
            number = 0
            while not ending.wait(0.002):
                number += 1
                with client.scope(Context(f"u-{number}")) as scope:
                    scope.enabled("checkout")
                    scope.record("errors", chance.random() < 0.1)

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(WITHIN_S)


def families(lines: list[str]) -> set[str]:
    """The names under which Prometheus keeps what is told."""
    kinds = [line.split()[2:4] for line in lines if line.startswith("# TYPE ")]
    return {
        name + suffix
        for name, kind in kinds
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }


def answer(real: RealPrometheus, query: str) -> dict[str, Any]:
    told: dict[str, Any] = real.client.post(f"{real.url}/api/v1/query", data={"query": query}).json()
    return told


def alerting(real: RealPrometheus) -> list[dict[str, Any]]:
    groups = real.client.get(f"{real.url}/api/v1/rules").json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def test_every_panel_shows_something_and_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    """Each metric that a rule or a panel names is told by a server that runs a rollout; each query finds it."""
    async with pair(tmp_path) as both:
        await both.admin.apply(*DOCUMENTS)
        with visitors(both.servers[1].address, await both.servers[1].token("sdk")):
            await both.tells('rollout_streams{environment="production"} 1.0')
            start = pb.StartRolloutRequest(rollout="launch")
            await both.admin.stub.StartRollout(start, metadata=both.admin.metadata)
            await both.tells("rollout_guardrail_estimate{")
            told = await both.told()
            wanted = {name for query in queries().values() for name in metrics_in(query)}
            wanted |= {name for rule in rules() for name in metrics_in(rule["expr"])}
            assert len(wanted) > 30
            assert wanted - families(told) == OF_RELAYS
            assert [line for line in told if line.startswith("rollout_lease_held")].count(
                'rollout_lease_held{environment="production"} 1.0'
            ) == 1
            with prometheus(tmp_path, both.ports, job="rollout", rules=[DEPLOY / "prometheus" / "rules.yaml"]) as real:
                await scraped_twice(real)
                answers = {where: await asyncio.to_thread(answer, real, query) for where, query in queries().items()}
                seen = await asyncio.to_thread(alerting, real)
    assert {where: told for where, told in answers.items() if told["status"] != "success"} == {}
    assert {where for where, told in answers.items() if not told["data"]["result"]} == EMPTY
    assert [(rule["name"], rule["lastError"]) for rule in seen if rule["health"] == "err"] == []
    assert [rule["name"] for rule in seen] == [rule["alert"] for rule in rules()]
    assert [rule["name"] for rule in seen if rule["state"] != "inactive"] == []


async def scraped_twice(real: RealPrometheus) -> None:
    """A rate needs two scrapes."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            told = await asyncio.to_thread(answer, real, 'min(count_over_time(up{job="rollout"}[5m])) >= 5')
            if told["data"]["result"]:
                return
            await asyncio.sleep(0.05)
