"""A rollout as it stands: what the journal says, what ticks learned since, and the processes it is served by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import DEFAULT_UNIT
from rollout_server.app.awaited_start import awaited_start
from rollout_server.app.find_rollout import find_rollout
from rollout_server.app.freeze import FOR_EVER
from rollout_server.domain import calendar
from rollout_server.domain.frozen import freezes_of, is_frozen, tags_of
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.judging import exposed_units
from rollout_server.domain.machine import Phase, restored
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind, ResourceId, RolloutStatus
from rollout_server.domain.run_memory import RunMemory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet, FleetSummary
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Evidence, Resource

Known = Callable[["Run"], Awaitable[RunMemory]]
"""Returns what ticks learned of a run; never raises: of what is not known it returns a memory without evidence."""


_FOR_EVER_MS = calendar.parse_moment_ms(FOR_EVER) or 0
_COUNTING = frozenset({Phase.RUNNING, Phase.WATCHING})
"""Phases in which ticks add up to something."""


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout, and all that people want to see of it at once.

    Attributes:
        run: with soak and ramp as of the last tick; None before the first.
        verdicts: of the last tick, or where that is not known, of the last transition.
        candidate_units: exposed, of those that were seen in this run.
        control_units: seen first as control.
        unit: kind of the flag's unit.
        metrics: of the environment.
        unstarted: why there is no run yet, in a sentence; empty where there is one.
        thaw_at_ms: when nothing freezes the flag any more; None where it is not frozen, or nobody knows.
    """

    rollout: Resource
    run: Run | None
    unstarted: str
    verdicts: Evidence
    candidate_units: int
    control_units: int
    unit: str
    metrics: Mapping[str, MetricSpec]
    is_frozen: bool
    thaw_at_ms: int | None
    is_killed: bool
    fleet: FleetSummary
    position: Position


async def rollout_view(
    environment: Environment,
    fleet: Fleet,
    known: Known,
    elsewhere: Callable[[str], Environment | None],
    target: str,
) -> RolloutView:
    """Return a rollout as it stands.

    Args:
        environment: where.
        fleet: the connected SDKs.
        known: what ticks learned.
        elsewhere: returns another environment of this server by name.
        target: a rollout's key, or its flag's.

    Raises:
        NotFound: there is no such rollout.
        Refused: "ambiguous", see `find_rollout`.
    """
    state = environment.state
    rollout = find_rollout(state.resources, target)
    status = rollout.status
    run = status.run if isinstance(status, RolloutStatus) else None
    memory = await known(run) if run is not None else None
    flag_key = getattr(rollout.spec, "flag", "")
    flag = state.resources.get(ResourceId(Kind.FLAG, flag_key))
    now_ms = environment.clock.now_ms()
    frozen = is_frozen(state.resources, flag_key, now_ms)
    freezes, tags = freezes_of(state.resources.values()), tags_of(state.resources, flag_key)
    ratio = memory.evidence.ratio if memory is not None else None
    stored = status.verdicts if isinstance(status, RolloutStatus) else ()
    awaited = awaited_start(state.resources, rollout, elsewhere, now_ms) if run is None else ""
    return RolloutView(
        rollout=rollout,
        run=restored(run, memory.progress) if run is not None and memory is not None else run,
        unstarted="" if run is not None else awaited or f"{rollout.metadata.key} was never started",
        verdicts=memory.verdicts if memory is not None and memory.verdicts else stored,
        candidate_units=_exposed(run, memory),
        control_units=round(ratio.control_units) if ratio is not None else 0,
        unit=flag.spec.unit if flag is not None and isinstance(flag.spec, FlagSpec) else DEFAULT_UNIT,
        metrics={id_.key: one.spec for id_, one in state.resources.items() if isinstance(one.spec, MetricSpec)},
        is_frozen=frozen,
        thaw_at_ms=_thaw(calendar.next_thaw(freezes, tags, now_ms)) if frozen else None,
        is_killed=flag is not None and isinstance(flag.status, FlagStatus) and flag.status.killed,
        fleet=fleet.summary(),
        position=state.position,
    )


async def run_now(rollout: Resource, known: Known) -> Run | None:
    """Return the run of a rollout, with soak and ramp as of the last tick; None before the first."""
    run = rollout.status.run if isinstance(rollout.status, RolloutStatus) else None
    if run is None or run.phase not in _COUNTING:
        return run
    return restored(run, (await known(run)).progress)


def _thaw(at_ms: int | None) -> int | None:
    return None if at_ms is None or at_ms >= _FOR_EVER_MS else at_ms


def _exposed(run: Run | None, memory: RunMemory | None) -> int:
    return exposed_units(run, memory.evidence) if run is not None and memory is not None else 0
