"""The changes of a state: which wait, what ends them, and what is kept of those that ended. Pure."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.domain.changes import ChangeSpec, ChangeState, ChangeStatus
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import PLANNED, Kind, ResourceId, RolloutStatus
from rollout_server.domain.stamps import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollout_server.domain.journal import Draft
    from rollout_server.domain.resources import Resource

WAITING_MAX = 100
"""Changes that wait at once."""

ENDED_KEPT = 200
"""Changes that ended and are still listed; the journal's history has all of them."""

_NAMED_MAX = 3
_KINDS = MappingProxyType({kind.value.lower(): kind for kind in Kind})


def change_id(number: int) -> ResourceId:
    """Name a change."""
    return ResourceId(Kind.CHANGE, str(number))


def numbered(resources: Mapping[ResourceId, Resource]) -> int:
    """Return the number of the next change: one more than any that was ever stored here."""
    return max(changes_in(resources), default=0) + 1


def waiting_in(resources: Mapping[ResourceId, Resource]) -> Iterator[Resource]:
    """Yield the changes that wait, oldest first."""
    return (one for one in changes_in(resources).values() if is_waiting(one))


def bound(reads: Iterable[ResourceId], resources: Mapping[ResourceId, Resource]) -> Mapping[str, str]:
    """Return the stamps of all that a plan read."""
    return MappingProxyType({str(id_): stamp(resources.get(id_)) for id_ in reads})


def changes_in(resources: Mapping[ResourceId, Resource]) -> dict[int, Resource]:
    """Return every change by its number, oldest first."""
    found = {int(id_.key): one for id_, one in resources.items() if id_.kind is Kind.CHANGE}
    return {number: found[number] for number in sorted(found)}


def parts(change: Resource) -> tuple[ChangeSpec, ChangeStatus]:
    """Return what a change is made of.

    Raises:
        TypeError: the resource is no change.
    """
    if not isinstance(change.spec, ChangeSpec) or not isinstance(change.status, ChangeStatus):
        raise TypeError(f"{change.id} is no change")
    return change.spec, change.status


def is_waiting(change: Resource) -> bool:
    """Whether nothing that is stored ended it; its time may be over all the same."""
    return parts(change)[1].state is ChangeState.WAITING


def stored_at(change: Resource) -> int:
    """Return the revision of the entry that stored it."""
    return parts(change)[1].stored_revision or change.version


def moved(change: Resource, resources: Mapping[ResourceId, Resource]) -> tuple[ResourceId, ...]:
    """Return what the change rests on and is not as it was, in order of name."""
    reads = parts(change)[0].reads
    ids = (ResourceId(kind, key) for kind, key in map(_named, reads))
    return tuple(id_ for id_ in ids if stamp(resources.get(id_)) != reads[str(id_)])


def ended(
    change: Resource, state: ChangeState, *, by: str = "", because: str = "", revision: int = 0, **also: object
) -> Resource:
    """Return the change as it ended: slim, since the entry that stored it has its documents.

    Args:
        change: that waits.
        state: what became of it.
        by: the person whose deed it was.
        because: in a few words.
        revision: of that deed, where another entry than the one that is being written.
        also: further fields of the status.
    """
    spec, status = parts(change)
    final = replace(
        status, state=state, stored_revision=stored_at(change), ended_by=by, because=because, ended_revision=revision
    )
    return replace(
        change,
        spec=replace(spec, documents=(), reads=MappingProxyType({})),
        status=replace(final, **also),  # type: ignore[arg-type]  # fields of the status
    )


def overtaken(change: Resource, resources: Mapping[ResourceId, Resource], now_ms: int) -> Resource | None:
    """Return how a waiting change ended without anybody writing it down; None while it waits.

    Args:
        change: that waits, by what is stored.
        resources: as they stand.
        now_ms: Unix epoch, UTC; never before the last entry's time.
    """
    culprits = moved(change, resources)
    if culprits:
        revision = max((resources[id_].version for id_ in culprits if id_ in resources), default=0)
        named = ", ".join(map(str, culprits[:_NAMED_MAX]))
        verb = "was" if len(culprits) == 1 else "were"
        return ended(change, ChangeState.VOIDED, because=f"{named} {verb} changed", revision=revision)
    if now_ms >= parts(change)[0].expires_at_ms:
        return ended(change, ChangeState.EXPIRED, because="not enough people approved it in time")
    return None


def superfluous(resources: Mapping[ResourceId, Resource]) -> tuple[Resource, ...]:
    """Return the changes that ended longest ago, beyond `ENDED_KEPT`. The newest number is never among them."""
    over = [one for one in changes_in(resources).values() if not is_waiting(one)]
    return tuple(over[: max(len(over) - ENDED_KEPT, 0)])


def with_voided(resources: Mapping[ResourceId, Resource], draft: Draft) -> Draft:
    """Return the draft with an end for every waiting change that it pulls the ground from under: in the same entry.

    Args:
        resources: of the state that the draft will follow.
        draft: of anybody.
    """
    mine = {change.id for change in draft.changes}
    found: list[Change] = []
    reads = dict(draft.reads)
    for id_, change in resources.items():
        if id_.kind is not Kind.CHANGE or id_ in mine or not is_waiting(change):
            continue
        culprits = [one.id for one in draft.changes if _pulls(one, parts(change)[0], resources)]
        if culprits:
            named = ", ".join(map(str, culprits[:_NAMED_MAX]))
            more = f" and {len(culprits) - _NAMED_MAX} more" if len(culprits) > _NAMED_MAX else ""
            because = f"{draft.action} changed {named}{more}"
            end = ended(change, ChangeState.VOIDED, by=_person(draft.actor), because=because)
            found.append(Change(id_, end))
            reads[id_] = change.version
    return replace(draft, reads=reads, changes=(*draft.changes, *found)) if found else draft


def _pulls(one: Change, spec: ChangeSpec, resources: Mapping[ResourceId, Resource]) -> bool:
    """Whether an entry's change moves what a waiting change rests on: all do that touch it, but a run that goes on."""
    if str(one.id) in spec.reads:
        is_run = one.after is not None and isinstance(one.after.status, RolloutStatus)
        return not is_run or stamp(one.after) != spec.reads[str(one.id)]
    is_new = one.id not in resources and one.id.kind in PLANNED
    # A new policy may ask for more; a new resource would be pruned.
    return is_new and (one.id.kind is Kind.POLICY or spec.prune)


def _person(actor: str) -> str:
    """Return who acted, without the visible prefix of their token."""
    who, _, token = actor.rpartition(" (")
    return who if who and token.endswith(")") else actor


def _named(text: str) -> tuple[Kind, str]:
    word, _, key = text.partition("/")
    return _KINDS[word], key
