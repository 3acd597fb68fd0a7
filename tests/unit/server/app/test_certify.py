"""The certificate: why, by which commit, who obeys, and what serves the variant still."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.app.certify import Certificate, certify
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.domain.machine import Trigger
from rollout_server.errors import NotFound, Refused
from tests.rollout_room import MIA, Room, documents, guarded, room
from tests.small_environment import document, flag, put

BY_HAND = {
    "default": "on",
    "targets": {"on": ["u-1", "u-2"]},
    "rules": [
        {"id": "staff", "when": {"unit": "user", "equals": "u-3"}, "serve": "on"},
        {"id": "trial", "when": {"unit": "user", "equals": "u-4"}, "split": {"on": "25%", "off": "75%"}},
        {"id": "launch", "rollout": "launch"},
    ],
}


async def proof(stand: Room, target: str = "checkout") -> Certificate:
    return await certify(stand.environment, stand.instances, stand.runs.known, target)


async def rolled_back(stand: Room) -> Any:
    return await drive(stand.environment, Drive(Verb.ROLLBACK, "launch"), MIA, stand.runs.known)


async def test_a_rollback_by_hand_names_its_entry_and_its_author() -> None:
    """Also when later entries touched the rollout again."""
    async with room() as stand:
        await stand.start()
        done = await rolled_back(stand)
        found = await proof(stand)
        assert found.entry == done.entry
        assert (found.what, found.variant) == ("rollback", "off")
        assert found.run is not None
        assert found.run.end is not None
        assert (found.run.end.trigger, found.run.end.who) == (Trigger.PERSON, "mia")


async def test_a_verdict_is_shown_with_its_figures() -> None:
    """And how many were exposed."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        await stand.live(20, candidate=(100, 20), control=(400, 8))
        found = await proof(stand)
        assert found.run is not None
        assert found.run.end is not None
        assert found.run.end.guard == "errors"
        assert dict(found.verdicts)["errors"].low is not None
        assert found.exposed_units > 0


async def test_who_does_not_obey_is_named() -> None:
    """A process that is connected and behind straggles; one that is gone is out of reach: never complete."""
    async with room() as stand:
        await stand.start()
        stand.connect()
        await rolled_back(stand)
        found = await proof(stand)
        assert found.obedience.straggling == ("shop@host-1 (pid 7)",)
        stand.instances.disconnect(stand.stream)
        found = await proof(stand)
        assert found.obedience.unreachable == ("shop@host-1 (pid 7)",)
        assert not found.obedience.is_complete


async def test_what_serves_the_variant_still_is_said() -> None:
    """People's own words in the flag are not the rollout's."""
    async with room(*documents()[:3], document("Flag", "checkout", BY_HAND), documents()[4]) as stand:
        await stand.start()
        await rolled_back(stand)
        assert (await proof(stand)).still_serving == (
            "targets.on names 2 users",
            "rule staff serves on",
            "rule trial gives on a share",
            "the default is on",
        )


async def test_a_kill_is_proven_with_or_without_a_run() -> None:
    """The entry is that of the kill which stands; nothing serves the variant still."""
    async with room(*documents(), flag("other")) as stand:
        await kill(stand.environment, Kill("other"), MIA)
        found = await proof(stand, "other")
        assert (found.what, found.run, found.entry.action) == ("kill", None, "kill")
        await stand.start()
        first = await kill(stand.environment, Kill("checkout"), MIA)
        await put(stand.environment, documents()[0])
        found = await proof(stand)
        assert found.entry == first.entry
        assert found.run is not None
        assert found.still_serving == ()
        await unkill(stand.environment, Unkill("checkout"), MIA)
        assert (await proof(stand)).what == "rollback"


async def test_where_nothing_ended_there_is_nothing_to_prove() -> None:
    """The hint says what can be done."""
    async with room() as stand:
        await stand.start()
        with pytest.raises(Refused) as refusal:
            await proof(stand)
        assert refusal.value.rule == "nothing"
        with pytest.raises(NotFound):
            await proof(stand, "chekout")
