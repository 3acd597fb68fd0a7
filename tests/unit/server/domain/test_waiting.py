"""The changes of a state: which wait, and what ends them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.changes import ChangeAction, ChangeSpec, ChangeState, ChangeStatus
from rollout_server.domain.journal import Change, Draft, State
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.machine.run import Entered
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.waiting import (
    ENDED_KEPT,
    bound,
    change_id,
    changes_in,
    ended,
    is_waiting,
    moved,
    numbered,
    overtaken,
    parts,
    stored_at,
    superfluous,
    waiting_in,
    with_voided,
)
from tests.small_rollouts import STATE, id_of
from tests.small_state import cohort_document, committed, flag_document

READS = tuple(id_ for id_ in STATE.resources if id_.kind in {Kind.FLAG, Kind.ROLLOUT, Kind.COHORT})
EXPIRES_MS = 1_000


def change(number: int, *, prune: bool = False) -> Resource:
    spec = ChangeSpec(ChangeAction.APPLY, "mia", "", 0, EXPIRES_MS, "hash", "", (), (("f:1", "{}"),), prune=prune)
    return Resource(
        Kind.CHANGE, Metadata(str(number)), replace(spec, reads=bound(READS, STATE.resources)), ChangeStatus()
    )


def with_changes(*changes: Resource) -> State:
    return committed(STATE, *(Change(one.id, one) for one in changes))


def draft(*changes: Change, action: str = "kill") -> Draft:
    return Draft({}, changes, "kai@example.com (a1b2c3d4)", action, 5)


def edit(id_: ResourceId) -> Change:
    return Change(id_, STATE.resources[id_])


def test_numbers_go_up_and_the_newest_is_never_forgotten() -> None:
    assert numbered(STATE.resources) == 1
    state = with_changes(change(9), change(10))
    assert numbered(state.resources) == 11
    assert list(changes_in(state.resources)) == [9, 10]
    over = [ended(change(number), ChangeState.REJECTED) for number in range(1, ENDED_KEPT + 3)]
    assert [one.id for one in superfluous(with_changes(*over).resources)] == [change_id(1), change_id(2)]


def test_what_it_rests_on_is_bound_as_it_stands() -> None:
    state = with_changes(change(1))
    (waiting,) = waiting_in(state.resources)
    assert moved(waiting, state.resources) == ()
    flag = id_of(Kind.FLAG, "checkout")
    assert moved(waiting, committed(state, edit(flag)).resources) == (flag,)
    assert moved(waiting, committed(state, Change(flag, None)).resources) == (flag,)


def test_an_ended_change_is_slim_and_says_how() -> None:
    """Its documents are in the entry that stored it, whose revision it keeps."""
    one = change(1).at_version(41)
    end = ended(one, ChangeState.VOIDED, by="kai", because="kill changed flag/a", revision=57)
    spec, status = parts(end)
    assert (spec.documents, dict(spec.reads)) == ((), {})
    assert status == ChangeStatus(ChangeState.VOIDED, 41, (), "kai", "kill changed flag/a", 57)
    assert stored_at(end.at_version(60)) == stored_at(one) == 41
    assert not is_waiting(end)


def test_only_changes_are_taken_apart() -> None:
    with pytest.raises(TypeError):
        parts(STATE.resources[id_of(Kind.FLAG, "checkout")])


def test_an_edit_voids_what_rests_on_it_in_its_own_entry() -> None:
    """The draft reads the changes that it ends, so that none is approved meanwhile."""
    state = with_changes(change(1), change(2))
    made = with_voided(state.resources, draft(edit(id_of(Kind.FLAG, "checkout"))))
    assert [str(one.id) for one in made.changes] == ["flag/checkout", "change/1", "change/2"]
    assert {str(id_): version for id_, version in made.reads.items()} == {
        f"change/{number}": state.position.revision for number in (1, 2)
    }
    assert made.changes[1].after is not None
    status = parts(made.changes[1].after)[1]
    assert (status.state, status.ended_by, status.because) == (
        ChangeState.VOIDED,
        "kai@example.com",
        "kill changed flag/checkout",
    )


@pytest.mark.parametrize(
    ("new", "prune", "is_void"),
    [
        (cohort_document("gamma"), False, False),
        (cohort_document("gamma"), True, True),
        (flag_document("new"), True, True),
        (replace(cohort_document("x"), kind=Kind.POLICY), False, True),
    ],
)
def test_what_is_new_voids_what_prunes_and_a_policy_everything(new: Resource, *, prune: bool, is_void: bool) -> None:
    state = with_changes(change(1, prune=prune))
    made = with_voided(state.resources, draft(Change(new.id, new)))
    assert (len(made.changes) == 2) is is_void


def test_a_draft_that_touches_nothing_else_is_left_alone() -> None:
    """Also one that ends the change itself, and one beside a change that is over."""
    state = with_changes(change(1), ended(change(2), ChangeState.REJECTED))
    flag = edit(id_of(Kind.FLAG, "checkout"))
    applies = draft(flag, Change(change_id(1), ended(change(1), ChangeState.APPLIED)))
    assert with_voided(state.resources, applies) is applies
    other = draft(Change(change_id(1), change(1)))
    assert with_voided(state.resources, other) is other


def test_a_run_that_goes_on_voids_nothing_and_its_end_does() -> None:
    """Controllers write the status of a rollout all the time."""
    launch = id_of(Kind.ROLLOUT, "launch")
    resource = STATE.resources[launch]
    status = resource.status
    assert isinstance(status, RolloutStatus)
    stages = PipelineSpec((Stage("all", 250_000),))
    run = Run("launch", "checkout", "off", "on", 1, stages, phase=Phase.RUNNING, entered=(Entered(0, 1, 1),))

    def at(phase: Phase) -> Resource:
        return replace(resource, status=replace(status, run=replace(run, phase=phase)))

    state = committed(STATE, Change(launch, at(Phase.RUNNING)))
    waiting = replace(change(1), spec=replace(parts(change(1))[0], reads=bound(READS, state.resources)))
    state = committed(state, Change(waiting.id, waiting))
    goes_on, is_over = draft(Change(launch, at(Phase.HELD))), draft(Change(launch, at(Phase.ROLLED_BACK)))
    assert with_voided(state.resources, goes_on) is goes_on
    assert len(with_voided(state.resources, is_over).changes) == 2


def test_time_and_edits_that_did_not_know_of_it_overtake_a_change() -> None:
    state = with_changes(change(1))
    (waiting,) = waiting_in(state.resources)
    assert overtaken(waiting, state.resources, EXPIRES_MS - 1) is None
    late = overtaken(waiting, state.resources, EXPIRES_MS)
    assert late is not None
    assert parts(late)[1].state is ChangeState.EXPIRED
    after = committed(state, edit(id_of(Kind.FLAG, "checkout")))
    void = overtaken(waiting, after.resources, 0)
    assert void is not None
    status = parts(void)[1]
    assert (status.state, status.because, status.ended_revision) == (
        ChangeState.VOIDED,
        "flag/checkout was changed",
        after.position.revision,
    )
