"""`rollout health`: what a container's health check runs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.certificates import Authority
from tests.doubles.command_line import CommandLine
from tests.small_server import free_port, serving


@pytest.fixture
def rollout() -> CommandLine:
    """Without server, token and environment."""
    return CommandLine(environment="")


async def ask(rollout: CommandLine, *words: str) -> tuple[int, str, str]:
    outcome = await asyncio.to_thread(rollout, "health", *words)
    return outcome.code, outcome.out, outcome.err


async def test_a_server_that_serves_is_healthy_and_no_token_is_needed(rollout: CommandLine, tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        assert await ask(rollout, "--server", running.address) == (0, "", "serving\n")
        code, out, _ = await ask(rollout, "--server", running.address, "-o", "json")
    assert code == 0
    assert '"status": "serving"' in out


async def test_where_nobody_answers_it_exits_9(rollout: CommandLine) -> None:
    """At once, and within its time at the latest."""
    code, _, err = await ask(rollout, "--server", f"127.0.0.1:{free_port()}", "--timeout", "1s")
    assert code == 9
    assert "error: " in err


def test_a_server_that_starts_or_drains_is_not_healthy(rollout: CommandLine) -> None:
    """No traffic is to be sent there."""
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    outcome = rollout("health", "--server", f"127.0.0.1:{port}")
    server.stop(None)
    assert outcome.code == 1
    assert "not serving" in outcome.err


async def test_tls_takes_the_authority_as_every_command_does(rollout: CommandLine, tmp_path: Path) -> None:
    authority = Authority()
    cert, key = authority.sign().write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    rollout.variables["ROLLOUT_TLS_CA"] = str(tmp_path / "ca.pem")
    async with serving(tmp_path / "data", tls_cert=cert, tls_key=key) as running:
        code, _, err = await ask(rollout, "--server", running.address)
    assert (code, err) == (0, "serving\n")


@pytest.mark.parametrize("time", ["soon", "-1s"])
async def test_a_time_that_is_none_is_refused(rollout: CommandLine, time: str) -> None:
    code, _, _ = await ask(rollout, "--timeout", time)
    assert code == 2
