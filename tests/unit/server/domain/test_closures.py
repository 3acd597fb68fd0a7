"""What a run rests on, and what opens a new allocation."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_server.domain.closures import closure_of, flag_mark, with_reopened
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import Resource, ResourceId, RolloutStatus
from tests.rollout_room import CHECKOUT, LAUNCH, Room, documents, room
from tests.small_environment import cohort, document, put

STAFF: list[dict[str, Any]] = [{"name": "staff", "audience": {"cohort": "staff"}, "share": "50%", "soak": "1h"}]
RULES = {"rules": [{"id": "launch", "rollout": "launch"}]}
PARENT = document("Flag", "parent", {"rules": [{"id": "launch", "rollout": "parent-launch"}]})
PARENT_LAUNCH = document("Rollout", "parent-launch", {"flag": "parent", "from": "off", "to": "on", "pipeline": "quick"})


def closure(stand: Room) -> dict[str, str]:
    return dict(closure_of(stand.environment.state.resources, LAUNCH))


async def test_the_closure_is_flag_cohorts_and_prerequisites() -> None:
    """At any remove; the pipeline's copy names its audiences, and metrics decide nothing."""
    rules = {**RULES, "requires": [{"flag": "parent", "variants": ["on"]}], "never": [{"cohort": "banned"}]}
    nested = [cohort("staff", "u-1", when={"cohort": "inner"}), cohort("inner", "u-2"), cohort("banned", "u-3")]
    async with room(*documents(*STAFF), *nested, PARENT, PARENT_LAUNCH) as stand:
        await put(stand.environment, document("Flag", "checkout", rules))
        await stand.start()
        assert set(closure(stand)) == {
            "flag/checkout", "flag/parent", "rollout/launch", "rollout/parent-launch",
            "cohort/staff", "cohort/inner", "cohort/banned",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "opens"),
    [
        (cohort("staff", "u-1", "u-9"), True),
        (document("Flag", "checkout", {**RULES, "default": "on"}), True),
        (document("Flag", "checkout", RULES, description="said otherwise"), False),
        (document("Metric", "errors", {"measures": "proportion", "bad": "high", "late": "9m"}), False),
        (document("Pipeline", "quick", {"stages": [{"name": "all", "share": "100%"}]}), False),
        (cohort("other", "u-1"), False),
    ],
)
async def test_an_edit_of_it_opens_an_allocation_in_its_own_entry(edit: Any, *, opens: bool) -> None:
    """What decides nothing opens none."""
    async with room(*documents(*STAFF), cohort("staff", "u-1")) as stand:
        await stand.start()
        before = stand.environment.state.resources
        changes = await edited(stand, edit)
        after = with_reopened(before, changes, "mia", 1)
        assert (LAUNCH in {change.id for change in after}) is opens
        if opens:
            run = run_in(after, LAUNCH)
            assert run.allocation == stand.run().allocation + 1


async def test_an_allocation_of_a_prerequisite_is_an_edit_for_whoever_requires_it() -> None:
    """One entry opens one of each, however many ways the edit reaches it."""
    rules = {**RULES, "requires": [{"flag": "parent", "variants": ["on"]}]}
    async with room(*documents(*STAFF), cohort("staff", "u-1"), PARENT, PARENT_LAUNCH) as stand:
        await put(stand.environment, document("Flag", "checkout", rules))
        await stand.start("parent-launch")
        await stand.start("launch")
        before = stand.environment.state.resources
        parent = ResourceId(LAUNCH.kind, "parent-launch")
        after = with_reopened(
            before, await edited(stand, document("Flag", "parent", {**RULES_OF_PARENT, "default": "on"})), "mia", 1
        )
        assert run_in(after, parent).allocation == stand.run("parent-launch").allocation + 1
        assert run_in(after, LAUNCH).allocation == stand.run().allocation + 1
        assert run_in(after, LAUNCH).transition == stand.run().transition + 1


RULES_OF_PARENT = {"rules": [{"id": "launch", "rollout": "parent-launch"}]}


async def test_nothing_is_opened_twice() -> None:
    """Adding what is there already changes nothing."""
    async with room(*documents(*STAFF), cohort("staff", "u-1")) as stand:
        await stand.start()
        before = stand.environment.state.resources
        once = with_reopened(before, await edited(stand, cohort("staff", "u-2")), "mia", 1)
        assert with_reopened(before, once, "mia", 1) == once


async def test_the_mark_of_a_flag_is_its_content() -> None:
    """Equal in two environments, whatever versions they have; another when it is killed."""
    async with room() as one, room(*documents(), cohort("staff", "u-1")) as other:
        marks = {flag_mark(stand.environment.state.resources[CHECKOUT]) for stand in (one, other)}
        assert len(marks) == 1


async def edited(stand: Room, edit: Any) -> tuple[Change, ...]:
    """What committing a document would change, found by committing it elsewhere."""
    async with room(edit) as scratch:
        (found,) = scratch.environment.state.resources.values()
    stands = stand.environment.state.resources.get(found.id)
    status = stands.status if stands is not None else found.status
    return (Change(found.id, Resource(found.kind, found.metadata, found.spec, status)),)


def run_in(changes: tuple[Change, ...], id_: ResourceId) -> Any:
    (status,) = [change.after.status for change in changes if change.id == id_ and change.after is not None]
    assert isinstance(status, RolloutStatus)
    return status.run
