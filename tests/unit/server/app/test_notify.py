"""Every notice to each of its channels, at least once, whatever fails or restarts in between."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog

from rollout_sdk.engine.model import Json
from rollout_server.adapters.notes_file import OwnNotes
from rollout_server.app.environment import Environment
from rollout_server.app.hand_over import AT_ONCE_MAX
from rollout_server.app.notify import GIVE_UP_MS, LOOK_BACK_MS, SAVE_EVERY_ENTRIES, WAITING_MAX, Notifier
from rollout_server.domain.journal import Change, Draft
from rollout_server.domain.machine import Acknowledge, Notice, NoticeKind, Run
from rollout_server.domain.notification import Sending
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import ChannelSpec, RolloutSpec
from rollout_server.errors import Refused, Unavailable
from rollout_server.ports import FencedNotes
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_notes import MemoryNotes, SharedNotes
from tests.doubles.recording_channel import RecordingChannel
from tests.small_environment import delete, document, flag, opened, put
from tests.small_notifications import STARTED, after, broken, tick

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


@pytest.fixture
async def world() -> AsyncIterator[World]:
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


async def test_a_notice_is_sent_to_its_channels(world: World) -> None:
    """With what is known of the run; those of later steps of the escalation get nothing yet."""
    async with world.environment() as environment, world.notifying(environment, "https://x.example/{run}") as notifier:
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        (one,) = world.channels["team"].delivered
        assert (one.kind, one.environment, one.units_exposed) == (NoticeKind.STARTED, "production", 1_204)
        assert one.link == "https://x.example/2"
        await until(lambda: notifier.waiting_count == 0)
        (outcome,) = notifier.outcomes(KEY, 2)
        assert (outcome.channel, outcome.sending, outcome.attempts) == ("team", Sending.DELIVERED, 1)
        assert world.channels["pager"].tried == []
        assert notifier.counts == {Sending.DELIVERED: 1}


async def test_the_escalation_goes_on_to_the_next_channel(world: World) -> None:
    """What the machine tells later is another message with the same sentence; who acknowledged ends it."""
    held = tick(STARTED)
    async with at_work(world) as (environment, _):
        await commit(environment, held)
        later = tick(held, ticks=89)
        assert later.notices == held.notices
        await commit(environment, later)
        paged = tick(held, ticks=90)
        await commit(environment, paged)
        await until(lambda: len(world.channels["pager"].delivered) == 1)
        (team,), (pager,) = world.channels["team"].delivered, world.channels["pager"].delivered
        assert (team.sentence, team.ack) == (pager.sentence, pager.ack)
        assert team.ack
        assert team.id != pager.id
        await commit(environment, after(Acknowledge("mia@example.com", 0), run=paged))
        await commit(environment, broken(paged))
        await until(lambda: len(world.channels["team"].delivered) == 2)
        assert len(world.channels["pager"].delivered) == 1


async def test_what_stands_is_not_told_twice(world: World) -> None:
    """Edits of the rollout, ticks without a transition, and a notice for the feed only send nothing."""
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await commit(environment, STARTED)
        await commit(environment, replace(STARTED, progress=replace(STARTED.progress, soak_ms=7)))
        await commit(environment, told(STARTED, serial=8))
        await commit(environment, told(told(STARTED), "team", "team", serial=9))
        await until(lambda: len(world.channels["team"].delivered) == 2)
        assert [one.sentence for one in world.channels["team"].delivered] == [
            STARTED.notices[0].sentence,
            "sentence 9",
        ]
        assert len(notifier.outcomes(KEY, 2)) == 2


async def test_a_failure_is_tried_again_with_growing_waits(world: World) -> None:
    """Full jitter below 1 s, 2 s, 4 s; the same message each time."""
    world.channels["team"].failures = [AWAY, AWAY, AWAY]
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        assert world.slept == [1.0, 2.0, 4.0]
        assert len(set(world.channels["team"].tried)) == 1
        await until(lambda: notifier.waiting_count == 0)
        (outcome,) = notifier.outcomes(KEY, 2)
        assert (outcome.sending, outcome.attempts, outcome.why) == (Sending.DELIVERED, 4, "")


async def test_while_it_is_tried_the_reason_is_told(world: World) -> None:
    world.channels["team"].failures = [AWAY]
    world.awake.clear()
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await until(lambda: bool(world.slept))
        (outcome,) = notifier.outcomes(KEY, 2)
        assert (outcome.sending, outcome.attempts, outcome.why) == (Sending.RETRYING, 1, "no answer")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=stream), cache_logger_on_first_use=False)
    yield stream
    structlog.reset_defaults()


async def test_after_an_hour_it_is_given_up_aloud(world: World, logged: io.StringIO) -> None:
    """In the log, in the counts and in the outcome; the last attempt is made when the hour is over."""
    world.channels["team"].failures = [AWAY] * 10_000
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await until(lambda: notifier.counts[Sending.GIVEN_UP] == 1)
        assert sum(world.slept) * 1_000 == GIVE_UP_MS
        assert max(world.slept) == 300.0
        (outcome,) = notifier.outcomes(KEY, 2)
        assert (outcome.sending, outcome.why) == (Sending.GIVEN_UP, "no answer; it is tried again")
        assert outcome.attempts == len(world.slept) + 1
        assert "a notification was given up" in logged.getvalue()
        assert "no answer" not in logged.getvalue()


async def test_a_no_is_not_argued_with(world: World) -> None:
    """Given up at once, with what to do."""
    world.channels["team"].failures = [Refused("channel", "it answered 404", "correct the URL")]
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await until(lambda: notifier.counts[Sending.GIVEN_UP] == 1)
        (outcome,) = notifier.outcomes(KEY, 2)
        assert (outcome.attempts, outcome.why) == (1, "it answered 404; correct the URL")
        assert world.slept == []


async def test_a_channel_that_is_gone_is_said(world: World) -> None:
    """Deleted before the message, or while it was tried again; the others get theirs."""
    world.channels["team"].failures = [AWAY]
    world.awake.clear()
    async with at_work(world) as (environment, notifier):
        await commit(environment, told(STARTED, "nobody", "pager", "team"))
        await until(lambda: bool(world.slept))
        await delete(environment, ResourceId(Kind.CHANNEL, "team"))
        world.awake.set()
        await until(lambda: notifier.counts[Sending.GIVEN_UP] == 2)
        outcomes = {one.channel: one for one in notifier.outcomes(KEY, 2)}
        assert "there is no channel nobody here any more" in outcomes["nobody"].why
        assert "there is no channel team here any more" in outcomes["team"].why
        assert outcomes["pager"].sending is Sending.DELIVERED


async def test_mending_a_channel_mends_what_waits(world: World) -> None:
    """It is read again at each attempt."""
    world.channels["team"].failures = [AWAY]
    world.awake.clear()
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: bool(world.slept))
        await put(environment, document("Channel", "team", {"command": ["pager"]}))
        world.awake.set()
        await until(lambda: len(world.channels["pager"].delivered) == 1)


async def test_a_channel_that_is_stuck_delays_nobody(world: World) -> None:
    """Neither another channel nor whoever commits; and it is asked no more than a few times at once."""
    world.channels["team"].is_stuck = True
    async with at_work(world) as (environment, notifier):
        run = STARTED
        for serial in range(1, 21):
            run = told(run, "team", "pager", serial=serial)
            await commit(environment, run)
        await until(lambda: len(world.channels["pager"].delivered) == 20)
        assert world.channels["team"].most_under_way == AT_ONCE_MAX
        assert notifier.waiting_count == 20


async def test_a_bug_in_a_channel_stays_there(world: World) -> None:
    """It is logged and tried again; the others go on."""
    world.channels["team"].failures = [ValueError("a bug")]
    async with at_work(world) as (environment, _):
        await commit(environment, told(STARTED, "team", "pager"))
        await until(lambda: bool(world.channels["team"].delivered and world.channels["pager"].delivered))


@pytest.mark.parametrize("units", [None, Unavailable("telemetry", "away"), 0])
async def test_a_figure_that_nobody_knows_holds_nothing_up(world: World, units: int | Exception | None) -> None:
    world.units = units
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        assert world.channels["team"].delivered[0].units_exposed == (units if isinstance(units, int) else None)


async def test_what_was_committed_while_nobody_sent_is_sent_after(world: World) -> None:
    """Also notices of transitions that others have followed since."""
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
    async with world.environment() as environment:
        await commit(environment, held := tick(STARTED))
        await put(environment, flag("other"))
        await commit(environment, broken(held))
    async with at_work(world):
        await until(lambda: len(world.channels["team"].delivered) == 3)
    kinds = [one.kind for one in world.channels["team"].delivered]
    assert kinds == [NoticeKind.STARTED, NoticeKind.HELD, NoticeKind.ROLLED_BACK]


async def test_a_restart_between_notice_and_delivery_sends_the_same(world: World) -> None:
    """Same id, same words, although the figures have changed; and once."""
    world.channels["team"].failures = [AWAY] * 3
    world.awake.clear()
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: bool(world.slept))
    world.channels["team"].failures, world.units = [], 9_999
    async with at_work(world) as (_, notifier):
        await until(lambda: len(world.channels["team"].delivered) == 1)
        await until(lambda: notifier.waiting_count == 0)
        assert notifier.outcomes(KEY, 2)[0].attempts == 2
    assert len(set(world.channels["team"].tried)) == 1
    async with at_work(world) as (environment, notifier):
        await commit(environment, told(STARTED, "pager"))
        await until(lambda: len(world.channels["pager"].delivered) == 1)
        assert [one.sending for one in notifier.outcomes(KEY, 2)] == [Sending.DELIVERED] * 2
    assert len(world.channels["team"].delivered) == 1


async def test_a_crash_before_the_note_repeats_and_never_loses(world: World) -> None:
    """A server killed after the entry, or after the delivery, finds an old note: the id is the same."""
    async with at_work(world) as (environment, _):
        await until(lambda: world.notes.saves > 0)
        old = world.notes.text
        await commit(environment, held := tick(STARTED))
        await commit(environment, broken(held))
        await until(lambda: len(world.channels["team"].delivered) == 2)
    world.notes.text = old
    async with at_work(world):
        await until(lambda: len(world.channels["team"].delivered) == 4)
    ids = world.channels["team"].ids
    assert sorted(ids[:2]) == sorted(ids[2:])


async def test_without_its_note_it_repeats_the_last_day(world: World) -> None:
    """Every notice of it, not only those that stand; nothing older."""
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        world.clock.advance(LOOK_BACK_MS + 1)
        await commit(environment, held := tick(STARTED))
        await commit(environment, broken(held))
        await until(lambda: len(world.channels["team"].delivered) == 3)
    for lost in ("null", "[7]", '{"epoch": "another", "revision": 3, "messages": []}'):
        world.notes.text, world.channels["team"] = lost, RecordingChannel()
        async with at_work(world):
            await until(lambda: len(world.channels["team"].delivered) == 2)
            await asyncio.sleep(0)
        assert {one.kind for one in world.channels["team"].delivered} == {NoticeKind.HELD, NoticeKind.ROLLED_BACK}


async def test_an_environment_that_never_told_anything_starts_quietly(world: World) -> None:
    """An upgrade wakes nobody over what happened long ago."""
    async with world.environment() as environment:
        await commit(environment, STARTED)
    world.clock.advance(LOOK_BACK_MS + 1)
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED, replace(STARTED, rollout=f"{KEY}-1", changed_at_ms=1))
        await until(lambda: notifier.waiting_count == 0 and len(world.channels["team"].delivered) == 1)
    assert world.channels["team"].delivered[0].rollout == f"{KEY}-1"


async def test_history_that_is_gone_leaves_what_stands(world: World) -> None:
    """Compacted past the note: the last notices of runs that changed within a day are told."""
    async with at_work(world) as (environment, _):
        await until(lambda: world.notes.saves > 0)
    async with world.environment() as environment:
        await commit(environment, replace(STARTED, changed_at_ms=world.clock.now_ms()))
        await commit(environment, replace(tick(STARTED), changed_at_ms=world.clock.now_ms()))
        world.clock.advance(5)
    await world.journal.compact(world.clock.now_ms())
    async with at_work(world):
        await until(lambda: len(world.channels["team"].delivered) == 1)
    assert world.channels["team"].delivered[0].kind is NoticeKind.HELD


async def test_a_history_that_was_taken_over_whole_is_told_too(world: World) -> None:
    """Entries were lost from the log: what stands is what counts, and it is told once."""
    async with at_work(world) as (environment, notifier):
        await commit(environment, replace(STARTED, changed_at_ms=world.clock.now_ms()))
        await until(lambda: len(world.channels["team"].delivered) == 1)
        await world.journal.renew_epoch()
        await until(lambda: environment.position.epoch != "" and environment.is_following)
        await commit(environment, told(STARTED, "pager"))
        await until(lambda: len(world.channels["pager"].delivered) == 1)
        assert len(notifier.outcomes(KEY, 2)) == 2


async def test_a_rollout_made_again_under_the_same_key_is_told_anew(world: World) -> None:
    """Its runs and notices are counted from one again; the moment tells them apart."""
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await delete(environment, ROLLOUT)
        await commit(environment, replace(STARTED, changed_at_ms=STARTED.changed_at_ms + 1))
        await until(lambda: len(world.channels["team"].delivered) == 2)
        assert len(set(world.channels["team"].ids)) == 2


async def test_a_store_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    async with world.environment() as environment:
        await commit(environment, STARTED)
        world.journal.is_away = True
        async with world.notifying(environment):
            await until(lambda: bool(world.slept))
            world.journal.is_away = False
            await until(lambda: len(world.channels["team"].delivered) == 1)


async def test_a_disk_that_takes_no_note_silences_nobody(world: World) -> None:
    world.notes.is_full = True
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        await commit(environment, tick(STARTED))
        await until(lambda: len(world.channels["team"].delivered) == 2)
    assert world.notes.saves == 0


class SlowNotes(MemoryNotes):
    """Says when it is asked, and answers when it is let."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.asked, self.let = threading.Event(), threading.Event()

    def load(self) -> Json:
        self.asked.set()
        self.let.wait()
        return super().load()


