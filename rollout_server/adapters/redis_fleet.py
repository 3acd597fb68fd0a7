"""The servers that share a Redis, as they tell each other of their processes through it.

A stream for each server, whose ids are run and number of its words, so that whoever reads sees at once what is missing;
and one hash that says who there is, how far each has told, and when it was last heard of. Ages are by the clock of
Redis, the only one that all of them share.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_link import ANSWER_S
from rollout_server.adapters.redis_refusals import LOST, REFUSED_BEFORE
from rollout_server.adapters.redis_rows import gone, meta_key
from rollout_server.domain.replicas import REMEMBERED_MS, REPLICAS_MAX, Replica, Roll, Spot, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollout_server.adapters.redis_link import RedisLink
    from rollout_server.ports import Clock

BLOCK_MS = 1_000
"""How long `hear` waits; then it is asked anew, of whom by then."""

AT_ONCE = 64
"""Words of one server in one answer."""

_FORGOT = "-"


class RedisReplicas:
    """One server of one environment; see `ports.Replicas`."""

    def __init__(self, link: RedisLink, environment: str, clock: Clock) -> None:
        """Be a new one."""
        self._link = link
        self._environment = environment
        self._key = meta_key(environment)
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._name = ""
        self._told = Spot()
        self._last_run = 0
        self._ahead_ms = 0  # the clock of Redis, of this server's steady one

    async def begin(self, name: str, word: bytes) -> Roll:
        """See `ports.Replicas`."""
        self._name = name.replace("\n", " ")
        self._last_run, self._told = max(self._last_run, self._told.run), Spot()
        return await self._say(word)

    async def tell(self, *words: bytes) -> Roll:
        """See `ports.Replicas`."""
        return await self._say(*words)

    async def leave(self) -> None:
        """See `ports.Replicas`."""
        if self._told.run:
            await self._say(has_left=True)

    async def hear(self, after: Mapping[str, Spot]) -> tuple[Word, ...]:
        """See `ports.Replicas`. A key of another type is passed over, as if that server told nothing."""
        asked = dict(after)
        async with self._link.connection() as connection:
            while asked:
                streams = [self._stream(id_) for id_ in asked]
                spots = [f"{spot.run}-{spot.number}" for spot in asked.values()]
                words = ("COUNT", AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", *streams, *spots)
                try:
                    found = await self._link.speak(connection, "XREAD", *words, within_s=BLOCK_MS / 1_000 + ANSWER_S)
                    return tuple(self._words(dict(zip(streams, asked, strict=True)), found or ()))
                except ResponseError as error:
                    if not str(error).startswith("WRONGTYPE"):
                        raise self._link.meaning(error) from error
                    types = [await self._link.speak(connection, "TYPE", stream) for stream in streams]
                    of_ours = {b"stream", b"none"}
                    asked = {id_: asked[id_] for id_, is_ in zip(tuple(asked), types, strict=True) if is_ in of_ours}
                except (*REFUSED_BEFORE, *LOST) as error:
                    raise self._link.meaning(error) from error
        await asyncio.sleep(BLOCK_MS / 1_000)
        return ()

    async def _say(self, *words: bytes, has_left: bool = False) -> Roll:
        spot = (self._told.run, self._told.number if self._told.run else self._last_run)
        arguments = (self._id, self._name, *spot, int(has_left), REMEMBERED_MS, REPLICAS_MAX, *words)
        answer = await self._link.ask(scripts.FLEET_TELL, self._key, *arguments)
        if answer == [b"gone"]:
            raise gone(self._environment)
        now_ms, is_whole, run, number, *roll = answer
        self._ahead_ms = int(now_ms) - self._clock.monotonic_ms()
        if is_whole == b"1":
            self._told = Spot(int(run), int(number))
        return self._roll(int(now_ms), roll, is_whole=is_whole == b"1")

    def _roll(self, now_ms: int, fields: Sequence[bytes], *, is_whole: bool) -> Roll:
        replicas: list[Replica] = []
        forgot_ms_ago: int | None = None
        for name, line in zip(fields[::2], fields[1::2], strict=True):
            id_, words = name.decode("utf-8", "replace"), line.decode("utf-8", "replace").split(" ", 5)
            if id_ == _FORGOT and words[0].isdigit():
                forgot_ms_ago = max(0, now_ms - int(words[0]))
            elif id_ != self._id and len(words) == 6 and all(word.isdigit() for word in words[:5]):  # noqa: PLR2004 - as fleet_tell.lua writes them
                beat, at_ms, run, number, has_left = map(int, words[:5])
                seen_ms_ago = max(0, now_ms - at_ms)
                replicas.append(Replica(id_, words[5], beat, seen_ms_ago, Spot(run, number), bool(has_left)))
        return Roll(self._told, tuple(replicas), is_whole, forgot_ms_ago)

    def _words(self, ids: Mapping[str, str], found: Sequence[Any]) -> Iterator[Word]:
        now_ms = self._clock.monotonic_ms() + self._ahead_ms
        for stream, entries in found:
            for id_, fields in entries:
                run, _, number = id_.decode().partition("-")
                known = dict(zip(fields[::2], fields[1::2], strict=True))
                at_ms = known.get(b"at", b"")
                ms_ago = max(0, now_ms - int(at_ms)) if at_ms.isdigit() else 0
                yield Word(ids[stream.decode()], Spot(int(run), int(number)), ms_ago, known.get(b"word", b""))

    def _stream(self, id_: str) -> str:
        return f"{self._key.removesuffix('meta')}fleet:{id_}"
