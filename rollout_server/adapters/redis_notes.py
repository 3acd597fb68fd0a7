"""Notes in Redis, beside the journal: what the holder of the lease keeps for whoever holds it next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_rows import gone, meta_key
from rollout_server.errors import Conflict

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.adapters.redis_link import RedisLink


class RedisNotes:
    """One environment's `ports.FencedNotes`. Who reads them again and again is sent what changed, and nothing else."""

    def __init__(self, link: RedisLink, environment: str) -> None:
        self._link = link
        self._environment = environment
        self._key = meta_key(environment)
        self._serial = b""
        self._value: Json = None

    async def load(self) -> Json:
        """Return what was saved last, or None."""
        match await self._link.ask(scripts.NOTES_LOAD, self._key, self._serial):
            case [serial, body]:
                self._serial, self._value = serial, _read(body)
            case []:
                self._serial, self._value = b"", None
            case _:
                pass
        return self._value

    async def save(self, value: Json, fence: int) -> None:
        """Keep this instead. Said twice where the first answer is lost, which changes nothing."""
        body = json.dumps(value, separators=(",", ":"))
        match await self._link.ask(scripts.NOTES_KEEP, self._key, fence, body):
            case [b"gone"]:
                raise gone(self._environment)
            case [b"fenced", newest]:
                raise Conflict("the lease", fence, int(newest), "another server tells people now")
            case _:
                pass


def _read(body: bytes | None) -> Json:
    try:
        value: Json = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
    return value
