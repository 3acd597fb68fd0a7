"""HTTP beside gRPC: alive, ready, measured."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rollout_server.api.http import application, listen, serving
from rollout_server.api.metrics import Metrics
from rollout_server.errors import Unavailable
from tests.small_server import http_get
from tests.small_server import serving as server


async def test_a_server_is_alive_ready_and_measured(tmp_path: Path) -> None:
    async with server(tmp_path, http_listen="127.0.0.1:0") as running:
        assert await http_get(running.http_address, "/healthz") == (200, "alive\n")
        assert await http_get(running.http_address, "/readyz") == (200, "ready\n")
        status, body = await http_get(running.http_address, "/metrics")
        assert status == 200
        assert 'rollout_revision{environment="production"}' in body
        assert (await http_get(running.http_address, "/console"))[0] == 404


async def test_metrics_are_not_public_unless_told_so(tmp_path: Path) -> None:
    """Other machines learn nothing by default."""
    async with server(tmp_path, http_listen="0.0.0.0:0") as running:
        local = f"127.0.0.1:{running.http_address.rpartition(':')[2]}"
        assert (await http_get(local, "/metrics"))[0] == 404
        assert (await http_get(local, "/readyz"))[0] == 200
    async with server(tmp_path, http_listen="0.0.0.0:0", metrics_public=True) as running:
        local = f"127.0.0.1:{running.http_address.rpartition(':')[2]}"
        assert (await http_get(local, "/metrics"))[0] == 200


async def test_readiness_follows_what_the_server_says() -> None:
    """Not before the environments are loaded, and not while it stops."""
    why = "starting"
    metrics = Metrics(list, "memory", is_durable=False)
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    async with serving(application(metrics, lambda: why, has_metrics=False), listening):
        assert await http_get(address, "/readyz") == (503, "starting\n")
        assert (await http_get(address, "/healthz"))[0] == 200
        why = ""
        assert (await http_get(address, "/readyz"))[0] == 200


def test_a_taken_port_is_said_with_what_to_do() -> None:
    with listen("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be opened") as caught:
            listen(f"127.0.0.1:{port}")
    assert "ROLLOUT_HTTP_LISTEN" in caught.value.hint
