"""Apprise as it is, with its `json://` and a real server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog

from rollout_server.adapters.apprise_channel import AppriseChannel
from rollout_server.adapters.channel_secrets import ChannelSecrets
from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.notification import text, title
from rollout_server.domain.rollouts import ChannelSpec, Transport
from rollout_server.errors import Refused, Unavailable
from rollout_server.logs import configure
from tests.doubles.hook_server import HANG, HookServer, hooks
from tests.small_notifications import STARTED, broken, message

pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # apprise loads all its services
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SECRET = "ap/s3cret@never#seen"
AROUND = {"HOOK": SECRET, "WORD": "pass:s3cret@word"}
MESSAGE = message(units_exposed=7)


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hooks() as server:
        yield server


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What this server logs, with every level of every library switched on."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure("debug", stream)
    root.setLevel(1)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def channel(url: str, secret_env: str = "", *, allowed: tuple[str, ...] = ("json",), **options: Any) -> AppriseChannel:
    spec = ChannelSpec(Transport.APPRISE, url, secret_env=secret_env)
    return AppriseChannel(spec, allowed=allowed, secrets=ChannelSecrets(AROUND, AROUND), **options)


async def test_a_service_gets_title_and_text(hook: HookServer) -> None:
    await channel(f"json://127.0.0.1:{hook.port}/x").deliver(MESSAGE)
    (asked,) = hook.requests
    sent = json.loads(asked.body)
    assert (sent["title"], sent["message"], sent["type"]) == (title(MESSAGE), text(MESSAGE), "warning")


async def test_how_bad_it_is_is_said_too(hook: HookServer) -> None:
    """For services that have colours and sounds for it."""
    for run in (STARTED, broken()):
        await channel(f"json://127.0.0.1:{hook.port}/x").deliver(message(run))
    assert [json.loads(one.body)["type"] for one in hook.requests] == ["info", "failure"]
    assert message(broken()).kind is NoticeKind.ROLLED_BACK


async def test_the_secret_is_put_into_the_url(hook: HookServer) -> None:
    """Escaped but for slashes, so that one variable may hold a path of several tokens."""
    await channel(f"json://127.0.0.1:{hook.port}/{{secret}}/end", "HOOK").deliver(MESSAGE)
    assert hook.requests[0].path.startswith("/ap/s3cret@never%23seen/end")


async def test_a_failure_is_worth_trying_again(hook: HookServer) -> None:
    hook.answers = [500]
    with pytest.raises(Unavailable, match="json did not take it"):
        await channel(f"json://127.0.0.1:{hook.port}/x").deliver(MESSAGE)
    await channel(f"json://127.0.0.1:{hook.port}/x").deliver(MESSAGE)
    assert len(hook.requests) == 2


async def test_a_redirect_is_not_followed(hook: HookServer) -> None:
    async with hooks() as inside:
        hook.answers, hook.location = [307], f"http://127.0.0.1:{inside.port}/"
        with pytest.raises(Unavailable):
            await channel(f"json://127.0.0.1:{hook.port}/x").deliver(MESSAGE)
        assert inside.requests == []


async def test_a_service_that_hangs_holds_up_nobody() -> None:
    """Apprise's own thread goes on until its own time limit."""
    async with hooks() as hook:
        hook.answers = [HANG]
        with pytest.raises(Unavailable, match="did not answer"):
            await channel(f"json://127.0.0.1:{hook.port}/x", timeout_s=0.05).deliver(MESSAGE)
    for thread in threading.enumerate():
        if thread.name == "apprise json":
            await asyncio.to_thread(thread.join)


@pytest.mark.parametrize("url", ["syslog://x", "JSONS://x", "file://x", "://x"])
async def test_a_service_that_no_setting_names_is_not_used(url: str) -> None:
    with pytest.raises(Refused, match="may not use the service") as caught:
        await channel(url).deliver(MESSAGE)
    assert "ROLLOUT_CHANNEL_SERVICES" in caught.value.hint


async def test_a_url_that_the_service_cannot_read_is_refused_without_the_secret() -> None:
    with pytest.raises(Refused, match="cannot read this URL of slack") as caught:
        await channel("slack://?{secret}", "HOOK", allowed=("slack",)).deliver(MESSAGE)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


async def test_a_missing_secret_sends_nothing(hook: HookServer) -> None:
    with pytest.raises(Refused, match="OTHER"):
        await channel(f"json://127.0.0.1:{hook.port}/{{secret}}", "OTHER").deliver(MESSAGE)
    assert hook.requests == []


async def test_without_the_extra_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Refused, match="not installed") as caught:
        await channel("json://127.0.0.1:1/x").deliver(MESSAGE)
    assert "pip install 'rollout-guard[apprise]'" in caught.value.hint


async def test_no_log_line_holds_the_secret(hook: HookServer, logged: io.StringIO) -> None:
    """Apprise logs what it does, its password where it is asked for everything; ours lets none of it through."""
    hook.answers = [500]
    with pytest.raises(Unavailable) as caught:
        await channel(f"json://user:{{secret}}@127.0.0.1:{hook.port}/x", "WORD").deliver(MESSAGE)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"
    assert '"logger": "apprise"' in logged.getvalue()
    assert "s3cret" not in logged.getvalue()
    assert base64.b64decode(hook.requests[0].headers["authorization"].split()[1]) == b"user:pass:s3cret@word"
