"""Publish: before anything is committed, the very reader that SDKs run reads it, and decides with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.capabilities import needed_by
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Cohort, Flag, Origin, Reason, RolloutState
from rollout_sdk.engine.problems import Problem
from rollout_sdk.engine.sameness import same
from rollout_sdk.wire.codec import decode_record, record_of_cohort, record_of_flag, record_of_rollout
from rollout_sdk.wire.key_sets import read_chunk
from rollout_sdk.wire.records import WireError
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.domain.synthetic import members_of, synthetic
from rollout_server.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.fleet import Fleet
    from rollout_server.domain.plan import Plan

SAMPLES_MIN, SAMPLES_MAX = 8, 200
DECISIONS_MAX = 40_000
"""Contexts that every touched flag decides: many for an edit, few where thousands of flags are published at once."""

_BUG_HINT = "nothing was changed; this is a fault of the server, please report it with the document"


async def check_publishable(plan: Plan, fleet: Fleet, *, allow_unsupported: bool) -> None:
    """Refuse what an SDK could not run.

    Args:
        plan: without problems.
        fleet: who is connected.
        allow_unsupported: publish although some of them cannot evaluate it.

    Raises:
        InvalidInput: the reader that SDKs run refuses a record, or its decisions fail or differ.
        Refused: "unsupported", with every connected SDK that cannot evaluate it.
    """
    problems = await asyncio.to_thread(lambda: tuple(_problems(plan)))
    if problems:
        raise InvalidInput(problems)
    lacking = () if allow_unsupported else unsupported(plan, fleet)
    if lacking:
        raise Refused(
            "unsupported",
            f"connected SDKs cannot evaluate this: {'; '.join(lacking)}",
            "upgrade them first, or repeat with --allow-unsupported: they keep the last rules that they could read",
        )


def unsupported(plan: Plan, fleet: Fleet) -> tuple[str, ...]:
    """Name every connected SDK that cannot evaluate a flag whose decisions the plan may change."""
    after = plan.rulesets[1]
    needed = {
        key: needed_by(after.flags[key], after.cohorts, after.rollouts) for key in plan.flags if key in after.flags
    }
    return fleet.unsupported(needed) if needed else ()


def _problems(plan: Plan) -> Iterator[Problem]:
    """Write the records that would be sent, read them back, compile, decide: as an SDK would, with its code."""
    made = _ground(plan)
    read, unreadable = _reread(made, plan)
    if unreadable:
        yield from unreadable
        return
    compiled = compile_ruleset(read)
    for key, fault in sorted(compiled.quarantined.items()):
        yield Problem(f"flag/{key}", "", "quarantined", f"SDKs would refuse it: {fault}", _BUG_HINT)
    flags = [key for key in plan.flags if key in compiled.flags and key not in compiled.quarantined]
    # What is read is what was said, so its decisions need no comparison: only that they can be made.
    decider = compiled.bind(Origin())
    samples = max(SAMPLES_MIN, min(SAMPLES_MAX, DECISIONS_MAX // max(len(flags), 1)))
    failed = {
        key
        for context in synthetic([read], flags, members_of(plan.after), samples)
        for key in flags
        if decider.decide(key, context).reason is Reason.ERROR
    }
    for key in sorted(failed):
        yield Problem(f"flag/{key}", "", "not_decidable", "a decision of it fails", _BUG_HINT)


def _ground(plan: Plan) -> Ruleset:
    """The part of the ruleset that the change rests on, and that rests on the change."""
    after = plan.rulesets[1]
    return replace(
        after,
        flags={key: flag for key, flag in after.flags.items() if ResourceId(Kind.FLAG, key) in plan.reads},
        cohorts={key: one for key, one in after.cohorts.items() if ResourceId(Kind.COHORT, key) in plan.reads},
        states={},
    )


def _reread(made: Ruleset, plan: Plan) -> tuple[Ruleset, list[Problem]]:
    changed = {change.id for change in plan.changes}
    problems: list[Problem] = []
    flags: dict[str, Flag] = dict(made.flags)
    cohorts: dict[str, Cohort] = dict(made.cohorts)
    rollouts: dict[str, RolloutState] = dict(made.rollouts)
    sent: dict[Kind, Mapping[str, Flag | Cohort | RolloutState]] = {
        Kind.FLAG: made.flags,
        Kind.COHORT: made.cohorts,
        Kind.ROLLOUT: made.rollouts,
    }
    for id_ in sorted(changed, key=str):
        thing = sent[id_.kind].get(id_.key) if id_.kind in sent else None
        if thing is None:
            continue
        try:
            found = _through_the_wire(thing)
        except WireError as error:
            problems.append(Problem(str(id_), "", "unreadable", f"SDKs could not read it: {error}", _BUG_HINT))
            continue
        if not same(found, thing):
            problems.append(Problem(str(id_), "", "altered", "SDKs would read something else than was said", _BUG_HINT))
        elif isinstance(found, Flag):
            flags[id_.key] = found
        elif isinstance(found, Cohort):
            cohorts[id_.key] = found
        elif isinstance(found, RolloutState):
            rollouts[id_.key] = found
    return replace(made, flags=flags, cohorts=cohorts, rollouts=rollouts), problems


def _through_the_wire(thing: Flag | Cohort | RolloutState) -> object:
    if isinstance(thing, Flag):
        return decode_record(record_of_flag(thing, 1))
    if isinstance(thing, RolloutState):
        return decode_record(record_of_rollout(thing, 1))
    sent = (*thing.include.chunks, *thing.exclude.chunks)
    chunks = {chunk.digest: read_chunk(chunk.digest, chunk.data) for chunk in sent}
    return decode_record(record_of_cohort(thing, 1), chunks)
