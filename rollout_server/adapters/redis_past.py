"""What was: a state of the past, the checkpoint, and the whole log folded again."""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_refusals import DAMAGED_HINT
from rollout_server.domain.checkpoint import Sealed, read_checkpoint, unseal
from rollout_server.domain.entries import Head, outline
from rollout_server.domain.files import read_stored
from rollout_server.domain.journal import State
from rollout_server.domain.verification import StoredHistory, StoredResource, Verification, verify_history
from rollout_server.errors import Corrupt, NotFound, RolloutError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.model import Json
    from rollout_server.adapters.redis_ground import Ground
    from rollout_server.domain.checkpoint import Checkpoint
    from rollout_server.domain.entries import Line
    from rollout_server.domain.resources import Resource, ResourceId

LINES_AT_ONCE = 1_000
NAMES_AT_ONCE = 200
ATTEMPTS_MAX = 5


async def sealed(ground: Ground) -> Sealed | None:
    """Return the checkpoint as it is stored."""
    body, signature = await ground.link.command("HMGET", ground.beside("checkpoint"), "body", "signature")
    return None if body is None else Sealed(body, signature or b"")


async def checkpoint(ground: Ground) -> Checkpoint:
    """See `ports.Journal.checkpoint`."""
    now = await ground.standing()
    return read_checkpoint(await sealed(ground), ground.environment, ground.server_key, now.epoch)


async def lines(ground: Ground, after: int, upto: int) -> list[Line]:
    """Return what the log holds of (after, upto], ascending."""
    found: list[Line] = []
    log, last = ground.beside("log"), after
    while last < upto:
        page = await ground.link.command("XRANGE", log, f"{last + 1}-0", f"{upto}-0", "COUNT", LINES_AT_ONCE)
        if not page:
            break
        found += (rows.read_entry_fields(entry_id, fields) for entry_id, fields in page)
        last = found[-1].revision
    return found


async def state_at(ground: Ground, revision: int | None, at_ms: int | None) -> State:
    """See `ports.Journal.state_at`. A compaction meanwhile makes it look again."""
    for _ in range(ATTEMPTS_MAX):
        ground.check_open()
        point = ("" if revision is None else revision, "" if at_ms is None or revision is not None else at_ms)
        epoch, head, oldest, wanted, line, *names = await ground.link.ask(scripts.PAST, ground.key, *point)
        base, trees = unseal(await sealed(ground), ground.environment, ground.server_key)
        if base.revision != int(oldest):
            continue
        _check_point(int(wanted), int(head), base, at_ms=None if revision is not None else at_ms)
        wanted_head = base
        if int(wanted) > base.revision:
            read = rows.read_line(line)
            wanted_head = Head(read.revision, read.digest, read.at_ms)
        found = await _last_words(ground, names)
        if found is None:
            continue
        for resource, after in found:
            if after is None:
                trees.pop(resource, None)
            else:
                trees[resource] = after
        position = Position(epoch.decode(), wanted_head.revision, wanted_head.digest)
        return State(position, MappingProxyType(_read_all(trees, wanted_head)), wanted_head.at_ms)
    raise Unavailable("redis", f"{ground.link.where}: its log is being compacted", "try again")


async def verify(ground: Ground, expected_head: Position | None) -> Verification:
    """See `ports.Journal.verify`. What is committed meanwhile is left for the next time."""
    meta, last, _, bodies = await ground.link.ask(scripts.LOAD, ground.key)
    now = rows.read_standing(meta, ground.environment)
    try:
        upto = max((rows.read_line(row).revision for row in last), default=now.head.revision)
        stored = StoredHistory(
            ground.environment,
            ground.server_key,
            now.position,
            await sealed(ground),
            await lines(ground, now.oldest, upto),
            await _index(ground, upto),
            [StoredResource(rows.resource_of(n), b) for n, b in zip(bodies[::2], bodies[1::2], strict=True)],
        )
    except Corrupt as damage:
        return Verification(False, 0, now.position, now.oldest, expected_head is not None, str(damage))
    return verify_history(stored, expected_head)


async def _index(ground: Ground, upto: int) -> list[tuple[int, ResourceId]]:
    names = sorted(await ground.link.command("SMEMBERS", ground.beside("names")))
    found: list[tuple[int, ResourceId]] = []
    for first in range(0, len(names), NAMES_AT_ONCE):
        asked = names[first : first + NAMES_AT_ONCE]
        for name, revisions in zip(asked, await ground.link.ask(scripts.INDEX, ground.key, *asked), strict=True):
            resource = rows.resource_of(name)
            found += ((int(revision), resource) for revision in revisions if int(revision) <= upto)
    return sorted(found, key=lambda each: (each[0], each[1].kind.value, each[1].key))


async def _last_words(ground: Ground, names: Sequence[bytes]) -> list[tuple[ResourceId, Json]] | None:
    """What each resource was after its last change; None where an entry went away meanwhile."""
    wanted: defaultdict[int, set[ResourceId]] = defaultdict(set)
    for name, changed_at in zip(names[::2], names[1::2], strict=True):
        wanted[int(changed_at)].add(rows.resource_of(name))
    found: list[tuple[ResourceId, Json]] = []
    for revision in sorted(wanted):
        there = await lines(ground, revision - 1, revision)
        if not there:
            return None
        found += [(resource, tree) for resource, tree in outline(there[0]).changes if resource in wanted[revision]]
    return found


def _check_point(wanted: int, head: int, base: Head, at_ms: int | None) -> None:
    if at_ms is not None and base.revision > 0 and at_ms < base.at_ms:
        hint = f"history is kept from revision {base.revision} on, which was written at {base.at_ms} ms"
        raise NotFound("time", f"{at_ms} ms", hint)
    if wanted < base.revision:
        raise NotFound("revision", str(wanted), f"history is kept from revision {base.revision} on")
    if wanted > head:
        raise NotFound("revision", str(wanted), f"the last one is {head}")


def _read_all(trees: dict[ResourceId, Json], head: Head) -> dict[ResourceId, Resource]:
    try:
        return {resource: read_stored(tree) for resource, tree in trees.items()}
    except (ValueError, KeyError, TypeError, RolloutError) as error:
        raise Corrupt(f"revision {head.revision}", f"a resource does not parse: {error!r}", DAMAGED_HINT) from error
