"""An environment, its channels and a notifier that can be restarted, over a journal in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from rollout_server.adapters.notes_file import OwnNotes
from rollout_server.app.environment import Environment
from rollout_server.app.notify import Notifier
from rollout_server.domain.journal import Change, Draft
from rollout_server.domain.machine import Notice, NoticeKind, Run
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import ChannelSpec, RolloutSpec
from rollout_server.errors import Unavailable
from rollout_server.ports import FencedNotes
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_notes import MemoryNotes
from tests.doubles.recording_channel import RecordingChannel
from tests.small_environment import document, opened, put
from tests.small_notifications import STARTED

KEY = STARTED.rollout
ROLLOUT = ResourceId(Kind.ROLLOUT, KEY)
AWAY = Unavailable("webhook", "no answer", "it is tried again")


class World:
    """One environment over a journal in memory, its channels, and a notifier that can be restarted."""

    def __init__(self, journal: MemoryJournal, clock: FakeClock, notes: MemoryNotes | None = None) -> None:
        self.journal = journal
        self.clock = clock
        self.notes = notes or MemoryNotes()
        self.channels = {"team": RecordingChannel(), "pager": RecordingChannel()}
        self.slept: list[float] = []
        self.units: int | Exception | None = 1_204
        self.awake = asyncio.Event()
        self.awake.set()
        self.token: int | None = 1
        self.shared: FencedNotes | None = None

    async def sleep(self, wait_s: float) -> None:
        """Let the time pass at once, or when the test says so."""
        self.slept.append(wait_s)
        await self.awake.wait()
        self.clock.advance(round(wait_s * 1_000))
        await asyncio.sleep(0)

    def make(self, spec: ChannelSpec) -> RecordingChannel:
        """The channel whose command is this word."""
        return self.channels[spec.target]

    async def exposed(self, rollout: str, run: int) -> int | None:
        assert (rollout.startswith(KEY), run) == (True, STARTED.number)
        if isinstance(self.units, Exception):
            raise self.units
        return self.units

    @asynccontextmanager
    async def environment(self) -> AsyncIterator[Environment]:
        """This journal's environment, followed by a server that has just started."""
        environment = Environment(self.journal, self.clock)
        await environment.start()
        try:
            yield environment
        finally:
            await environment.close()

    @asynccontextmanager
    async def notifying(self, environment: Environment, link: str = "") -> AsyncIterator[Notifier]:
        """A notifier at work until the end of the block."""
        notifier = Notifier(
            environment,
            self.make,
            self.shared or OwnNotes(self.notes),
            fence=lambda: self.token,
            exposed=self.exposed,
            link=link,
            sleep=self.sleep,
            jitter=lambda: 1.0,
        )
        work = asyncio.create_task(notifier.keep_notifying())
        try:
            yield notifier
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
        assert work.cancelled()


@asynccontextmanager
async def notified() -> AsyncIterator[World]:
    """A world with three channels, of which two can be reached."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    async with opened(journal, clock) as environment:
        await put(environment, *(document("Channel", key, {"command": [key]}) for key in ("team", "pager", "chat")))
        yield World(journal, clock)


@asynccontextmanager
async def at_work(world: World) -> AsyncIterator[tuple[Environment, Notifier]]:
    async with world.environment() as environment, world.notifying(environment) as notifier:
        yield environment, notifier


async def commit(environment: Environment, run: Run | None, *more: Run) -> None:
    """Store runs as the controller does; the second under another key, and so on."""
    runs = {f"{KEY}-{number}" if number else KEY: one for number, one in enumerate((run, *more))}
    changes = tuple(
        Change(
            ResourceId(Kind.ROLLOUT, key),
            Resource(
                Kind.ROLLOUT,
                Metadata(key),
                RolloutSpec("checkout-v2", "off", "on", "careful"),
                RolloutStatus("a" * 16, run=one),
            ),
        )
        for key, one in runs.items()
    )
    await environment.commit(Draft({}, changes, "engine", "tick", environment.clock.now_ms()))


async def until(holds: Callable[[], bool]) -> None:
    """Return once it holds."""
    while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.001)


def told(run: Run, *channels: str, serial: int = 1) -> Run:
    """The run with one more notice, to these channels."""
    notice = Notice(f"{KEY}/{run.number}/{serial}", NoticeKind.HELD, f"sentence {serial}", channels)
    return replace(run, transition=run.transition + 1, notices=(notice,))