async def test_a_note_that_was_not_read_is_not_overwritten(world: World) -> None:
    """A server that is stopped while it starts forgets nothing."""
    world.channels["team"].failures = [AWAY]
    world.awake.clear()
    async with at_work(world) as (environment, _):
        await commit(environment, STARTED)
        await until(lambda: bool(world.slept))
    kept = world.notes.text
    world.notes = notes = SlowNotes(kept)
    async with at_work(world):
        await asyncio.to_thread(notes.asked.wait)
    notes.let.set()
    assert notes.text == kept
    assert json.loads(kept)["messages"]


async def test_how_far_the_journal_was_followed_is_noted_now_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a restart after a quiet month would read all of it."""
    assert SAVE_EVERY_ENTRIES > 100
    monkeypatch.setattr("rollout_server.app.notify.SAVE_EVERY_ENTRIES", 3)
    monkeypatch.setattr("rollout_server.app.notify.SAVE_EVERY_S", 0.0)
    async with at_work(world) as (environment, _):
        await until(lambda: world.notes.saves == 1)
        for number in range(3):
            await put(environment, flag(f"flag-{number}"))
        await until(lambda: world.notes.saves == 2)


async def test_too_many_for_one_channel_are_given_up_oldest_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is newest is what people need, and memory is bounded."""
    assert WAITING_MAX >= 100
    monkeypatch.setattr("rollout_server.app.notify.WAITING_MAX", 3)
    world.channels["team"].is_stuck = True
    async with at_work(world) as (environment, notifier):
        run = STARTED
        for serial in range(1, 6):
            run = told(run, "team", serial=serial)
            await commit(environment, run)
        await until(lambda: notifier.counts[Sending.GIVEN_UP] == 2)
        sendings = [one.sending for one in notifier.outcomes(KEY, 2)]
        assert sendings == [Sending.GIVEN_UP] * 2 + [Sending.WAITING] * 3
        assert notifier.outcomes(KEY, 2)[0].attempts == 0
        await until(lambda: world.channels["team"].under_way == 3)


