"""What one process counted in one span of time; everything here merges by addition.

Plain and mutable: a window belongs to one thread at a time, first to who holds the tally's lock, then to the reporter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Arm


class LossReason(IntEnum):
    """Why something that was recorded is in no sum; the numbers of `telemetry.proto`."""

    UNKNOWN_METRIC = 1
    BAD_VALUE = 2
    NO_ROOM = 3
    TOO_OLD = 4
    REFUSED = 5
    BAD_TOKEN = 6


class RunKey(NamedTuple):
    """One run of a rollout."""

    rollout: str
    run: int


class ArmKey(NamedTuple):
    """One arm of one comparison of a run.

    Attributes:
        recomputed: the arm was worked out when the outcome came, not taken from the decision. Never mixed.
    """

    allocation: int
    reach_ppm: int
    stratum: str
    arm: Arm
    recomputed: bool = False


@dataclass(slots=True)
class EventSums:
    """A metric per event: n and x by class of user, the sum of squares, and bins for quantiles."""

    xx: float = 0.0
    n: Counter[int] = field(default_factory=Counter)
    x: dict[int, float] = field(default_factory=dict)
    bins: Counter[int] = field(default_factory=Counter)

    def add(self, bucket: int, value: float, bin_: int | None) -> None:
        """Add one event of a user of this class."""
        self.n[bucket] += 1
        self.x[bucket] = self.x.get(bucket, 0.0) + value
        self.xx += value * value
        if bin_ is not None:
            self.bins[bin_] += 1

    def merge(self, other: EventSums) -> None:
        """Add what another window counted."""
        self.xx += other.xx
        self.n.update(other.n)
        self.bins.update(other.bins)
        for bucket, x in other.x.items():
            self.x[bucket] = self.x.get(bucket, 0.0) + x


@dataclass(slots=True)
class ArmSums:
    """Sums of one arm.

    Attributes:
        events: by metric.
        outcomes: by metric, the first outcome of each unit: its hash and value.
        exposed, reporting: hashes of units seen for the first time here, in this run.
    """

    events: dict[str, EventSums] = field(default_factory=dict)
    outcomes: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    exposed: list[int] = field(default_factory=list)
    reporting: list[int] = field(default_factory=list)

    def merge(self, other: ArmSums) -> None:
        """Add what another window counted."""
        for metric, sums in other.events.items():
            self.events.setdefault(metric, EventSums()).merge(sums)
        for metric, outcomes in other.outcomes.items():
            self.outcomes.setdefault(metric, []).extend(outcomes)
        self.exposed += other.exposed
        self.reporting += other.reporting

    @property
    def cells(self) -> int:
        """How much room it takes, in units of one metric's sums."""
        return 1 + len(self.events) + len(self.outcomes)

    @property
    def units(self) -> int:
        """How many hashes it holds."""
        return len(self.exposed) + len(self.reporting) + sum(map(len, self.outcomes.values()))


@dataclass(slots=True)
class Window:
    """One span of time.

    Attributes:
        closed_at_s: monotonic seconds.
        runs: sums by run and arm.
        bounds: by run and metric ("" for exposures), units below which were kept, by 64-bit hash.
        unattributed: outcomes that belong to no arm, by metric.
    """

    closed_at_s: float = 0.0
    runs: dict[RunKey, dict[ArmKey, ArmSums]] = field(default_factory=dict)
    bounds: dict[tuple[RunKey, str], int] = field(default_factory=dict)
    unattributed: Counter[str] = field(default_factory=Counter)
    losses: Counter[LossReason] = field(default_factory=Counter)

    def merge(self, older: Window) -> None:
        """Take over an older window: what both counted now counts as of this one."""
        for run, arms in older.runs.items():
            mine = self.runs.setdefault(run, {})
            for key, sums in arms.items():
                mine.setdefault(key, ArmSums()).merge(sums)
        for sample, bound in older.bounds.items():
            self.bounds[sample] = min(bound, self.bounds.get(sample, bound))
        self.unattributed.update(older.unattributed)
        self.losses.update(older.losses)

    @property
    def cells(self) -> int:
        """How much room it takes, in units of one metric's sums."""
        return sum(sums.cells for arms in self.runs.values() for sums in arms.values())

    @property
    def units(self) -> int:
        """How many hashes it holds."""
        return sum(sums.units for arms in self.runs.values() for sums in arms.values())

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return not (self.runs or self.unattributed or self.losses)
