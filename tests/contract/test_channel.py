"""The promises of `ports.Channel`, asked of every implementation."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout_server.adapters.addresses import Addresses
from rollout_server.adapters.apprise_channel import AppriseChannel
from rollout_server.adapters.channel_secrets import ChannelSecrets
from rollout_server.adapters.command_channel import CommandChannel
from rollout_server.adapters.webhook import Webhook
from rollout_server.domain.rollouts import ChannelSpec, Transport
from rollout_server.errors import Refused, Unavailable
from rollout_server.ports import Channel
from tests.doubles.fake_clock import FakeClock
from tests.doubles.hook_server import HANG, hooks
from tests.doubles.recording_channel import RecordingChannel
from tests.small_notifications import message

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise loads it

MESSAGE = message(units_exposed=7)
SECRET = "contract-s3cret"


@dataclass
class Line:
    """A channel and its other end.

    Attributes:
        got: every message that arrived, as one text each.
        fails: make the next attempt fail, in a way that may pass.
        hangs: make the next attempt hang; returns once it does.
        refused: the same channel, asked for what it must not do.
    """

    channel: Channel
    got: Callable[[], list[str]]
    fails: Callable[[], None]
    hangs: Callable[[], Callable[[], bool]]
    refused: Channel


def secrets() -> ChannelSecrets:
    return ChannelSecrets(["KEY"], {"KEY": SECRET})


@asynccontextmanager
async def recording(_: Path) -> AsyncIterator[Line]:
    channel, refused = RecordingChannel(), RecordingChannel(Refused("channel", "no", "do something"))

    def hangs() -> Callable[[], bool]:
        channel.is_stuck = True
        return lambda: channel.under_way == 1

    yield Line(
        channel,
        lambda: [one.sentence for one in channel.delivered],
        lambda: channel.failures.append(Unavailable("channel", "away")),
        hangs,
        refused,
    )


@asynccontextmanager
async def webhook(_: Path) -> AsyncIterator[Line]:
    async with hooks() as hook:
        given = {"addresses": Addresses(["127.0.0.1"]), "secrets": secrets(), "clock": FakeClock()}
        spec = ChannelSpec(Transport.WEBHOOK, f"http://127.0.0.1:{hook.port}/", secret_env="KEY")

        def hangs() -> Callable[[], bool]:
            hook.answers.append(HANG)
            before = len(hook.requests)
            return lambda: len(hook.requests) > before

        yield Line(
            Webhook(spec, **given),  # type: ignore[arg-type]  # one map for both
            lambda: [one.body.decode() for one in hook.requests],
            lambda: hook.answers.append(503),
            hangs,
            Webhook(spec, **{**given, "addresses": Addresses()}),  # type: ignore[arg-type]  # the same
        )


@asynccontextmanager
async def command(directory: Path) -> AsyncIterator[Line]:
    got, fails, hangs = directory / "got", directory / "fails", directory / "hangs"
    text = (
        'if [ -e "$1/fails" ]; then rm "$1/fails"; exit 1; fi;'
        ' if [ -e "$1/hangs" ]; then rm "$1/hangs"; sleep 1000; fi; cat >> "$1/got"; echo >> "$1/got"'
    )
    spec = ChannelSpec(Transport.COMMAND, "/bin/sh", ("-c", text, "sh", str(directory)))

    def hang() -> Callable[[], bool]:
        hangs.touch()
        return lambda: not hangs.exists()

    yield Line(
        CommandChannel(spec, allowed=["/bin/sh"]),
        lambda: got.read_text(encoding="utf-8").splitlines() if got.exists() else [],
        fails.touch,
        hang,
        CommandChannel(spec, allowed=[]),
    )


@asynccontextmanager
async def apprise(_: Path) -> AsyncIterator[Line]:
    async with hooks() as hook:
        spec = ChannelSpec(Transport.APPRISE, f"json://127.0.0.1:{hook.port}/{{secret}}", secret_env="KEY")

        def hangs() -> Callable[[], bool]:
            hook.answers.append(HANG)
            before = len(hook.requests)
            return lambda: len(hook.requests) > before

        yield Line(
            AppriseChannel(spec, allowed=["json"], secrets=secrets()),
            lambda: [one.body.decode() for one in hook.requests],
            lambda: hook.answers.append(503),
            hangs,
            AppriseChannel(spec, allowed=["json"], secrets=ChannelSecrets()),
        )
    for thread in threading.enumerate():
        if thread.name == "apprise json":  # cancelled: its end of the line is closed now, so it ends
            await asyncio.to_thread(thread.join)


@pytest.fixture(params=[recording, webhook, command, apprise])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Line]:
    async with request.param(tmp_path) as made:
        yield made


async def test_a_message_arrives(line: Line) -> None:
    """When `deliver` returns it is there, with its words."""
    await line.channel.deliver(MESSAGE)
    (got,) = line.got()
    assert MESSAGE.sentence in got


async def test_the_same_message_may_come_again(line: Line) -> None:
    await line.channel.deliver(MESSAGE)
    await line.channel.deliver(MESSAGE)
    first, second = line.got()
    assert first == second


async def test_messages_do_not_wait_for_each_other(line: Line) -> None:
    """Several at once all arrive."""
    await asyncio.gather(*(line.channel.deliver(MESSAGE) for _ in range(4)))
    assert len(line.got()) == 4


async def test_what_may_pass_is_unavailable_and_passes(line: Line) -> None:
    line.fails()
    with pytest.raises(Unavailable) as caught:
        await line.channel.deliver(MESSAGE)
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    await line.channel.deliver(MESSAGE)
    assert line.got()


async def test_what_must_not_be_is_refused_with_what_to_do(line: Line) -> None:
    """And nothing is sent."""
    with pytest.raises(Refused) as caught:
        await line.refused.deliver(MESSAGE)
    assert caught.value.rule == "channel"
    assert caught.value.hint
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert line.got() == []


async def test_an_attempt_may_be_cancelled(line: Line) -> None:
    """At once, although the other side hangs."""
    is_hanging = line.hangs()
    delivering = asyncio.create_task(line.channel.deliver(MESSAGE))
    while not is_hanging():  # noqa: ASYNC110 - the other side may be another process
        await asyncio.sleep(0.001)
    delivering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await delivering
    assert delivering.cancelled()
