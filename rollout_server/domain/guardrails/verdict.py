"""What is said of one guardrail at one look, with all that carried it, and the one sentence that everybody reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Standing(Enum):
    """The verdict proper (DESIGN section 2)."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNDECIDED = "undecided"
    BLIND = "blind"
    SKEWED = "skewed"
    UNJUDGED = "unjudged"


class Reason(Enum):
    """Why it stands so; each has its own sentence."""

    RULED_OUT = "ruled_out"  # healthy: a regression beyond the tolerance is ruled out
    PAST_LIMIT = "past_limit"  # degraded
    TOGETHER = "together"  # degraded: the weighted sum of several guardrails, this one carried most
    NOT_ENOUGH = "not_enough"  # undecided: evidence either way is still thin
    TOO_FEW_UNITS = "too_few_units"  # undecided: the minimum of exposed units is not reached in both arms
    RATIO_UNPROVEN = "ratio_unproven"  # undecided: the sample-ratio test could not have objected yet
    QUIET = "quiet"  # undecided: instances report, nothing happens
    SHARED_OUTAGE = "shared_outage"  # undecided, holds: both arms break an absolute limit
    PARTNER_UNCLEAR = "partner_unclear"  # undecided, holds: past an absolute limit, the control may be too
    NO_REPORTS = "no_reports"  # blind: nobody reported by the watermark
    EMPTY = "empty"  # blind, source: the query gave no series
    NOT_A_NUMBER = "not_a_number"  # blind, source: NaN or infinite
    STALE = "stale"  # blind, source: the newest sample is older than the window
    ONE_ARM = "one_arm"  # blind, source: one arm has series, the other has none
    COUNTER_RESET = "counter_reset"  # blind, source: a counter fell
    SLOW = "slow"  # blind, source: no answer in time
    FAILING = "failing"  # blind, source: the server answered with an error
    IMPOSSIBLE = "impossible"  # blind: sums that no data can have, as more failures than units
    SKEW = "skew"  # skewed: the split is not what the reach configures
    NO_CONTROL = "no_control"  # unjudged: the whole audience is exposed


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guardrail at one look.

    Attributes:
        estimate: relative difference candidate to control (0.071 is +7.1 %), or the level itself for an absolute
            limit; None before there is one.
        low, high: always-valid 95 % interval of the estimate: right at every look at once.
        limit: as a fraction for a relative limit, in the metric's unit for an absolute one.
        log_e: natural logarithm of E; 0 says nothing, ln(100) = 4.6 is degraded at alpha 1 %.
        candidate_units, control_units: units exposed so far in this run, by arm.
        last_window: judged last; None before the first.
        harm: expected harm at worst: units exposed times the interval's bad bound times the control's level.
        verdict_in_ms: estimate of the time to a verdict at recent traffic; None when it cannot be told.
        hold: must not advance and says so aloud, whatever the exit criteria are.
        sentence: generated; the same in console, command line, notification and audit.
    """

    metric: str
    standing: Standing
    reason: Reason
    sentence: str
    limit: float
    relative: bool
    log_e: float = 0.0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    candidate_units: int = 0
    control_units: int = 0
    last_window: int | None = None
    harm: float | None = None
    verdict_in_ms: int | None = None
    hold: bool = False
