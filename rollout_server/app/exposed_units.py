"""How many units a run exposed, as far as processes said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM
from rollout_server.domain.telemetry import RunId

if TYPE_CHECKING:
    from rollout_server.ports import TelemetryStore

_EVER = 1 << 62


async def exposed_units(store: TelemetryStore, rollout: str, run: int) -> int:
    """Return at least how many units were exposed.

    A unit counts once in its run, in the arm that it was first seen in: who was control before a ramp reached it is not
    among these, nor whom no process reported.

    Raises:
        Unavailable: the store is away.
    """
    sums = await store.exposures(RunId(rollout, run), -1, _EVER)
    return round(sum(one.candidate.exposed * PPM / one.kept_ppm for one in sums if one.kept_ppm))
