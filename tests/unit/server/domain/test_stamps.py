"""Stamps: what moves a plan's ground, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind, Resource, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.stamps import facts, stamp
from tests.small_rollouts import FLAG, STATE, id_of

RUN = Run(
    "launch",
    "checkout",
    "off",
    "on",
    3,
    PipelineSpec((Stage("all", 250_000),)),
    phase=Phase.RUNNING,
    entered=(Entered(0, 1, 10_000),),
    allocation=5,
)


def launch(run: Run | None, version: int = 7) -> Resource:
    resource = STATE.resources[id_of(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    return replace(resource, status=replace(resource.status, run=run), version=version)


def test_what_is_not_there_has_no_stamp() -> None:
    assert stamp(None) == ""


@pytest.mark.parametrize("kind", [Kind.FLAG, Kind.PIPELINE, Kind.POLICY])
def test_an_entry_that_touches_a_resource_moves_it(kind: Kind) -> None:
    """Also one that leaves it as it was: an edit that is undone has voided what rested on it."""
    resource = next(one for id_, one in STATE.resources.items() if id_.kind is kind)
    assert stamp(resource) != stamp(resource.at_version(resource.version + 1))


@pytest.mark.parametrize(
    "further",
    [
        replace(RUN, phase=Phase.HELD),
        replace(RUN, phase=Phase.PAUSED),
        replace(RUN, allocation=9, entered=(Entered(0, 1, 250_000),)),
    ],
)
def test_a_run_that_goes_on_moves_nothing(further: Run) -> None:
    """Plans of a flag under rollout would otherwise be void at every ramp step."""
    assert stamp(launch(RUN)) == stamp(launch(further, 99))


@pytest.mark.parametrize(
    "other", [None, replace(RUN, number=4), replace(RUN, phase=Phase.ROLLED_BACK), replace(RUN, phase=Phase.COMPLETED)]
)
def test_a_run_that_begins_or_ends_moves_it(other: Run | None) -> None:
    assert stamp(launch(RUN)) != stamp(launch(other))


def test_what_people_wrote_moves_it() -> None:
    resource = launch(RUN)
    assert stamp(resource) != stamp(replace(resource, metadata=replace(resource.metadata, owner="kai")))


def test_of_all_else_the_whole_status_is_read() -> None:
    """A flag that is killed meanwhile is another flag to whoever looked at the plan."""
    flag = next(one for id_, one in STATE.resources.items() if id_.kind is Kind.FLAG)
    assert facts(flag)["killed"] is False


def test_a_saved_plan_outlives_a_ramp_step_and_no_end_of_a_run() -> None:
    """The hash of a plan in a rollout's closure stands while the run goes on, and falls with it."""
    wish = Wish([replace(FLAG, metadata=replace(FLAG.metadata, owner="kai"))])

    def hash_with(run: Run, version: int) -> str:
        resource = launch(run, version)
        return plan(replace(STATE, resources={**STATE.resources, resource.id: resource}), wish).hash

    before = hash_with(RUN, 7)
    assert hash_with(replace(RUN, allocation=6, entered=(Entered(0, 1, 250_000),)), 8) == before
    assert hash_with(replace(RUN, phase=Phase.ROLLED_BACK), 8) != before
