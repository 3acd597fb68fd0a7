"""Every notice to each of its channels, at least once, whatever fails or restarts in between."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import structlog

from rollout_server.app.hand_over import AT_ONCE_MAX
from rollout_server.app.notify import GIVE_UP_MS, SAVE_EVERY_ENTRIES, WAITING_MAX
from rollout_server.domain.machine import Acknowledge, NoticeKind
from rollout_server.domain.notification import Sending
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import Refused, Unavailable
from tests.notifier_world import AWAY, KEY, World, at_work, commit, notified, told, until
from tests.small_environment import delete, document, flag, put
from tests.small_notifications import STARTED, after, broken, tick


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with notified() as found:
        yield found


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
