"""What an SDK must know of a metric to sum it: the catalogue's entry, without owner, limits or direction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Measures(Enum):
    """What one recorded value is."""

    PROPORTION = "proportion"
    """False or true, 0 or 1."""
    COUNT = "count"
    MEAN = "mean"
    QUANTILE = "quantile"


class Per(Enum):
    """What is counted: a unit once in a run, by its first outcome, or every event."""

    UNIT = "unit"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class MetricDeclaration:
    """A metric that processes may record.

    Attributes:
        late_ms: how long after a decision its outcomes may come.
    """

    key: str
    measures: Measures
    per: Per = Per.UNIT
    late_ms: int = 0
