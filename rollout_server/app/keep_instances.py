"""Remember across a restart which processes there were.

A server that has just come back knows nobody, and a certificate that it gives then must not call itself complete: those
who were here in the last hour count as out of reach until they come back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instance import Instance
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.app.instances import Instances
    from rollout_server.ports import Notes

LOOK_EVERY_S = 1.0
SAVE_EVERY_LOOKS = 60
"""Without anybody coming or going, it is still noted now and then that those who are here were here."""


async def recall_instances(instances: Instances, notes: Notes) -> None:
    """Seat who was noted as out of reach; what cannot be read is nobody."""
    saved = await asyncio.to_thread(notes.load)
    instances.recall(tuple(filter(None, map(_read, saved if isinstance(saved, list) else ()))))


async def keep_instances(instances: Instances, notes: Notes) -> None:
    """Note who is here, until cancelled, and a last time then. A disk that takes nothing is tried at the next turn."""
    seen, looks = -1, 0
    try:
        while True:
            if instances.changes != seen or looks >= SAVE_EVERY_LOOKS:
                seen, looks = instances.changes, 0
                await asyncio.to_thread(_save, notes, instances.to_recall())
            await asyncio.sleep(LOOK_EVERY_S)
            looks += 1
    finally:
        _save(notes, instances.to_recall())


def _save(notes: Notes, known: tuple[Instance, ...]) -> None:
    try:
        notes.save([_write(one) for one in known])
    except Unavailable:
        return  # the journal lives on the same disk, and says so loudly


def _write(one: Instance) -> Json:
    said = one.greeting
    who: list[Json] = [one.token_id, said.instance_id, said.service, said.host, said.pid, said.sdk_version]
    return [*who, one.last_seen_at_ms, one.behind, one.connected_at_ms]


def _read(noted: Json) -> Instance | None:
    match noted:
        case [str(token), str(instance_id), str(service), str(host), int(pid), str(version), int(seen_at_ms), *more]:
            greeting = Greeting(instance_id, version, (), service, host, pid)
            # Notes of earlier releases end before these.
            behind = more[0] if more and isinstance(more[0], str) else ""
            connected_at_ms = more[1] if len(more) > 1 and isinstance(more[1], int) else seen_at_ms
            return Instance(greeting, token, connected_at_ms, seen_at_ms, 0, is_connected=False, behind=behind)
        case _:
            return None
