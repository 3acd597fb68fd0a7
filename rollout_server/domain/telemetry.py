"""What processes report, and what is kept of it.

A report comes as it was sent (`Report`); what may be kept of it is an `Intake`, and that is what a store commits.
Windows are numbered since the epoch: receipt less age, divided by the length of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine.sample import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Arm
    from rollout_server.domain.guardrails.data import Cell

STRATA_MAX = 64
REST = "(rest)"
"""The stratum of what comes after the first 64 values of a run, in a process and over all of them."""

RECOMPUTED = "(recomputed)"
"""Marks the strata of bare records: an arm worked out afterwards is never summed with one taken from a decision."""

PROCESS_LOST = "process_lost"
"""The built-in metric: processes that ended without goodbye, of all that lived."""

UNITS_MAX = 131_072
"""Units of one sample of one run; a full one keeps half of all units from then on."""


class RunId(NamedTuple):
    """One run of a rollout."""

    rollout: str
    run: int


class Place(NamedTuple):
    """One arm of one comparison: units of equal reach, of one allocation and one stratum."""

    run: RunId
    allocation: int
    reach_ppm: int
    stratum: str
    arm: Arm


class Outcome(NamedTuple):
    """The first outcome of a unit, as one process knows it.

    Attributes:
        unit: keyed 64-bit hash.
    """

    unit: int
    value: float


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What one process counted in one place.

    Attributes:
        recomputed: outcomes of bare records; see `RECOMPUTED`.
        events: sums by metric.
        outcomes: by metric, of metrics per unit.
        exposed, reporting: hashes of units that were exposed, or reported any outcome, for the first time there.
    """

    place: Place
    recomputed: bool = False
    events: tuple[tuple[str, Cell], ...] = ()
    outcomes: tuple[tuple[str, tuple[Outcome, ...]], ...] = ()
    exposed: tuple[int, ...] = ()
    reporting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What one process counted in one span of time.

    Attributes:
        age_ms: since it closed, when it was sent.
        bounds: by run and metric ("" for exposures), units below which were kept.
        unattributed: outcomes that belong to no arm, by metric.
    """

    age_ms: int
    arms: tuple[ArmReport, ...] = ()
    bounds: tuple[tuple[RunId, str, int], ...] = ()
    unattributed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One report, read and within bounds.

    Attributes:
        sequence: from 1; the same number of the same instance is the same report.
        losses: what had no room there, by reason.
    """

    instance_id: str
    sequence: int
    windows: tuple[WindowReport, ...] = ()
    losses: tuple[tuple[str, int], ...] = ()


def _nothing() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Intake:
    """What a store commits of one report, whole or not at all.

    Attributes:
        instance: names the process in this environment, whatever token it has.
        at_ms: of receipt, by the clock of windows.
        events: place, window, metric, sums.
        outcomes: place, window, metric; each unit counts once in its run, in whatever report it comes first.
        units: place, window, units exposed and reporting for the first time.
        quantiles: metrics whose outcomes are needed in bins, too.
        bounds: run, metric ("" for exposures), bound.
        unattributed: by metric.
        losses: by reason.
    """

    instance: str
    sequence: int
    at_ms: int
    events: tuple[tuple[Place, int, str, Cell], ...] = ()
    outcomes: tuple[tuple[Place, int, str, tuple[Outcome, ...]], ...] = ()
    units: tuple[tuple[Place, int, tuple[int, ...], tuple[int, ...]], ...] = ()
    quantiles: frozenset[str] = frozenset()
    bounds: tuple[tuple[RunId, str, int], ...] = ()
    unattributed: Mapping[str, int] = field(default_factory=_nothing)
    losses: Mapping[str, int] = field(default_factory=_nothing)


class Receipt(NamedTuple):
    """What became of an intake.

    Attributes:
        is_repeat: it was committed before, and nothing changed.
        late: sums left out because their window was judged already.
    """

    is_repeat: bool
    late: int = 0


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """What the controller knows of a run between ticks: soak and evidence, with what they are evidence of.

    Attributes:
        fence: token of the lease under which it was written; an older one writes no more.
        judged: metric ("" for exposures) to the last window that is in the evidence; later reports of it are late.
        body: the controller's own.
    """

    run: RunId
    fence: int
    judged: Mapping[str, int]
    body: bytes


class ProcessWindow(NamedTuple):
    """Processes of one window: how many lived, and how many of them ended without goodbye."""

    window: int
    lived: int
    lost: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is in no sum, since the store was made: shown, never judged.

    Attributes:
        unattributed: outcomes that belong to no arm, by metric.
        losses: by reason.
    """

    unattributed: Mapping[str, int] = field(default_factory=_nothing)
    losses: Mapping[str, int] = field(default_factory=_nothing)


def stratum_of(stratum: str, *, recomputed: bool) -> str:
    """Return the name under which a stratum is summed."""
    return f"{stratum} {RECOMPUTED}".strip() if recomputed else stratum


def bound_after(count: int, bound: int) -> int:
    """Return the bound of a sample that holds so many units below its present one."""
    return max(1, bound >> 1) if count > UNITS_MAX else bound


def is_kept(unit: int, bound: int) -> bool:
    """Whether a sample of this bound keeps the unit."""
    return unit < min(bound, EVERYTHING)
