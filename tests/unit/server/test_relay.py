"""A relay is put together from its settings; what it does is shown in tests/e2e/test_relay.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.errors import Corrupt
from rollout_server.relay import start_relay
from tests.small_server import free_port, http_get, settings


async def test_it_answers_at_once_and_is_not_ready_before_it_has_something_to_serve(tmp_path: Path) -> None:
    """Nobody is there to follow; it lives."""
    options = {"upstream": f"127.0.0.1:{free_port()}", "upstream_token": "rg_x", "http_listen": "127.0.0.1:0"}
    async with start_relay(settings(tmp_path, **options)) as relay:
        assert await http_get(relay.http_address, "/healthz") == (200, "alive\n")
        assert await http_get(relay.http_address, "/readyz") == (503, "upstream was never heard\n")
        assert not relay.broken.is_set()


async def test_a_damaged_file_is_said_and_nothing_is_served(tmp_path: Path) -> None:
    """Rather than an empty ruleset: somebody has to look."""
    (tmp_path / "relay-production").write_bytes(b"\xff\xff\xff")
    with pytest.raises(Corrupt):
        async with start_relay(settings(tmp_path, upstream="127.0.0.1:1", upstream_token="rg_x")):
            pass
