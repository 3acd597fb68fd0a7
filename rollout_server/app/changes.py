"""Look at changes: plans that wait for approval, and those that ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.moments import At
from rollout_server.app.plan import PlanQuestion, PlanSession
from rollout_server.app.plan_warnings import warnings_of
from rollout_server.app.plan_work import plan_again
from rollout_server.domain import policy
from rollout_server.domain.changes import ChangeState
from rollout_server.domain.waiting import change_id, changes_in, is_waiting, overtaken, parts, stored_at
from rollout_server.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.app.plan import PlanResult
    from rollout_server.domain.changes import ChangeSpec, ChangeStatus, Demand
    from rollout_server.domain.population import Move
    from rollout_server.domain.resources import Resource

LISTED_MAX = 500
SYNTHETIC_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change as it stands.

    Attributes:
        stored_revision: of the entry that stored it.
        ended_revision: of the entry that ended it, or whose deed did; 0 while it waits, and where only time did.
        missing: who must still agree; empty once it ended.
    """

    number: int
    spec: ChangeSpec
    status: ChangeStatus
    stored_revision: int
    ended_revision: int
    missing: tuple[Demand, ...]


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """The plan of a change, as it was when it was stored."""

    result: PlanResult
    moves: tuple[Move, ...]


def find_change(environment: Environment, number: int) -> Resource:
    """Return the change as it is stored.

    Raises:
        NotFound: there never was one of this number, or it ended long ago.
    """
    change = environment.resource(change_id(number))
    if change is None:
        raise NotFound(
            "change", str(number), "`rollout changes --all` lists what there is; older ones: `rollout history`"
        )
    return change


def view_of(environment: Environment, change: Resource) -> ChangeView:
    """Return a change as it stands now, its time and its ground considered."""
    shown = change
    if is_waiting(change):
        shown = overtaken(change, environment.state.resources, environment.now_ms) or change
    spec, status = parts(shown)
    revision = status.ended_revision
    if not is_waiting(change):
        revision = revision or change.version
    people = [given.person for given in status.approvals]
    missing = policy.missing(spec.demands, people, spec.author) if status.state is ChangeState.WAITING else ()
    return ChangeView(int(change.metadata.key), spec, status, stored_at(change), revision, missing)


def list_changes(environment: Environment, *, with_ended: bool = False) -> tuple[ChangeView, ...]:
    """Return the changes that wait, or all that are kept, newest first; at most `LISTED_MAX`."""
    views = (view_of(environment, one) for one in reversed(changes_in(environment.state.resources).values()))
    chosen = [view for view in views if with_ended or view.status.state is ChangeState.WAITING]
    return tuple(chosen[:LISTED_MAX])


async def get_change(environment: Environment, number: int, fleet: Fleet) -> tuple[ChangeView, ChangePlan | None]:
    """Return one change, and its plan: made again on the state that it was stored in, so it is the one that was stored.

    The plan is None where it cannot be made any more: the history that it needs is no longer kept.

    Raises:
        NotFound: there is no such change.
        Unavailable: the store is away, and that state is not in memory.
    """
    change = find_change(environment, number)
    view = view_of(environment, change)
    try:
        moment = await environment.moment(At(revision=view.stored_revision))
        spec, _ = parts(moment.state.resources[change.id])
        work = await plan_again(environment, spec, moment.state, moment.ruleset)
    except (NotFound, InvalidInput, Conflict):  # the history is gone, or a later release judges it otherwise
        return view, None
    question = PlanQuestion((), synthetic_count=SYNTHETIC_COUNT)
    warnings = warnings_of(work.planned, moment.state, environment.name, environment.now_ms)
    session = await asyncio.to_thread(PlanSession, question, moment, work.planned, fleet, warnings)
    moves, result = await asyncio.to_thread(session.finish)
    return view, ChangePlan(result, moves)
