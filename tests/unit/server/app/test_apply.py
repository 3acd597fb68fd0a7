"""Apply: documents become specs, in one transaction or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout_server.app.apply import Applied, Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import FleetSummary, NoFleet
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, kill
from rollout_server.app.plan import PlanQuestion, plan
from rollout_server.app.tokens import CreateToken, create_token, list_tokens
from rollout_server.domain.diff import Operation
from rollout_server.domain.journal import Change, Draft, Entry
from rollout_server.domain.resources import FlagStatus
from rollout_server.errors import Conflict, InvalidInput, Refused, Unavailable
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, cohort, cohort_id, document, flag, flag_id, opened, under

QUARTER = {"split": {"on": "25%", "off": "75%"}}


class OldFleet(NoFleet):
    """One connected SDK that evaluates boolean flags without conditions, and nothing else."""

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        known = {"type:boolean", "law:1"}
        lacking = {key: sorted(wants - known) for key, wants in needed.items()}
        return tuple(f"web@host-1 (pid 7): {key} needs {', '.join(names)}" for key, names in lacking.items() if names)

    def summary(self) -> FleetSummary:
        return FleetSummary(connected=1)


async def applied(environment: Environment, *documents: Document, **more: Any) -> Applied:
    return await apply(environment, replace(Apply(documents), **more), MIA, NoFleet())


def operations(done: Applied) -> dict[str, Operation]:
    return {str(change.id): change.operation for change in done.changes}


async def test_many_documents_are_one_entry() -> None:
    """All documents of a call land together, in one entry, with the actor and the reason."""
    async with opened() as environment:
        done = await applied(
            environment,
            flag("a", QUARTER),
            flag("b", {"when": {"cohort": "beta"}, "serve": "on"}),
            cohort("beta", "u-1"),
            intent=Intent(reason="the launch"),
        )
        assert done.entry is not None
        assert (done.entry.revision, done.entry.actor, done.entry.reason) == (1, MIA.label, "the launch")
        assert done.position == environment.position
        assert set(operations(done).values()) == {Operation.CREATE}
        assert {change.version_after for change in done.changes} == {1}


async def test_applying_again_changes_nothing() -> None:
    """The same documents write no entry, lift no kill, and say so of every resource."""
    async with opened() as environment:
        documents = flag("a", QUARTER), cohort("beta", "u-1")
        await applied(environment, *documents)
        await kill(environment, Kill("a"), MIA)
        done = await applied(environment, *documents)
        assert done.entry is None
        assert set(operations(done).values()) == {Operation.UNCHANGED}
        status = environment.state.resources[flag_id("a")].status
        assert isinstance(status, FlagStatus)
        assert status.killed
        assert environment.position.revision == 2


async def test_an_edit_keeps_what_verbs_wrote() -> None:
    """Salt and kill stand over an edit of the spec."""
    async with opened() as environment:
        await applied(environment, flag("a", QUARTER))
        await kill(environment, Kill("a"), MIA)
        before = environment.state.resources[flag_id("a")].status
        await applied(environment, flag("a", {"serve": "on"}))
        assert environment.state.resources[flag_id("a")].status == before


async def test_one_wrong_document_stops_all() -> None:
    """Nothing of a call is written when any of it is wrong, and every problem of every document is told."""
    async with opened() as environment:
        with pytest.raises(InvalidInput) as refusal:
            await applied(
                environment,
                flag("a"),
                flag("b", {"when": {"cohort": "nobody"}, "serve": "on"}),
                flag("c", {"serve": "purple"}),
            )
        assert {problem.resource for problem in refusal.value.problems} == {"flag/b", "flag/c"}
        assert {problem.origin for problem in refusal.value.problems} == {"b.yaml:1:1", "c.yaml:1:1"}
        assert environment.position.revision == 0


async def test_a_rollout_that_waits_for_no_environment_of_this_server_is_refused() -> None:
    """When it is written, planned or applied, and not when its moment has come; with what was meant."""
    launch = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful", "after": {"environment": "stagin"}}
    stage = {"name": "canary", "share": "1%"}
    documents = (
        flag("checkout", {"rollout": "launch"}),
        document("Pipeline", "careful", {"stages": [stage]}),
        document("Rollout", "launch", launch),
    )
    async with opened(environments=("production", "staging")) as environment:
        for attempt in (applied(environment, *documents), plan(environment, PlanQuestion(documents), NoFleet())):
            with pytest.raises(InvalidInput) as refused:
                await attempt
            assert [(one.path, one.hint) for one in refused.value.problems] == [
                ("spec.after.environment", 'did you mean "staging"?')
            ]
        assert environment.position.revision == 0


async def test_prune_deletes_what_no_document_holds_but_never_tokens() -> None:
    """After a pruning apply, flags and cohorts are exactly the documents; who may come in stays."""
    async with opened() as environment:
        await create_token(environment, CreateToken("sdk", "shop"), MIA)
        await applied(environment, flag("a"), flag("b"), cohort("beta", "u-1"))
        done = await applied(environment, flag("a"), prune=True)
        assert operations(done) == {
            "flag/a": Operation.UNCHANGED,
            "flag/b": Operation.DELETE,
            "cohort/beta": Operation.DELETE,
        }
        assert {str(id_).split("/")[0] for id_ in environment.state.resources} == {"flag", "token"}
        done = await applied(environment, prune=True)
        assert done.entry is not None
        assert len(list_tokens(environment)) == len(environment.state.resources) == 1


async def test_what_others_stand_on_is_not_pruned() -> None:
    """A deletion that would leave a reference in the air is refused by name."""
    async with opened() as environment:
        await applied(environment, cohort("beta", "u-1"), flag("a", never=["beta"]))
        with pytest.raises(InvalidInput) as refusal:
            await applied(environment, flag("a", never=["beta"]), prune=True)
        assert refusal.value.problems[0].resource == "cohort/beta"


async def test_a_saved_plan_is_applied_as_it_was() -> None:
    """While nothing it read has moved, the plan's hash opens; changes elsewhere do not matter."""
    async with opened() as environment:
        await applied(environment, flag("a"), flag("elsewhere"))
        documents = (flag("a", QUARTER),)
        saved = await plan(environment, PlanQuestion(documents), NoFleet())
        await applied(environment, flag("elsewhere", {"serve": "on"}))
        done = await applied(environment, *documents, plan_hash=saved.hash)
        assert done.entry is not None


