"""What a metric measures and what a guardrail asks of it, as the statistics need it.

Limits are exact integers in parts per million, with the sign people write: `+10%` is 100 000, `-3%` is -30 000.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

PPM = 1_000_000


class Measures(Enum):
    """What one number of the metric is."""

    PROPORTION = "proportion"  # of units or events: 0 or 1 each
    COUNT = "count"  # how often, per unit or event: 0, 1, 2, ... without a bound
    MEAN = "mean"  # a value per unit or event
    QUANTILE = "quantile"  # the value that a share of units or events stays below


class Per(Enum):
    """What a denominator counts. Units are independent of each other, events of one unit are not."""

    UNIT = "unit"
    EVENT = "event"


class Bad(Enum):
    """The direction that harms."""

    HIGH = "high"
    LOW = "low"


class Source(Enum):
    """Where sums come from."""

    SDK = "sdk"
    PROMETHEUS = "prometheus"


class Action(Enum):
    """What a degraded verdict leads to."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One meaning per key.

    Attributes:
        quantile_ppm: 950 000 is p95; 0 unless `measures` is quantile.
        unit: of the value, as people read it: "seconds", "EUR"; empty for shares.
        late_ms: how long after an outcome its report may arrive; a window is judged only then.
        numerator, denominator: PromQL of two counters per arm, for source prometheus. Without a denominator the
            numerator is a bare ratio, and only a paired sign test can judge it.
    """

    measures: Measures
    per: Per = Per.UNIT
    bad: Bad = Bad.HIGH
    quantile_ppm: int = 0
    unit: str = ""
    late_ms: int = 0
    source: Source = Source.SDK
    numerator: str = ""
    denominator: str = ""


@dataclass(frozen=True, slots=True)
class RelativeLimit:
    """Candidate against control.

    Attributes:
        ppm: of the control's level; positive where high is bad, negative where low is bad, 0 for "no worse at all".
        at_least: the difference must also exceed this, in the metric's own unit (0.001 is 0.1 percentage points).
        in_points: `at_least` was written as percentage points, which only proportions have; nothing else reads it.
    """

    ppm: int
    at_least: float = 0.0
    in_points: bool = False


@dataclass(frozen=True, slots=True)
class AbsoluteLimit:
    """Candidate against a number, an SLO, in the metric's own unit (0.01 is 1 %)."""

    value: float


Limit: TypeAlias = RelativeLimit | AbsoluteLimit


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric with a limit and an action.

    Attributes:
        metric: key of the metric.
        weight: its share of alpha among the guardrails with action rollback; 0 for an equal share.
        tolerance_ppm: a regression (relative to the control, or to an absolute limit) that `healthy` must rule out,
            without sign; 0 for the default, half as large again as the limit allows (see `healthy`).
    """

    metric: str
    limit: Limit
    action: Action = Action.ROLLBACK
    weight: float = 0.0
    tolerance_ppm: int = 0
