"""The certificate of a rollback or a kill: why, by which commit, and who obeys it, process by process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Serve, Split
from rollout_server.app.find_rollout import rollouts_of
from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.domain.machine import Phase, Trigger
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.errors import NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.app.census import Census
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import AckTimes
    from rollout_server.app.instance import Certificate as Obedience
    from rollout_server.app.rollout_view import Known
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Evidence, Resource

_LOOKED_BACK = 100
"""Entries of one resource: after a rollback there are few, as acknowledgements and edits."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is proven.

    Attributes:
        what: "rollback" or "kill".
        variant: that every process serves that obeys.
        run: that ended; None where a flag without one was killed.
        verdicts: that it rested on; empty for a kill of a flag without a run.
        entry: the commit.
        acknowledged: times by this server's clock, see `AckTimes`; None where it saw none.
        obedience: every process that counts, by name.
        still_serving: what serves the variant still, by somebody's word, a phrase each.
    """

    environment: str
    flag: str
    what: str
    variant: str
    run: Run | None
    verdicts: Evidence
    entry: Entry
    acknowledged: AckTimes | None
    obedience: Obedience
    still_serving: tuple[str, ...]
    exposed_units: int
    unit: str


async def certify(environment: Environment, fleet: Census, known: Known, target: str) -> Certificate:
    """Say who obeys the kill that stands, or the last rollback.

    Args:
        environment: where.
        fleet: the processes of it, at all servers on its store.
        known: what ticks learned.
        target: a rollout's key, or its flag's.

    Raises:
        NotFound: there is no such flag or rollout; or the entry is no longer kept.
        Refused: "nothing", it is neither killed nor rolled back.
        Unavailable: the store is away, and the entry cannot be read.
    """
    flag, rollout = _meant(environment, target)
    spec, status = flag.spec, flag.status
    if not isinstance(spec, FlagSpec) or not isinstance(status, FlagStatus):
        raise TypeError(f"{flag.id} is no flag with a status")
    run = rollout.status.run if rollout is not None and isinstance(rollout.status, RolloutStatus) else None
    is_ended = run is not None and run.phase is Phase.ROLLED_BACK
    still: tuple[str, ...] = ()
    if status.killed:
        entry = await _entry_of_kill(environment, flag)
        was_run = is_ended and run is not None and run.end is not None and run.end.trigger is Trigger.KILL
        what, variant, run = "kill", spec.off, run if was_run else None
    elif is_ended and run is not None and rollout is not None:
        entry = await _entry_of_rollback(environment, rollout, run)
        what, variant, still = "rollback", run.from_variant, tuple(_still_serving(spec, run.to_variant))
    else:
        hint = f"`rollout rollback {cut(target)}` takes everybody back, `rollout kill {flag.metadata.key}` stops it all"
        raise Refused("nothing", f"{flag.id} is neither killed nor rolled back: there is nothing to prove", hint)
    memory = await known(run) if run is not None else None
    verdicts = rollout.status.verdicts if rollout is not None and isinstance(rollout.status, RolloutStatus) else ()
    return Certificate(
        environment=environment.name,
        flag=flag.metadata.key,
        what=what,
        variant=variant,
        run=run,
        verdicts=verdicts if run is not None else (),
        entry=entry,
        acknowledged=fleet.acknowledged(entry.revision),
        obedience=fleet.certificate(entry.revision),
        still_serving=still,
        exposed_units=round(memory.evidence.ratio.candidate_units) if memory is not None else 0,
        unit=spec.unit,
    )


def _meant(environment: Environment, target: str) -> tuple[Resource, Resource | None]:
    """Return the flag that is meant, and the rollout of it that moved last."""
    resources = environment.state.resources
    key = target.rpartition("/")[2]
    rollout = resources.get(ResourceId(Kind.ROLLOUT, key)) if not target.startswith("flag/") else None
    flag_key = rollout.spec.flag if rollout is not None and isinstance(rollout.spec, RolloutSpec) else key
    flag = resources.get(ResourceId(Kind.FLAG, flag_key))
    if flag is None:
        raise NotFound("flag", cut(target), did_you_mean(key, [one.key for one in resources if one.kind is Kind.FLAG]))
    if rollout is None:
        moved = [one for one in rollouts_of(resources, flag_key) if _changed_ms(one)]
        rollout = max(moved, key=_changed_ms, default=None)
    return flag, rollout


def _changed_ms(rollout: Resource) -> int:
    run = rollout.status.run if isinstance(rollout.status, RolloutStatus) else None
    return run.changed_at_ms if run is not None else 0


async def _entry_of_kill(environment: Environment, flag: Resource) -> Entry:
    """Return the entry since which the flag has been killed."""
    found: Entry | None = None
    for entry in await environment.journal.history(flag.id, 0, _LOOKED_BACK):
        after = next((change.after for change in entry.changes if change.id == flag.id), None)
        if after is None or not isinstance(after.status, FlagStatus) or not after.status.killed:
            break
        found = entry
    return _kept(found, flag)


async def _entry_of_rollback(environment: Environment, rollout: Resource, run: Run) -> Entry:
    """Return the entry with which the run ended."""
    found: Entry | None = None
    for entry in await environment.journal.history(rollout.id, 0, _LOOKED_BACK):
        after = next((change.after for change in entry.changes if change.id == rollout.id), None)
        status = after.status if after is not None else None
        then = status.run if isinstance(status, RolloutStatus) else None
        if then is None or then.number != run.number or then.phase is not Phase.ROLLED_BACK:
            break
        found = entry
    return _kept(found, rollout)


def _kept(entry: Entry | None, resource: Resource) -> Entry:
    if entry is None:
        raise NotFound("entry", f"of {resource.id}", "it is older than the history that is kept")
    return entry


def _still_serving(spec: FlagSpec, variant: str) -> Iterator[str]:
    """What a rollback does not touch: people's own words in the flag."""
    for target in spec.targets:
        if target.variant == variant and target.units:
            count = len(target.units)
            yield f"targets.{variant} names {count} {spec.unit}{'' if count == 1 else 's'}"
    for rule in spec.rules:
        match rule.outcome:
            case Serve(variant=served) if served == variant:
                yield f"rule {rule.id} serves {variant}"
            case Split(weights=weights) if any(one.variant == variant and one.share_ppm for one in weights):
                yield f"rule {rule.id} gives {variant} a share"
            case _:
                pass
    if spec.default == variant:
        yield f"the default is {variant}"
