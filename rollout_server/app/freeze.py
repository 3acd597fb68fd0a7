"""Freeze and thaw by hand: nothing grows from now on, or may grow again. A freeze that ended stays, as its turns do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rollout_server.app.documents import Document, read_documents
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain.calendar import parse_moment_ms
from rollout_server.domain.files import canonical_json, write
from rollout_server.domain.frozen import surprises
from rollout_server.domain.plan import Wish, plan
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId
from rollout_server.domain.rollouts import FreezeSpec
from rollout_server.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry

FOR_EVER = "9999-12-31T23:59:59Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Let nothing grow from now on.

    Attributes:
        key: names it; made from the moment where it is empty.
        for_ms: how long; 0 until it is thawed.
        tags: of flags; none is all.
        exempt: people and groups who may grow nevertheless.
        stagger_ms: afterwards rollouts go on one by one, this far apart.
    """

    key: str = ""
    for_ms: int = 0
    tags: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    stagger_ms: int = 0
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Thaw:
    """End a freeze now."""

    key: str
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came of it.

    Attributes:
        entry: None where it was so already.
        surprises: what it does otherwise than one may think (`frozen.surprises`); of a freeze that was made.
    """

    entry: Entry | None
    freeze: Resource
    position: Position
    surprises: tuple[str, ...] = ()


async def freeze(environment: Environment, command: Freeze, actor: Actor) -> Frozen:
    """Make a freeze that begins now.

    Raises:
        InvalidInput: its key, tags or lengths are none.
        Refused: "exists", there is a freeze of this key.
        Conflict, Unavailable: as for every change.
    """
    now_ms = environment.clock.now_ms()
    key = command.key or f"by-hand-{_moment(now_ms):%Y%m%d-%H%M%S}"
    id_ = ResourceId(Kind.FREEZE, key)
    end = _text(now_ms + command.for_ms) if command.for_ms else FOR_EVER
    spec = FreezeSpec(_text(now_ms), end, "", command.tags, command.exempt, command.stagger_ms)

    async def compose() -> Composed[None]:
        if environment.resource(id_) is not None:
            raise Refused("exists", f"there is a freeze {key} already", "give this one another key, or thaw that one")
        return await _planned(environment, Resource(Kind.FREEZE, Metadata(key, owner=actor.person), spec))

    print_ = fingerprint("freeze", command.key, command.for_ms, command.tags, command.exempt, command.stagger_ms)
    written = await transact(environment, Request("freeze", actor.label, command.intent, print_), compose)
    # A repeat with its idempotency key made the freeze of the first call, whose key may be of another second.
    made = next((one.after for one in written.entry.changes if one.after), None) if written.entry else None
    told = surprises(environment.state.resources, spec)
    return Frozen(written.entry, made or _found(environment, id_), environment.position, told)


async def thaw(environment: Environment, command: Thaw, actor: Actor) -> Frozen:
    """End a freeze: from now on its flags may grow, one after another.

    Raises:
        NotFound: there is no such freeze.
        Refused: "weekly", it comes again every week, and only an edit ends it.
        Conflict, Unavailable: as for every change.
    """
    id_ = ResourceId(Kind.FREEZE, command.key)

    async def compose() -> Composed[None]:
        resource, now_ms = _found(environment, id_), environment.clock.now_ms()
        spec = resource.spec
        if not isinstance(spec, FreezeSpec):
            raise TypeError(f"{id_} is no freeze")
        start_ms, end_ms = parse_moment_ms(spec.start), parse_moment_ms(spec.end)
        if start_ms is None or end_ms is None:
            hint = "change or delete it with `rollout apply`, or name who may go on under `except`"
            raise Refused("weekly", f"freeze {id_.key} comes again every week", hint)
        if end_ms <= now_ms:
            return Composed({}, (), None)
        # One that has not begun ends as soon as it begins: an end before its start would be none.
        over = replace(spec, end=_text(max(now_ms, start_ms + 1)))
        return await _planned(environment, replace(resource, spec=over, status=None))

    request = Request("thaw", actor.label, command.intent, fingerprint("thaw", command.key))
    written = await transact(environment, request, compose)
    return Frozen(written.entry, _found(environment, id_), environment.position)


async def _planned(environment: Environment, freeze: Resource) -> Composed[None]:
    """Take it through the door of documents: what no file could say is refused here as there."""
    document = Document(canonical_json(write(freeze)).decode(), freeze.kind.value, freeze.metadata.key)
    wish = Wish(read_documents((document,)).resources)
    planned = await asyncio.to_thread(plan, environment.state, wish, environment.ruleset)
    if planned.problems:
        raise InvalidInput(planned.problems)
    return Composed(planned.reads, planned.writes, None)


def _found(environment: Environment, id_: ResourceId) -> Resource:
    resource = environment.resource(id_)
    if resource is None:
        keys = [one.key for one in environment.state.resources if one.kind is Kind.FREEZE]
        raise NotFound("freeze", cut(id_.key), did_you_mean(id_.key, keys, "freezes") if keys else "there is none")
    return resource


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _text(at_ms: int) -> str:
    return _moment(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
