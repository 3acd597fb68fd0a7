"""Compaction: a signed checkpoint takes the place of old entries, which then go a few at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout_server.adapters import redis_past
from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.domain.checkpoint import seal, unseal
from rollout_server.domain.entries import follow, outline

if TYPE_CHECKING:
    from rollout_server.adapters.redis_ground import Ground
    from rollout_server.domain.entries import Line

SWEEP_AT_ONCE = 500


async def compact(ground: Ground, before_ms: int) -> int:
    """See `ports.Journal.compact`. Of several servers that compact at once, one puts its checkpoint in force."""
    dropped, is_settled = 0, False
    while not is_settled:
        now = await ground.standing()
        head, trees = unseal(await redis_past.sealed(ground), ground.environment, ground.server_key)
        if head.revision != now.oldest:
            continue  # another server put its own in force between the two questions
        base, keys = head.revision, list[str]()
        for line in await _older(ground, head.revision, now.head.revision, before_ms):
            head = follow(head, line)
            keys += _key_of(line)
            for resource, after in outline(line).changes:
                if after is None:
                    trees.pop(resource, None)
                else:
                    trees[resource] = after
        if head.revision == base:
            break
        sealed = seal(ground.environment, head, trees, ground.server_key)
        arguments = (base, head.revision, head.digest, sealed.body, sealed.signature, *keys)
        is_settled = await ground.link.ask(scripts.COMPACT, ground.key, *arguments) == 1
        dropped = head.revision - base if is_settled else 0
    await _sweep(ground)
    return dropped


async def _older(ground: Ground, after: int, upto: int, before_ms: int) -> list[Line]:
    found: list[Line] = []
    while after < upto:
        page = await redis_past.lines(ground, after, min(after + redis_past.LINES_AT_ONCE, upto))
        older = [line for line in page if line.at_ms < before_ms]
        found += older
        if not page or len(older) < len(page):
            break
        after = page[-1].revision
    return found


async def _sweep(ground: Ground) -> None:
    """Delete what the checkpoint stands for, also what a crash left behind."""
    log = ground.beside("log")
    while True:
        oldest = (await ground.standing()).oldest
        page = await ground.link.command("XRANGE", log, "-", f"{oldest}-0", "COUNT", SWEEP_AT_ONCE)
        if not page:
            return
        gone = [rows.read_entry_fields(entry_id, fields) for entry_id, fields in page]
        names = {rows.name_of(resource) for line in gone for resource, _ in outline(line).changes}
        await ground.link.ask(scripts.SWEEP, ground.key, gone[-1].revision, *sorted(names))


def _key_of(line: Line) -> tuple[str, ...]:
    key = json.loads(line.body)["idempotency_key"]
    return (key, str(line.revision)) if key else ()