@pytest.fixture
def shared(world: World, monkeypatch: pytest.MonkeyPatch) -> SharedNotes:
    """Notes of several servers; they look often, so that a test need not wait."""
    monkeypatch.setattr("rollout_server.app.notify.LOOK_EVERY_S", 0.001)
    monkeypatch.setattr("rollout_server.app.notify.SAVE_EVERY_S", 0.0)
    world.shared = notes = SharedNotes()
    return notes


def beside(world: World, shared: SharedNotes, token: int | None) -> World:
    """Another server on the same journal, with channels of its own: what it sends can be told apart."""
    other = World(world.journal, world.clock)
    other.token, other.shared = token, shared
    return other


async def test_of_several_servers_the_holder_of_the_lease_tells(world: World, shared: SharedNotes) -> None:
    """One copy; and the others can say who was told."""
    other = beside(world, shared, None)
    async with at_work(world) as (environment, _), at_work(other) as (_, reader):
        await commit(environment, STARTED)
        await until(lambda: [one.sending for one in reader.outcomes(KEY, 2)] == [Sending.DELIVERED])
        assert reader.waiting_count == 0
    assert len(world.channels["team"].tried) == 1
    assert other.channels["team"].tried == []


async def test_the_next_holder_goes_on_from_the_note(world: World, shared: SharedNotes) -> None:
    """What was told is not told again, what waited is sent, what happened in between is found."""
    other = beside(world, shared, None)
    world.channels["pager"].is_stuck = True
    async with other.environment() as environment, other.notifying(environment):
        async with at_work(world) as (first, notifier):
            await commit(first, told(STARTED, "team", "pager"))
            await until(lambda: len(world.channels["team"].delivered) == 1 and notifier.waiting_count == 1)
            await until(lambda: '"delivered"' in shared.text)
        world.token, shared.newest = None, 2  # it died, and its lease went to the other
        await commit(environment, told(tick(STARTED), "team", serial=2))
        assert other.channels["team"].tried == []
        other.token = 2
        await until(lambda: len(other.channels["team"].delivered) == 1)
        await until(lambda: len(other.channels["pager"].delivered) == 1)
    sentences = {key: [one.sentence for one in channel.tried] for key, channel in other.channels.items()}
    assert sentences == {"team": ["sentence 2"], "pager": ["sentence 1"]}


