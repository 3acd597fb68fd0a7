"""What was to be told is told, whatever is restarted, killed, lost or overtaken in between; and mostly once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.app.notify import LOOK_BACK_MS
from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.notification import Sending
from tests.doubles.memory_notes import MemoryNotes, SharedNotes
from tests.doubles.recording_channel import RecordingChannel
from tests.notifier_world import AWAY, KEY, ROLLOUT, World, at_work, commit, notified, told, until
from tests.small_environment import delete, flag, put
from tests.small_notifications import STARTED, broken, tick


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with notified() as found:
        yield found


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
