"""The built-in metric `process_lost`: processes that ended without goodbye, in windows like every other metric."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rollout_server.domain.guardrails.data import Cell, WindowSums
from rollout_server.domain.telemetry import PROCESS_LOST, ProcessWindow
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import RolloutState
    from rollout_server.app.census import Census
    from rollout_server.app.window_clock import WindowClock
    from rollout_server.ports import TelemetryStore

LOST_AFTER_MS: Final = 30_000
"""A process that was cut off comes back within seconds; one that is away for longer has ended."""

_Key = tuple[str, str]


class ProcessLosses:
    """Watches the processes of one environment."""

    def __init__(self, fleet: Census, store: TelemetryStore, clock: WindowClock) -> None:
        """Know nobody yet: who was gone before this server started is nobody's loss now."""
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._away_since_ms: dict[_Key, int | None] = {}

    async def count(self) -> ProcessWindow:
        """Look once, and put who lives and who was lost since into the present window.

        Of many servers on one store each counts those that were connected to it last, so none is lost twice; of a
        server that is gone nobody does: they may well live (docs/adr/0022).

        Raises:
            Unavailable: the store is away; losses are counted at the next look.
        """
        now_ms = self._clock.now_ms()
        away_since_ms: dict[_Key, int | None] = {}
        lost: list[_Key] = []
        for one in self._fleet.mine():
            key = (one.token_id, one.greeting.instance_id)
            if one.is_out_of_sight:
                continue  # its relay is cut off: it may well live
            if one.is_connected:
                away_since_ms[key] = None
            elif key in self._away_since_ms:
                known_ms = self._away_since_ms[key]
                since_ms = away_since_ms[key] = now_ms if known_ms is None else known_ms
                if now_ms - since_ms >= LOST_AFTER_MS and self._fleet.is_whole:  # else it may be elsewhere
                    lost.append(key)
        connected = sum(since_ms is None for since_ms in away_since_ms.values())
        found = ProcessWindow(self._clock.window_at(now_ms), connected + len(lost), len(lost))
        if found.lived:
            await self._store.add_processes(found)
        for key in lost:
            del away_since_ms[key]
        self._away_since_ms = away_since_ms
        return found

    async def keep_counting(self) -> None:
        """Count once a window until cancelled; a store that is away is asked again."""
        while True:
            await asyncio.sleep(self._clock.window_ms / 1_000)
            try:
                await self.count()
            except Unavailable:
                continue


def sums_of(state: RolloutState, windows: Iterable[ProcessWindow]) -> tuple[WindowSums, ...]:
    """Return the built-in metric as the guardrails of a run read it.

    A process serves both arms, so there is no control: only absolute limits judge it.
    """
    return tuple(
        WindowSums(
            run=state.run,
            allocation=state.allocation,
            reach_ppm=1_000_000,
            stratum="",
            metric=PROCESS_LOST,
            window=each.window,
            candidate=Cell(n=each.lived, x=float(each.lost), xx=float(each.lost)),
        )
        for each in windows
    )
