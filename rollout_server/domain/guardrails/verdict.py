"""What is said of one guardrail at one look, with all that carried it, and the one sentence that everybody reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from math import inf, isfinite
from typing import Any

from rollout_server.errors import Corrupt


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
    UNREACHABLE = "unreachable"  # blind, source: nobody answers there
    FAILING = "failing"  # blind, source: the server answered with an error
    REFUSED = "refused"  # blind, source: the server does not take the query
    UNREADABLE = "unreadable"  # blind, source: the answer does not parse
    WRONG_TYPE = "wrong_type"  # blind, source: the answer holds no numbers by series
    TOO_MANY_SERIES = "too_many_series"  # blind, source: more than is read
    TOO_LARGE = "too_large"  # blind, source: more bytes than are read
    MIXED_REACH = "mixed_reach"  # blind: several reaches are in force, and its queries do not tell them apart
    NO_SOURCE = "no_source"  # blind: this server asks no Prometheus
    IMPOSSIBLE = "impossible"  # blind: sums that no data can have, as more failures than units
    NO_STORE = "no_store"  # blind: the store that holds its sums is away
    NO_METRIC = "no_metric"  # blind: the environment has no such metric any more
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


_TEXTS = ("metric", "sentence")
_TRUTHS = ("relative", "hold")
_COUNTS = ("candidate_units", "control_units", "last_window", "verdict_in_ms")
_HINT = "run `rollout audit verify`, then restore a backup"


def write_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a tree of plain JSON; an unbounded end of an interval is null, as one not known yet."""
    tree = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
    numbers = {
        name: None if isinstance(value, float) and not isfinite(value) else value for name, value in tree.items()
    }
    return {**numbers, "standing": verdict.standing.value, "reason": verdict.reason.value}


def read_verdict(tree: object, where: str) -> Verdict:
    """Return the verdict that `write_verdict` wrote.

    Raises:
        Corrupt: it is not of that form.
    """
    if not isinstance(tree, Mapping):
        raise Corrupt(where, "a verdict is a map", _HINT)
    try:
        log_e = -inf if tree["log_e"] is None else tree["log_e"]
        standing, reason = Standing(tree["standing"]), Reason(tree["reason"])
        values = {**tree, "standing": standing, "reason": reason, "log_e": log_e}
        verdict = Verdict(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(where, f"this is no verdict: {error}", _HINT) from None
    for field in fields(verdict):
        value = getattr(verdict, field.name)
        if not _fits(field.name, value):
            raise Corrupt(where, f"{field.name} is {value!r}", _HINT)
    return verdict


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not isfinite(value) else value


def _fits(name: str, value: object) -> bool:
    if name in {"standing", "reason"}:
        return True
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _TRUTHS:
        return isinstance(value, bool)
    if name in _COUNTS:
        return value is None or (isinstance(value, int) and not isinstance(value, bool))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
