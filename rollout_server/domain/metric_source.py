"""Metrics that Prometheus counts: what is asked for a run, and how the answer becomes windows that can be judged.

    query = query_of("checkout.errors", spec, state, "production")
    answer = await source.windows(query, after, through, window_ms)
    sums = sums_of(query, state, answer.windows, since_ms)

Prometheus knows neither allocations nor reach. So a window is the run's present allocation, and only if everything in
it was counted since that opened. And arms are compared within one reach: where several are in force (pilots at 100 %,
everyone at 1 %), the queries must tell them apart by `{reach}`, in parts per million; else nothing is asked, and the
guardrail is blind for a reason of its own. `{variant}` alone tells the arms apart only where everyone is reached: who
is not gets `from` too, and is no control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rollout_sdk.engine.model import PPM, Arm
from rollout_server.domain.guardrails.data import NOTHING, WindowSums
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.promql import ARM, REACH, counter_of, fill, placeholders, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollout_sdk.engine.model import Reach, RolloutState
    from rollout_server.domain.guardrails.data import Cell
    from rollout_server.domain.guardrails.spec import MetricSpec

LOOKBACK_MS = 300_000
"""A series without a sample for so long is gone; the same as Prometheus' own."""


class Slot(NamedTuple):
    """Where a number belongs."""

    reach_ppm: int
    arm: Arm


@dataclass(frozen=True, slots=True)
class Asked:
    """One arm at one reach, its queries filled in.

    Attributes:
        numerator, denominator: selectors of counters; a bare ratio is any PromQL, without a denominator.
    """

    slot: Slot
    numerator: str
    denominator: str = ""


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What is asked for one metric of one run.

    Attributes:
        asked: empty where nobody is exposed.
        late_ms: of the metric; scrapes are at most so far apart.
        span_ms: values of a bare ratio that are further apart share no data.
    """

    metric: str
    asked: tuple[Asked, ...]
    late_ms: int
    span_ms: int = 0

    @property
    def is_bare(self) -> bool:
        """Whether one number stands for each arm."""
        return any(not one.denominator for one in self.asked)

    @property
    def arms(self) -> frozenset[Arm]:
        """The arms that must be heard of."""
        return frozenset(one.slot.arm for one in self.asked)

    @property
    def lookback_ms(self) -> int:
        """How far before a window its counters' last samples are looked for."""
        return max(LOOKBACK_MS, 2 * self.late_ms)


@dataclass(frozen=True, slots=True)
class MetricWindow:
    """What one window holds.

    Attributes:
        since_ms: when the first of it may have happened (Prometheus' clock): a counter grew since its last sample, and
            that may lie before the window.
    """

    window: int
    since_ms: int
    cells: Mapping[Slot, Cell]


@dataclass(frozen=True, slots=True)
class MetricWindows:
    """What a source answered.

    Attributes:
        through: ask after this window next time. Windows up to it that are missing hold no sample, or were left out.
        fault: what is wrong with the source now.
        detail: of the fault, for people; short, and nothing secret in it.
    """

    windows: tuple[MetricWindow, ...]
    through: int
    fault: Reason | None = None
    detail: str = ""


def query_of(metric: str, spec: MetricSpec, state: RolloutState, environment: str) -> MetricQuery | Reason:
    """Return what is asked for a metric of the present run, or why nothing can be.

    Args:
        metric: its key.
        spec: whose source is Prometheus, validated.
        state: of the rollout, as SDKs see it.
        environment: its name.
    """
    if not tells_apart(spec, state.reaches):
        return Reason.MIXED_REACH
    queries = _queries(spec)
    asked, span_ms = [], 0
    for share_ppm in sorted(shares_in_force(state.reaches)):
        for arm in Arm if share_ppm < PPM else (Arm.CANDIDATE,):
            values = _values(state, environment, Slot(share_ppm, arm))
            if spec.denominator:
                numerator, denominator = (fill(counter_of(query).selector, values) for query in queries)
            else:
                value = value_of(spec.numerator)
                numerator, denominator = fill(value.query, values), ""
                span_ms = max(value.span_ms, spec.late_ms)
            asked.append(Asked(Slot(share_ppm, arm), numerator, denominator))
    return MetricQuery(metric, tuple(asked), spec.late_ms, span_ms)


def tells_apart(spec: MetricSpec, reaches: Sequence[Reach]) -> bool:
    """Whether a metric's queries tell the arms of these reaches from each other and from everybody else."""
    used = [placeholders(query) for query in _queries(spec)]
    if not all(REACH in names for names in used) and len(shares_in_force(reaches)) > 1:
        return False
    return all(ARM in names for names in used) or all(reach.audience is None for reach in reaches)


def shares_in_force(reaches: Iterable[Reach]) -> frozenset[int]:
    """Return the reaches that units may have: a smaller one than everyone's is nobody's."""
    found = [(reach.share_ppm, reach.audience is None) for reach in reaches if reach.share_ppm]
    widest = max((share_ppm for share_ppm, is_everyone in found if is_everyone), default=0)
    return frozenset(share_ppm for share_ppm, _ in found if share_ppm >= widest)


def sums_of(
    query: MetricQuery, state: RolloutState, windows: Sequence[MetricWindow], since_ms: int
) -> tuple[WindowSums, ...]:
    """Return windows as they are judged: those of the present allocation, each reach by itself.

    Args:
        query: that they answer.
        state: that the query was made of.
        windows: ascending.
        since_ms: when the present allocation had opened at the latest, by Prometheus' clock.
    """
    shares = sorted({one.slot.reach_ppm for one in query.asked})
    return tuple(
        WindowSums(
            state.run,
            state.allocation,
            share_ppm,
            "",
            query.metric,
            window.window,
            window.cells.get(Slot(share_ppm, Arm.CANDIDATE), NOTHING),
            window.cells.get(Slot(share_ppm, Arm.CONTROL), NOTHING),
        )
        for window in windows
        if window.since_ms >= since_ms
        for share_ppm in shares
    )


def _queries(spec: MetricSpec) -> list[str]:
    return [query for query in (spec.numerator, spec.denominator) if query]


def _values(state: RolloutState, environment: str, slot: Slot) -> dict[str, str]:
    return {
        "arm": slot.arm.value,
        "rollout": state.rollout,
        "run": str(state.run),
        "flag": state.flag,
        "variant": state.to_variant if slot.arm is Arm.CANDIDATE else state.from_variant,
        "environment": environment,
        "reach": str(slot.reach_ppm),
    }
