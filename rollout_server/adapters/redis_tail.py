"""Following the log: a blocking read, and before each one the proof that this is still the same history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from rollout_server.adapters import redis_rows as rows
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_link import ANSWER_S
from rollout_server.adapters.redis_refusals import LOST, REFUSED_BEFORE
from rollout_server.domain.entries import Head, check_after, follow, read_entry
from rollout_server.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio.connection import AbstractConnection

    from rollout_server.adapters.redis_ground import Ground
    from rollout_server.adapters.redis_rows import Standing
    from rollout_server.domain.entries import Line
    from rollout_server.domain.journal import Entry

BLOCK_MS = 1_000
"""How long a read may find nothing; then Redis is asked whether it is still the primary of this history."""

AT_ONCE = 256


async def follow_log(ground: Ground, after: int) -> AsyncIterator[Entry]:
    """Yield each entry after a revision, until the journal is closed; see `ports.Journal.tail`."""
    epoch = ground.epoch
    while not ground.closing.is_set():
        try:
            async with ground.link.connection() as connection:
                now = await _prove(ground, connection, after)
                epoch = epoch or now.epoch
                if now.epoch != epoch:
                    raise Conflict("epoch", epoch, now.epoch, "the history was made a new epoch: load the state again")
                lines = await _read(ground, connection, after, now)
        except Unavailable:
            if ground.closing.is_set():
                return
            raise
        head = Head(after, now.digests[0])
        for line in lines:
            head = follow(head, line)
            ground.advance(head)
            yield read_entry(line)
            after = line.revision


async def _prove(ground: Ground, connection: AbstractConnection, after: int) -> Standing:
    """Return where the store stands, if it is a primary and has all that is known here."""
    known = ground.known or Head()
    asked = (1, ground.key, after, known.revision)
    try:
        role = await ground.link.speak(connection, "ROLE")
        try:
            answer = await ground.link.speak(connection, "EVALSHA", scripts.STANDING.sha, *asked)
        except NoScriptError:
            answer = await ground.link.speak(connection, "EVAL", scripts.STANDING.text, *asked)
    except (*REFUSED_BEFORE, *LOST) as error:
        raise ground.link.meaning(error) from error
    if role[0] != b"master":
        await connection.disconnect(nowait=True)  # the next one is made to whoever is the primary by then
        raise Unavailable("redis", f"{ground.link.where}: it has become a replica", "the new primary is looked for")
    now = rows.read_standing(answer, ground.environment)
    check_after(after, now.oldest, now.head.revision)
    if not now.is_after(known, now.digests[1]):
        ground.lost.set()
        hint = "the store has lost it, or is another one: load the state again"
        raise NotFound("revision", str(known.revision), hint)
    ground.lost.clear()
    return now


async def _read(ground: Ground, connection: AbstractConnection, after: int, now: Standing) -> list[Line]:
    """Wait for entries, a new epoch, a loss that a commit noticed, or the end; return the entries."""
    log, epochs = (ground.beside(name) for name in ("log", "epochs"))
    words = ("COUNT", AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", log, epochs, f"{after}-0", now.epochs)
    within_s = BLOCK_MS / 1_000 + ANSWER_S
    reading = asyncio.ensure_future(ground.link.speak(connection, "XREAD", *words, within_s=within_s))
    ending = [asyncio.ensure_future(event.wait()) for event in (ground.closing, ground.lost)]
    try:
        await asyncio.wait((reading, *ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (reading, *ending):
            task.cancel()
        await asyncio.gather(reading, *ending, return_exceptions=True)
    if reading.cancelled():
        return []
    try:
        found: Any = reading.result() or ()
    except (*REFUSED_BEFORE, *LOST) as error:
        raise ground.link.meaning(error) from error
    return [rows.read_entry_fields(*entry) for stream, page in found if stream == log.encode() for entry in page]
