"""Keep on disk what a relay serves, so that it serves the same after its own end while upstream is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from rollout_sdk.wire.relaying import write_relay_file
from rollout_sdk.wire.snapshot import pack
from rollout_server.errors import Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_server.app.relayed import Relayed
    from rollout_server.ports import Shelf

SAVE_EVERY_S = 1.0
"""The first change after a quiet second is kept at once; of many in a row, the last of each second."""


async def keep_relayed(relayed: Relayed, shelf: Shelf) -> None:
    """Save whenever something came, until cancelled, and then a last time.

    A disk that takes nothing is tried again at the next change.
    """
    saved, is_told = 0, False
    try:
        while True:
            await relayed.changed_from(saved)
            changes = relayed.changes
            if relayed.fan_out.held is not None:
                try:
                    await asyncio.to_thread(_save, shelf, _writer(relayed))
                    is_told = False
                except Unavailable as error:
                    if not is_told:
                        hint = "what is served is not touched; a restart while upstream is away would serve less"
                        get_logger().error("what is relayed cannot be kept", why=str(error), hint=hint)
                    is_told = True
            saved = changes
            await asyncio.sleep(SAVE_EVERY_S)
    finally:
        if relayed.changes != saved and relayed.fan_out.held is not None:
            with suppress(Unavailable):
                shelf.save(_writer(relayed)())


def _save(shelf: Shelf, write: Callable[[], bytes]) -> None:
    shelf.save(write())


def _writer(relayed: Relayed) -> Callable[[], bytes]:
    """Look at what there is, now; return what writes it, on any thread."""
    feed, tokens, now_ms = relayed.fan_out, relayed.tokens, relayed.clock.now_ms()
    position, (chunks, records) = feed.position, feed.everything()
    mark = feed.mark(position.revision)
    committed_at_ms = mark.at_ms if mark else 0

    def write() -> bytes:
        ruleset = pack(position, records, chunks, environment=relayed.name, saved_at_ms=now_ms)
        return write_relay_file(ruleset, tokens, committed_at_ms)

    return write