@pytest.mark.parametrize("moved", ["flag", "cohort", "kill", "parent"])
async def test_a_saved_plan_refuses_moved_ground(moved: str) -> None:
    """Anything the plan read that moved since voids it: the flag, its cohort, its parent, even a kill."""
    async with opened() as environment:
        parent = [{"flag": "parent", "variants": ["on"]}]
        await applied(environment, cohort("beta", "u-1"), flag("parent"), flag("a", never=["beta"], requires=parent))
        documents = (flag("a", QUARTER, never=["beta"], requires=parent),)
        saved = await plan(environment, PlanQuestion(documents), NoFleet())
        if moved == "kill":
            await kill(environment, Kill("a"), MIA)
        else:
            edits = {
                "flag": flag("a", never=["beta"], requires=parent, default="on"),
                "cohort": cohort("beta", "u-2"),
                "parent": flag("parent", {"serve": "on"}),
            }
            await applied(environment, edits[moved])
        revision = environment.position.revision
        with pytest.raises(Conflict) as refusal:
            await applied(environment, *documents, plan_hash=saved.hash)
        assert f"(version {revision})" in refusal.value.hint
        assert environment.position.revision == revision


async def test_a_document_written_for_another_version_is_refused() -> None:
    """`metadata.version` guards against overwriting what somebody else changed, and lets what stands anyway pass."""
    async with opened() as environment:
        await applied(environment, flag("a"))
        await applied(environment, flag("a", {"serve": "on"}))
        with pytest.raises(Conflict) as refusal:
            await applied(environment, document("Flag", "a", {"default": "on"}, version=1))
        assert "flag/a" in str(refusal.value)
        with pytest.raises(Conflict):
            await applied(environment, document("Flag", "new", {}, version=1))
        edit = document("Flag", "a", {"default": "on"}, version=2)
        assert (await applied(environment, edit)).entry is not None
        assert (await applied(environment, edit)).entry is None


async def test_a_repeat_returns_the_first_answer_though_the_state_moved_on() -> None:
    """The same request under the same key is answered with the entry of the first, whatever happened since."""
    async with opened() as environment:
        first = await applied(environment, flag("a", QUARTER), intent=under("key-1"))
        await applied(environment, flag("a", {"serve": "on"}))
        second = await applied(environment, flag("a", QUARTER), intent=under("key-1"))
        assert second.entry == first.entry
        assert second.changes == first.changes
        assert environment.position.revision == 2
        with pytest.raises(Conflict):
            await applied(environment, flag("a"), intent=under("key-1"))


async def test_repeats_at_the_same_moment_write_once() -> None:
    """A client that sends twice without waiting gets one entry, twice."""
    async with opened() as environment:
        many = await asyncio.gather(*(applied(environment, flag("a"), intent=under("key-1")) for _ in range(8)))
        assert {done.entry.revision for done in many if done.entry} == {1}
        assert environment.position.revision == 1


