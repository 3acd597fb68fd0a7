"""Follow the server that is upstream of a relay: hear what it says, tell it who is here, dial again for ever.

Nothing that is served here depends on it from one moment to the next: while upstream is away, what was heard last goes
on being served.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import uniform
from typing import TYPE_CHECKING

from rollout_sdk.wire.messages import Bookmark, Drain, Resync
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.relaying import Tokens, Update, read_relay_file
from rollout_server.errors import Corrupt, RolloutError, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.relaying import Told
    from rollout_server.app.relayed import Relayed
    from rollout_server.ports import Shelf, Upstream

SILENCE_S = 25.0
"""Upstream sends a bookmark every 10 s; one that says nothing for so long is gone."""

RETURN_WITHIN_MS = 1_000
"""Bound of the random wait before the first dial, until upstream says a better one."""
RETURN_WITHIN_MAX_MS = 10_000
DRAIN_WITHIN_MAX_MS = 60_000


class FollowUpstream:
    """Keeps one environment up with upstream."""

    def __init__(self, relayed: Relayed, upstream: Upstream, name: str) -> None:
        """Be ready to dial.

        Args:
            relayed: what is kept up.
            upstream: where it comes from.
            name: of this relay, for people.
        """
        self._relayed = relayed
        self._upstream = upstream
        self._name = name
        self._parts: list[Update] = []
        self._must_start_over = False
        self._return_within_ms = RETURN_WITHIN_MS
        self._said = ""

    async def keep_following(self) -> None:
        """Follow until cancelled."""
        failures = 0
        try:
            while True:
                wait_ms = uniform(0, min(self._return_within_ms * 2**failures, RETURN_WITHIN_MAX_MS))  # noqa: S311 - spreads load
                try:
                    drain_ms = await self._converse()
                    wait_ms = uniform(0, drain_ms)  # noqa: S311 - the same
                    failures = 0
                except (RolloutError, Resync, TimeoutError) as error:
                    failures = 0 if self._relayed.is_following else min(failures + 1, 8)
                    self._say(error)
                finally:
                    self._relayed.is_following = False
                await asyncio.sleep(wait_ms / 1_000)
        finally:
            await self._upstream.close()

    async def _converse(self) -> int:
        """Open one stream and listen to its end; return over how long upstream asks to come back.

        Raises:
            Resync: what came does not follow what is held.
            RolloutError: upstream is away, refuses, or is the wrong one.
            TimeoutError: it said nothing.
        """
        self._parts = []
        held = None if self._must_start_over else self._relayed.fan_out.held
        # Named, and not inlined, so that nothing of it outlives the stream.
        told = self._upstream.watch(self._name, held, self._relayed.instances.tell())
        async with aclosing(told):  # type: ignore[type-var] # a generator, wherever it comes from
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await anext(told, None)
                if message is None:
                    raise Unavailable("upstream", "the stream ended")
                if isinstance(message, Drain):
                    return min(message.reconnect_within_ms, DRAIN_WITHIN_MAX_MS)
                self._hear(message)

    def _hear(self, message: Told) -> None:
        match message:
            case Tokens():
                self._check_environment(message.environment)
                self._relayed.admit(message)
            case Update():
                self._collect(message)
            case Bookmark():
                if not self._relayed.fan_out.agrees(message.position, message.ruleset_digest):
                    self._must_start_over = True
                    raise Resync("upstream holds something else at the same revision")
                self._return_within_ms = message.reconnect_within_ms or RETURN_WITHIN_MS
            case _:
                pass  # a reset: what is held is served until the snapshot of the other epoch is whole
        if not self._relayed.is_following:
            self._relayed.is_following = True
            self._said = ""
            get_logger().info("following upstream", environment=self._relayed.name)

    def _collect(self, update: Update) -> None:
        self._parts.append(update)
        if update.part.more:
            return
        parts, self._parts = [one.part for one in self._parts], []
        try:
            self._relayed.take(parts, update.committed_at_ms)
        except Resync:
            self._must_start_over = True
            raise
        self._must_start_over = False

    def _check_environment(self, told: str) -> None:
        name = self._relayed.name
        if told != name:
            message = f"upstream_token is of environment {told!r}, and this relay was told to serve {name!r}"
            raise Unavailable("upstream", message, f"set environments to {told}, or take a token of {name}")

    def _say(self, error: Exception) -> None:
        """Say why, once for each kind of trouble."""
        said = str(error) or "it said nothing for too long"
        if said != self._said:
            self._said = said
            hint = error.hint if isinstance(error, RolloutError) else ""
            get_logger().warning(
                "upstream cannot be followed; what was heard last is served",
                environment=self._relayed.name,
                why=said,
                hint=hint,
                revision=self._relayed.fan_out.position.revision,
            )


async def recall_relayed(relayed: Relayed, shelf: Shelf) -> Position | None:
    """Serve what an earlier run kept; return where that leads, None where nothing was kept.

    Raises:
        Corrupt: what was kept cannot be read, or is another environment's.
    """
    data = await asyncio.to_thread(shelf.load)
    if data is None:
        return None
    try:
        snapshot, tokens, committed_at_ms = read_relay_file(data)
        if relayed.name != tokens.environment:
            raise Corrupt("data", f"what was kept is of environment {tokens.environment!r}", "give another data")
        relayed.fan_out.recall(snapshot, committed_at_ms)
    except (WireError, Resync) as error:
        raise Corrupt("data", str(error), "remove the relay's file: it is made anew from upstream") from None
    relayed.admit(tokens)
    return relayed.fan_out.held
