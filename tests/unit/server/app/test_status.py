"""Status: an environment at a glance."""

from __future__ import annotations

from rollout_server.app.apply import Apply, apply
from rollout_server.app.fleet import FleetSummary, NoFleet
from rollout_server.app.kill import Kill, kill
from rollout_server.app.status import RECENT_MS, status
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.rollout_room import room
from tests.small_environment import MIA, cohort, document, flag, opened, put
from tests.small_rollouts import STAGE

QUARTER = {"split": {"on": "25%", "off": "75%"}}


def nowhere(_: str) -> None:
    """This server has no other environment."""


class SmallFleet(NoFleet):
    def summary(self) -> FleetSummary:
        return FleetSummary(connected=3, behind=1)


async def test_every_flag_is_a_line() -> None:
    """By key: what it serves, whether it is killed, whose it is, and whether its day has come."""
    async with opened() as environment:
        documents = (
            flag("b", QUARTER),
            cohort("beta", "u-1"),
            document("Flag", "a", {}, owner="payments", expires="2027-01-15"),
            document("Flag", "c", {"default": "on"}, expires="2027-01-16"),
        )
        await apply(environment, Apply(documents), MIA, NoFleet())
        await kill(environment, Kill("c"), MIA)
        found = await status(environment, SmallFleet(), nowhere)
        assert [(one.key, one.serving, one.killed, one.expired) for one in found.flags] == [
            ("a", "off to everybody", False, True),
            ("b", "on to 25% of users, else off", False, False),
            ("c", "killed: off to everybody", True, False),
        ]
        assert (found.flags[0].owner, found.flags[0].version, found.flags[2].version) == ("payments", 1, 2)
        assert (found.environment, found.position.revision, found.is_following) == ("production", 2, True)
        assert found.fleet == FleetSummary(connected=3, behind=1)


async def test_the_last_hour_is_told_newest_first() -> None:
    """What is older than an hour is history, not status."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        await apply(environment, Apply((flag("a"),)), MIA, NoFleet())
        clock.advance(RECENT_MS + 1)
        await apply(environment, Apply((flag("a", QUARTER),)), MIA, NoFleet())
        await kill(environment, Kill("a"), MIA)
        found = await status(environment, NoFleet(), nowhere)
        assert [(told.entry.action, str(told.changes[0].id)) for told in found.recent] == [
            ("kill", "flag/a"),
            ("apply", "flag/a"),
        ]


async def test_memory_answers_while_the_store_is_away() -> None:
    """On-call sees what is served though nothing can be written."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await apply(environment, Apply((flag("a"),)), MIA, NoFleet())
        journal.is_away = True
        found = await status(environment, NoFleet(), nowhere)
        assert [one.key for one in found.flags] == ["a"]
        assert found.recent == ()


async def test_what_starts_by_itself_is_told() -> None:
    """When, or what it waits for since; of the others nothing."""
    launch = {"flag": "a", "from": "off", "to": "on", "pipeline": "careful"}
    rules = flag("a", {"rollout": "soon", "when": {"attribute": "x", "exists": True}}, {"rollout": "never"})
    pipeline = document("Pipeline", "careful", {"stages": [STAGE]})
    soon = document("Rollout", "soon", {**launch, "start": "2099-01-01T00:00:00Z"})
    async with opened() as environment:
        documents = (rules, pipeline, soon, document("Rollout", "never", launch))
        await apply(environment, Apply(documents), MIA, NoFleet())
        found = await status(environment, NoFleet(), nowhere)
        assert [one.metadata.key for one in found.rollouts] == ["never", "soon"]
        assert found.standing_still == {}
        assert found.awaited == {"soon": "soon starts by itself at 2099-01-01T00:00:00Z, and moves a to on"}


async def test_what_stands_still_is_told_with_its_end() -> None:
    """While a freeze is in force, and after it until its turn has come."""
    async with room() as stand:
        await stand.start()
        freeze = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-15T09:00:00Z", "tags": ["web"]}
        await put(stand.environment, document("Freeze", "f", freeze))
        found = await status(stand.environment, stand.instances, stand.others.get)
        assert found.awaited == {}
        assert found.standing_still == {"launch": "a freeze is in force (freeze/f until 2027-01-15 09:00 UTC)"}
        await put(stand.environment, document("Freeze", "f", {**freeze, "tags": ["other"]}))
        assert (await status(stand.environment, stand.instances, stand.others.get)).standing_still == {}
