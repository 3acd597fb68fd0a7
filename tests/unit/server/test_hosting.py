"""What is around every server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from rollout_server.hosting import Phase, address_of, certificates_of, in_background, pace_of, with_port
from tests.small_server import settings


def test_a_server_gets_traffic_when_it_lacks_nothing_and_does_not_stop() -> None:
    phase = Phase()
    assert phase.why_not_ready() == "starting"
    phase.lacks = ""
    assert phase.why_not_ready() == ""
    phase.is_stopping = True
    assert phase.why_not_ready() == "stopping"


async def test_work_that_breaks_is_noticed_and_all_of_it_ends_with_the_server() -> None:
    async def breaks() -> None:
        raise ValueError("a bug")

    broken, ended = asyncio.Event(), asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with AsyncExitStack() as stack:
        in_background(stack, goes_on(), asyncio.Event())
        in_background(stack, breaks(), broken)
        await asyncio.wait_for(broken.wait(), 10)
    assert ended.is_set()


def test_settings_become_what_they_mean(tmp_path: Path) -> None:
    """Without a certificate there is none; the pace is that of the settings."""
    given = settings(tmp_path, hello_within_ms=200)
    assert certificates_of(given) is None
    assert pace_of(given).hello_within_ms == 200


def test_addresses_name_the_port_that_was_taken() -> None:
    assert with_port("[::1]:0", 7) == "[::1]:7"
    assert address_of(None, "127.0.0.1:0") == ""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert address_of(listening, "127.0.0.1:0") == f"127.0.0.1:{listening.getsockname()[1]}"