async def test_two_applies_on_different_resources_both_land() -> None:
    """Writers that do not touch each other's ground never hear of each other."""
    async with opened() as environment:
        done = await asyncio.gather(*(applied(environment, flag(f"f{number}", QUARTER)) for number in range(10)))
        assert sorted(one.entry.revision for one in done if one.entry) == list(range(1, 11))
        assert {change.version_after for one in done for change in one.changes} == set(range(1, 11))


async def test_of_two_saved_plans_on_one_flag_exactly_one_wins() -> None:
    """Compare and set: the second sees a conflict, never a silent overwrite."""
    async with opened() as environment:
        await applied(environment, flag("a"))
        edits = [(flag("a", {"serve": "on"}),), (flag("a", QUARTER),), (flag("a", default="on"),)]
        saved = [await plan(environment, PlanQuestion(edit), NoFleet()) for edit in edits]
        done = await asyncio.gather(
            *(applied(environment, *edit, plan_hash=one.hash) for edit, one in zip(edits, saved, strict=True)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Applied) for one in done) == 1
        assert sum(isinstance(one, Conflict) for one in done) == 2
        assert environment.position.revision == 2


class Racing(MemoryJournal):
    """A journal in which another process is faster, as often as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.faster: list[Draft] = []

    async def commit(self, draft: Draft) -> Entry:
        if self.faster:
            await super().commit(self.faster.pop())
        return await super().commit(draft)


async def test_a_plain_apply_is_planned_again_after_a_race() -> None:
    """Another process changes the cohort between plan and commit: the change is checked against the new one."""
    journal = Racing()
    async with opened(journal) as environment:
        await applied(environment, cohort("beta", "u-1"), flag("a"))
        beta = environment.state.resources[cohort_id("beta")]
        journal.faster = [Draft({}, (Change(beta.id, beta),), "tom", "edit", 0) for _ in range(3)]
        done = await applied(environment, flag("a", never=["beta"]))
        assert done.entry is not None
        assert done.entry.revision == 5


async def test_a_race_that_takes_the_ground_away_is_found() -> None:
    """Another process deletes the cohort between plan and commit: the change no longer fits and is refused."""
    journal = Racing()
    async with opened(journal) as environment:
        await applied(environment, cohort("beta", "u-1"), flag("a"))
        journal.faster = [Draft({}, (Change(cohort_id("beta"), None),), "tom", "prune", 0)]
        with pytest.raises(InvalidInput):
            await applied(environment, flag("a", never=["beta"]))
        assert environment.position.revision == 2


async def test_endless_races_end() -> None:
    """Who loses every race hears a conflict, not silence."""
    journal = Racing()
    async with opened(journal) as environment:
        await applied(environment, flag("a"))
        old = environment.state.resources[flag_id("a")]
        journal.faster = [Draft({}, (Change(old.id, old),), "tom", "edit", 0) for _ in range(100)]
        with pytest.raises(Conflict):
            await applied(environment, flag("a", QUARTER))


async def test_what_a_connected_sdk_cannot_evaluate_asks_first() -> None:
    """The refusal names each SDK and what it lacks; a confirmed publication goes through; dependents count too."""
    async with opened() as environment:
        await applied(environment, cohort("beta", "u-1"), flag("a", never=["beta"]))
        edit = cohort("beta", "u-1", when={"attribute": "ip", "cidr": "10.0.0.0/8"})
        with pytest.raises(Refused) as refusal:
            await apply(environment, Apply((edit,)), MIA, OldFleet())
        assert refusal.value.rule == "unsupported"
        assert "web@host-1 (pid 7): a needs op:cidr" in str(refusal.value)
        assert environment.position.revision == 1
        done = await apply(environment, Apply((edit,), allow_unsupported=True), MIA, OldFleet())
        assert done.entry is not None
        fine = await apply(environment, Apply((flag("plain", QUARTER),)), MIA, OldFleet())
        assert fine.entry is not None


async def test_a_store_that_is_away_writes_nothing() -> None:
    """Unavailable is told, the state stands, and the same call works when the store is back."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        journal.is_away = True
        with pytest.raises(Unavailable):
            await applied(environment, flag("a"), intent=under("key-1"))
        journal.is_away = False
        assert (await applied(environment, flag("a"), intent=under("key-1"))).entry is not None


async def test_tokens_are_no_documents() -> None:
    """Nobody lets himself in by a file."""
    async with opened() as environment:
        sneaky = {"kind": "Token", "metadata": {"key": "0a0a0a0a"}, "spec": {"role": "admin"}}
        with pytest.raises(InvalidInput):
            await applied(environment, Document(json.dumps(sneaky)))