async def test_who_was_overtaken_unawares_stops_at_the_note(world: World, shared: SharedNotes) -> None:
    """It hung, believes in its token still, and may repeat what it was sending; but it writes nothing over the new."""
    async with at_work(world) as (environment, notifier):
        await commit(environment, STARTED)
        await until(lambda: '"delivered"' in shared.text)
        shared.newest, kept = 2, shared.text
        await commit(environment, told(tick(STARTED), "team", serial=2))
        await until(lambda: len(notifier.outcomes(KEY, 2)) == 1 and not notifier.waiting_count)
        await commit(environment, told(told(tick(STARTED), "team", serial=2), "pager", serial=3))
        await asyncio.sleep(0.02)
        assert world.channels["pager"].tried == []
        assert shared.text == kept
        world.token = 3
        await until(lambda: len(world.channels["pager"].delivered) == 1)
        await until(lambda: len(json.loads(shared.text)["messages"]) == 3)


async def test_a_store_that_was_away_for_longer_than_the_lease_repeats_nothing(
    world: World, shared: SharedNotes
) -> None:
    """Nobody else held it meanwhile: what this server told and could not note is noted when the store is back."""
    async with at_work(world) as (environment, notifier):
        await until(lambda: shared.saves == 1)
        shared.is_away = True
        await commit(environment, STARTED)
        await until(lambda: len(world.channels["team"].delivered) == 1)
        world.token = None
        await until(lambda: notifier.waiting_count == 0)
        await asyncio.sleep(0.01)
        shared.is_away, world.token = False, 1
        await commit(environment, told(tick(STARTED), "pager"))
        await until(lambda: len(world.channels["pager"].delivered) == 1)
        await until(lambda: len(json.loads(shared.text)["messages"]) == 2)
    assert len(world.channels["team"].tried) == 1
