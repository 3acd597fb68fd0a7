"""From a person's command to a page in another process, with a server in a process of its own that may be killed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.doubles.hook_server import HANG, HookServer, Request, hooks
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, process_on

SECRET = "e2e-s3cret-never-seen"


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hooks() as server:
        yield server


@pytest.fixture
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_SECRET", SECRET)


@asynccontextmanager
async def server(data: Path) -> AsyncIterator[tuple[ServerProcess, Person]]:
    """A server that may reach loopback, and its admin."""
    async with (
        process_on(data, channel_allow_private="127.0.0.1", channel_secrets="PAGER_SECRET") as process,
        channel_to(process.address) as channel,
    ):
        yield process, await admin_of(data, channel)


async def set_up(admin: Person, port: int) -> None:
    """A rollout that is ready to start, and one channel that hears of it."""
    await admin.apply(
        document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
        document("Channel", "pager", {"webhook": f"http://127.0.0.1:{port}/", "secret": {"env": "PAGER_SECRET"}}),
        document(
            "Pipeline",
            "careful",
            {
                "stages": [{"name": "canary", "share": "1%", "soak": "1h"}],
                "escalation": [{"after": "0m", "notify": "pager"}],
            },
        ),
        document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
    )


async def start(admin: Person) -> None:
    request = pb.StartRolloutRequest(intent=pb.Intent(reason="today"), rollout="launch")
    await admin.stub.StartRollout(request, metadata=admin.metadata)


def is_signed(asked: Request) -> bool:
    signed = f"{asked.headers['rollout-id']}.{asked.headers['rollout-timestamp']}.".encode() + asked.body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return asked.headers["rollout-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.usefixtures("_secret")
async def test_what_people_do_is_told_by_a_signed_webhook(hook: HookServer, tmp_path: Path) -> None:
    """Started, and then killed: each once, with the command that makes everybody safe while it does something."""
    async with server(tmp_path) as (process, admin):
        await set_up(admin, hook.port)
        await start(admin)
        await hook.wait(1)
        await admin.kill("checkout")
        started, killed = await hook.wait(2)
        assert is_signed(started)
        assert is_signed(killed)
        told = [json.loads(one.body) for one in (started, killed)]
        assert [one["kind"] for one in told] == ["started", "killed"]
        assert [one["commands"]["rollback"] for one in told] == ["rollout -e production rollback checkout", ""]
        assert [one["share_ppm"] for one in told] == [10_000, 0]
        _, said = await process.end(kill=False)
    assert SECRET not in said
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: ASYNC240 - the test waits for nothing else
    assert SECRET.encode() not in stored


@pytest.mark.usefixtures("_secret")
async def test_a_server_killed_before_the_message_was_taken_sends_it_again(hook: HookServer, tmp_path: Path) -> None:
    """The same id and the same words, after the restart."""
    hook.answers = [HANG]
    async with server(tmp_path) as (process, admin):
        await set_up(admin, hook.port)
        await start(admin)
        await hook.wait(1)
        await process.end(kill=True)
    async with server(tmp_path) as (process, admin):
        first, again = await hook.wait(2)
        await admin.kill("checkout")
        await messages(hook, 2)
        await process.end(kill=False)
    async with server(tmp_path) as (_, admin):
        await admin.unkill("checkout")
        await start(admin)
        told = await messages(hook, 3)
    assert first.headers["rollout-id"] == again.headers["rollout-id"]
    assert first.body == again.body
    assert is_signed(again)
    assert [(one["kind"], one["run"]) for one in told] == [("started", 1), ("killed", 1), ("started", 2)]


async def messages(hook: HookServer, count: int) -> list[dict[str, Any]]:
    """Return so many different messages once they came; one that is under way when a server stops comes again."""
    while len(told := {one.headers["rollout-id"]: json.loads(one.body) for one in hook.requests}) < count:
        await hook.wait(len(hook.requests) + 1)
    return list(told.values())
