"""Starting: what is copied, and everything that stands against it."""

from __future__ import annotations

import pytest

from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, kill
from rollout_server.app.start_rollout import Starter, StartRollout, start_rollout
from rollout_server.domain.machine import Phase
from rollout_server.errors import Refused
from tests.rollout_room import MIA, documents, guarded, room
from tests.small_environment import document, put

FREEZE = document(
    "Freeze", "now", {"from": "2027-01-01T00:00:00Z", "to": "2027-02-01T00:00:00Z", "except": ["managers"]}
)


async def test_a_start_exposes_the_first_stage_and_copies_the_template() -> None:
    """One entry; a later edit of the pipeline changes nothing of the run."""
    async with room() as stand:
        done = await stand.start("checkout")
        assert done.entry is not None
        assert (done.entry.action, done.entry.actor) == ("start", "mia (t)")
        assert [one.share_ppm for one in stand.environment.ruleset.rollouts["launch"].reaches] == [200_000]
        copied = stand.run().pipeline
        await put(stand.environment, document("Pipeline", "quick", {"stages": [{"name": "all", "share": "100%"}]}))
        assert stand.run().pipeline == copied


async def test_a_second_run_exposes_the_same_units_first() -> None:
    """After a rollback the next run is number two, with fresh evidence and the rollout's salt."""
    async with room() as stand:
        await stand.start()
        salt = stand.environment.ruleset.rollouts["launch"].salt
        await drive(stand.environment, Drive(Verb.ROLLBACK, "launch"), MIA, stand.runs.known)
        await stand.start()
        assert (stand.run().number, stand.run().phase) == (2, Phase.RUNNING)
        assert stand.environment.ruleset.rollouts["launch"].salt == salt


async def test_one_at_a_time() -> None:
    """A run under way, and another rollout of the same flag, are both in the way."""
    second = document("Rollout", "again", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick"})
    rules = {
        "rules": [
            {"id": "a", "when": {"unit": "user", "equals": "u"}, "rollout": "again"},
            {"id": "launch", "rollout": "launch"},
        ]
    }
    async with room(*documents(), second) as stand:
        await put(stand.environment, document("Flag", "checkout", rules))
        await stand.start("launch")
        for target, rule in (("launch", "phase"), ("again", "one_at_a_time")):
            with pytest.raises(Refused) as refusal:
                await stand.start(target)
            assert refusal.value.rule == rule
            assert "launch" in refusal.value.hint


@pytest.mark.parametrize(("spec", "rule"), [({"rules": [{"id": "r", "serve": "on"}]}, "no_rule"), (None, "killed")])
async def test_a_start_that_would_expose_nobody_is_refused(spec: dict[str, object] | None, rule: str) -> None:
    """The flag leaves it nothing to answer, or is killed."""
    async with room() as stand:
        if spec is None:
            await kill(stand.environment, Kill("checkout"), MIA)
        else:
            await put(stand.environment, document("Flag", "checkout", spec))
        with pytest.raises(Refused) as refusal:
            await stand.start()
        assert refusal.value.rule == rule


async def test_a_freeze_holds_whoever_it_does_not_exempt() -> None:
    """A member of an exempt group starts; others wait."""
    async with room(*documents(), FREEZE) as stand:
        with pytest.raises(Refused) as refusal:
            await stand.start()
        assert "a freeze is in force (freeze/now until 2027-02-01 00:00 UTC)" in str(refusal.value)
        assert refusal.value.rule == "freeze"
        starter = Starter("mia", "mia (t)", frozenset({"mia", "managers"}))
        await start_rollout(stand.environment, StartRollout("launch"), starter, stand.instances, lambda _: None)
        assert stand.run().phase is Phase.RUNNING


async def test_after_waits_for_the_same_flag_elsewhere() -> None:
    """No such environment, nothing completed there, another version completed there: each refused in its words."""
    async with room(*documents(after={"environment": "staging"})) as stand:
        with pytest.raises(Refused, match="no environment staging"):
            await stand.start()
        async with room() as staging:
            stand.others["staging"] = staging.environment
            with pytest.raises(Refused, match="has completed no rollout in staging"):
                await stand.start()
            await staging.start()
            await staging.tick(40)
            assert staging.run().phase is Phase.COMPLETED
            await stand.start()
            assert stand.run().phase is Phase.RUNNING


async def test_the_next_run_elsewhere_takes_nothing_back() -> None:
    """What was completed there stays so while more is tried there; what was rolled back there does not count."""
    async with room(*documents(after={"environment": "staging"})) as stand, room() as staging:
        stand.others["staging"] = staging.environment
        await staging.start()
        await staging.tick(40)
        await drive(staging.environment, Drive(Verb.FINISH, "launch", "finish"), MIA, staging.runs.known)
        await put(staging.environment, *documents()[3:4])  # the flag with its rule, for the next run
        await staging.start()
        assert staging.run().phase is Phase.RUNNING
        await stand.start()
        assert stand.run().phase is Phase.RUNNING
    async with room(*documents(after={"environment": "staging"})) as stand, room() as staging:
        stand.others["staging"] = staging.environment
        await staging.start()
        await staging.tick(40)
        await drive(staging.environment, Drive(Verb.ROLLBACK, "launch"), MIA, staging.runs.known)
        await staging.start()
        with pytest.raises(Refused, match="has completed no rollout in staging"):
            await stand.start()


async def test_another_version_elsewhere_does_not_count() -> None:
    """What was proven there is not what would be started here."""
    async with room(*documents(after={"environment": "staging"})) as stand, room() as staging:
        stand.others["staging"] = staging.environment
        await staging.start()
        await staging.tick(40)
        rules = [
            {"id": "vip", "when": {"unit": "user", "equals": "u"}, "serve": "on"},
            {"id": "l", "rollout": "launch"},
        ]
        await put(stand.environment, document("Flag", "checkout", {"rules": rules}))
        with pytest.raises(Refused, match="another version of flag checkout"):
            await stand.start()


async def test_a_process_that_cannot_evaluate_it_is_named() -> None:
    """Unless that is accepted."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        stand.instances.leave(stand.stream)
        stand.connect(capabilities=())
        with pytest.raises(Refused, match="shop@host-1") as refusal:
            await stand.start()
        assert refusal.value.rule == "unsupported"
        command = StartRollout("launch", Intent(), allow_unsupported=True)
        starter = Starter("mia", "mia (t)")
        await start_rollout(stand.environment, command, starter, stand.instances, lambda _: None)
        assert stand.run().phase is Phase.RUNNING


async def test_a_repeat_starts_once() -> None:
    """The same idempotency key gives the first entry."""
    async with room() as stand:
        command, starter = StartRollout("launch", Intent("k-1")), Starter("mia", "mia (t)")
        first, second = [
            await start_rollout(stand.environment, command, starter, stand.instances, lambda _: None) for _ in range(2)
        ]
        assert first.entry == second.entry
        assert stand.run().number == 1
