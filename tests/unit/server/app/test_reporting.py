"""Quiet or blind."""

from __future__ import annotations

from collections.abc import Mapping

from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instance import Instance
from rollout_server.app.reporting import MISSED_AFTER_MS, Reporting, report_name, who_reports
from rollout_server.domain.guardrails.look import Feed
from tests.rollout_room import documents, guarded, room


def instance(number: int, *, connected_at_ms: int = 0, is_connected: bool = True) -> Instance:
    greeting = Greeting(f"i-{number}", "1", (), "shop", f"h{number:03}", number, None, ())
    return Instance(greeting, "t", connected_at_ms, 0, 0, is_connected=is_connected)


def test_who_reported_by_the_watermark() -> None:
    """One that just came, or is gone while others are there, is not expected."""
    everybody = [instance(1), instance(2), instance(3, connected_at_ms=99), instance(4, is_connected=False)]
    assert who_reports(everybody, {"t/i-1": 50, "t/i-2": 40}, since_ms=45, connected_by_ms=60, began_at_ms=0) == Feed(
        2, 1
    )


def test_a_fleet_that_is_cut_off_is_missed() -> None:
    """Not at once, not after this server was away itself, and not while anybody else is there."""
    gone = [instance(1, is_connected=False), instance(2, is_connected=False)]
    late = MISSED_AFTER_MS

    def seen(by_ms: int, *more: Instance, began_at_ms: int = 0) -> Feed:
        heard = {"t/i-1": late - 1, "t/i-3": late}
        return who_reports([*gone, *more], heard, since_ms=late, connected_by_ms=by_ms, began_at_ms=began_at_ms)

    assert seen(late - 1) == Feed(0, 0)
    assert seen(late) == Feed(2, 0)
    assert seen(late, began_at_ms=1) == Feed(0, 0)
    assert seen(late, instance(3)) == Feed(1, 1)
    assert seen(late, instance(3, connected_at_ms=late + 1)) == Feed(2, 0)


def test_where_nobody_is_expected_nobody_is_missed() -> None:
    """Nobody of somebody is blind; nobody of nobody is not."""
    assert who_reports([instance(1)], {}, since_ms=0, connected_by_ms=0, began_at_ms=0) == Feed(1, 0)
    assert who_reports([], {}, since_ms=0, connected_by_ms=0, began_at_ms=0) == Feed(0, 0)


def test_the_name_of_a_report() -> None:
    """Two tokens' processes cannot report for each other."""
    assert report_name(instance(7)) == "t/i-7"


async def test_a_watermark_is_looked_at_once() -> None:
    """However many guardrails ask: the store is read once for each watermark."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        await stand.start()
        stand.connect()
        stand.clock.advance(10_000)
        await stand.report()
        asked: list[int] = []
        heard = stand.store.heard

        async def counted(since_ms: int) -> Mapping[str, int]:
            asked.append(since_ms)
            return await heard(since_ms)

        stand.store.heard = counted  # type: ignore[method-assign] # the real one, with its calls written down
        reporting = Reporting(stand.ingest, stand.instances, stand.clock)
        passed = stand.ingest.watermark(0)
        assert [await reporting.up_to(passed) for _ in range(3)] == [Feed(1, 1)] * 3
        assert await reporting.up_to(passed - 1) == Feed(1, 1)
        assert asked == [(passed + 1) * 1_000, passed * 1_000]


async def test_a_fleet_that_is_cut_off_for_hours_is_still_missed() -> None:
    """Until somebody comes, or all had said goodbye: a stage that asks for time alone must not go on meanwhile."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        await stand.start()
        stand.connect()

        async def feed() -> Feed:
            return await Reporting(stand.ingest, stand.instances, stand.clock).up_to(stand.ingest.watermark(0))

        stand.instances.disconnect(stand.stream)
        for _ in range(5):
            stand.clock.advance(50 * 60_000)
            assert await feed() == Feed(1, 0)
        stand.connect()
        stand.instances.leave(stand.stream)
        stand.clock.advance(50 * 60_000)
        assert await feed() == Feed(0, 0)
