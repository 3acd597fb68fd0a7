"""The figures of rollouts under way, read from memory: nothing is asked of a store, so it is safe at every scrape.

What the journal says is known to every server; what ticks learn, soak, units and verdicts, to the one that drives.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.domain.judging import exposed_units
from rollout_server.domain.machine import EXPOSING, Phase, restored
from rollout_server.domain.resources import FlagStatus, Kind, RolloutStatus
from rollout_server.domain.telemetry import RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_server.domain.guardrails.verdict import Verdict
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.domain.run_memory import RunMemory

SHOWN_MAX = 100
"""Rollouts shown one by one; the rest is only counted. It bounds what a scrape costs, whatever people start."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One rollout under way.

    Attributes:
        stage: where it is; empty before the first.
        share_ppm: of that stage's audience.
        needs_person: something waits for a person who has not answered.
        exposed_units, control_units, soak_left_ms: None where another server drives.
        verdicts: of the last tick, by guardrail; none where another server drives.
    """

    rollout: str
    flag: str
    run: int
    phase: str
    stage: str
    share_ppm: int
    needs_person: bool
    exposed_units: int | None = None
    control_units: int | None = None
    soak_left_ms: int | None = None
    verdicts: tuple[tuple[str, Verdict], ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutFigures:
    """Of one environment.

    Attributes:
        phases: how many runs under way are in each phase; every phase has a number.
        shown: at most `SHOWN_MAX` of them, those that need a person first, then those that changed last.
        flags_killed: flags that serve `off` to all.
    """

    phases: Mapping[str, int]
    shown: tuple[RunFigures, ...]
    flags_killed: int


def rollout_figures(resources: Mapping[ResourceId, Resource], memories: Mapping[RunId, RunMemory]) -> RolloutFigures:
    """Read the figures.

    Args:
        resources: of the environment, now.
        memories: of the runs that this server drives, as of the last tick.
    """
    runs = list(_under_way(resources.values()))
    counted = Counter(run.phase for run in runs)
    runs.sort(key=lambda run: (not _needs_person(run), -run.changed_at_ms, run.rollout))
    return RolloutFigures(
        phases={phase.value: counted[phase] for phase in Phase},
        shown=tuple(_of(run, memories.get(RunId(run.rollout, run.number))) for run in runs[:SHOWN_MAX]),
        flags_killed=sum(
            isinstance(one.status, FlagStatus) and one.status.killed
            for id_, one in resources.items()
            if id_.kind is Kind.FLAG
        ),
    )


def _under_way(resources: Iterable[Resource]) -> Iterable[Run]:
    """Runs that expose somebody, will, or ended and still wait for a person."""
    for one in resources:
        run = one.status.run if isinstance(one.status, RolloutStatus) else None
        if run is not None and (
            _needs_person(run) or run.phase is Phase.SCHEDULED or (run.phase in EXPOSING and not run.is_finished)
        ):
            yield run


def _needs_person(run: Run) -> bool:
    return run.need is not None and not run.need.acknowledged_by


def _of(run: Run, memory: RunMemory | None) -> RunFigures:
    run = restored(run, memory.progress) if memory is not None else run
    is_known = memory is not None and not memory.is_unread
    evidence = memory.evidence if memory is not None and is_known else None
    return RunFigures(
        rollout=run.rollout,
        flag=run.flag,
        run=run.number,
        phase=run.phase.value,
        stage=run.stage_name,
        share_ppm=run.entered[-1].share_ppm if run.entered and run.phase in EXPOSING else 0,
        needs_person=_needs_person(run),
        exposed_units=exposed_units(run, evidence) if evidence is not None else None,
        control_units=round(evidence.ratio.control_units) if evidence is not None else None,
        soak_left_ms=_soak_left_ms(run) if memory is not None else None,
        verdicts=memory.verdicts if memory is not None else (),
    )


def _soak_left_ms(run: Run) -> int:
    if run.place < 0 or run.phase not in EXPOSING:
        return 0
    asked_ms = run.stage.soak_ms if run.stage is not None else run.pipeline.finish.watch_ms
    return max(0, asked_ms - run.progress.soak_ms)
