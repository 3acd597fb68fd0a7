"""One guardrail: windows in, evidence kept, a verdict out. `together` judges several.

    judge = Judge(metric, guardrail)
    state = judge.absorb(state, windows, look)      # windows the watermark has passed, in order, each once
    verdict = judge.verdict(state, look)

What wins, in order: evidence past the limit (`degraded`), which a broken sample ratio suppresses (`skewed`); nobody
reports or the source is faulty (`blind`); no control (`unjudged`); nothing happens (`quiet`, which is undecided);
ruled out (`healthy`); else undecided. Only `healthy` advances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, log, log1p
from typing import Any

from rollout_server.domain.guardrails import interval, sample_ratio
from rollout_server.domain.guardrails.absolute import Absolute, Blame
from rollout_server.domain.guardrails.bound import Bound
from rollout_server.domain.guardrails.data import Cell, WindowSums, is_possible
from rollout_server.domain.guardrails.families import is_bounded, is_high, joined
from rollout_server.domain.guardrails.healthy import ALPHA as HEALTHY_ALPHA
from rollout_server.domain.guardrails.healthy import Healthy, edge, is_ruled_out
from rollout_server.domain.guardrails.look import Look
from rollout_server.domain.guardrails.pace import windows_left
from rollout_server.domain.guardrails.sentence import Figures, sentence
from rollout_server.domain.guardrails.spec import PPM, AbsoluteLimit, Guardrail, Measures, MetricSpec, RelativeLimit
from rollout_server.domain.guardrails.state import GuardrailState
from rollout_server.domain.guardrails.tracking import Shown, place_of, shown, tracker_for
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict

SILENT = 20.0  # nats against chance that an arm had none of so many: one in 500 million

_STANDINGS = {
    Reason.RULED_OUT: Standing.HEALTHY,
    Reason.PAST_LIMIT: Standing.DEGRADED,
    Reason.TOGETHER: Standing.DEGRADED,
    Reason.NOT_ENOUGH: Standing.UNDECIDED,
    Reason.TOO_FEW_UNITS: Standing.UNDECIDED,
    Reason.RATIO_UNPROVEN: Standing.UNDECIDED,
    Reason.QUIET: Standing.UNDECIDED,
    Reason.SHARED_OUTAGE: Standing.UNDECIDED,
    Reason.PARTNER_UNCLEAR: Standing.UNDECIDED,
    Reason.SKEW: Standing.SKEWED,
    Reason.NO_CONTROL: Standing.UNJUDGED,
}
_HOLDS = frozenset({Reason.SHARED_OUTAGE, Reason.PARTNER_UNCLEAR, Reason.SKEW})


class Judge:
    """Judges one guardrail of one metric. Holds settings only; what it learns is in the state."""

    def __init__(self, metric: MetricSpec, guardrail: Guardrail) -> None:
        self.metric = metric
        self.guardrail = guardrail
        self._high = is_high(metric)
        self._absolute: Absolute | None = None
        limit = guardrail.limit
        self._limit = limit_of(limit)
        if isinstance(limit, AbsoluteLimit):
            self._absolute = Absolute(metric, limit.value)
            self._regression: Any = self._absolute
        else:
            bound = Bound(1 + limit.ppm / PPM, self._high)
            self._regression = joined(metric, bound, limit.at_least, both=True)
        self._healthy = Healthy(metric, guardrail)
        self._tracker = tracker_for(metric, guardrail)

    def start(self, run: int) -> GuardrailState:
        """Return the state before a run's first window: E is 1."""
        return GuardrailState(run, self._regression.start(), self._healthy.start(""), interval.start(self._tracker))

    def absorb(self, state: GuardrailState | None, windows: Sequence[WindowSums], look: Look) -> GuardrailState:
        """Add windows that the watermark has passed.

        Those of another run, of another metric, or judged already are passed over. A state of another run is left
        behind: a new run starts at 1.
        """
        if state is None or state.run != look.run:
            state = self.start(look.run)
        judged = state.judged
        parts = [
            part
            for part in windows
            if part.run == look.run
            and part.metric == self.guardrail.metric
            and (judged is None or part.window > judged)
        ]
        for window in sorted({part.window for part in parts}):
            state = self._add(state, window, [part for part in parts if part.window == window], look.stage)
        return state

    def log_e(self, state: GuardrailState) -> float:
        """Return log E of what may be blamed on the candidate."""
        return float(self._regression.log_e(state.regression))

    def log_blamable(self, state: GuardrailState, look: Look) -> float:
        """Return log E as it may be acted on: a broken sample ratio leaves only what no control was needed for."""
        if not self._is_skewed(state, look):
            return self.log_e(state)
        return self._absolute.log_alone(state.regression) if self._absolute is not None else -inf

    def verdict(self, state: GuardrailState, look: Look, blamed: Reason | None = None) -> Verdict:
        """Say how it stands.

        Args:
            state: after the last window.
            look: the same as for `absorb`.
            blamed: why it is degraded, if it is; `together` knows.
        """
        return self._described(state, look, self._reason(state, look, blamed))

    def _add(self, state: GuardrailState, window: int, parts: Sequence[WindowSums], stage: str) -> GuardrailState:
        bounded = is_bounded(self.metric)
        if not all(is_possible(cell, bounded=bounded) for part in parts for cell in (part.candidate, part.control)):
            return replace(state, judged=window, is_impossible=True)
        place = place_of(state.regression, self.metric)
        compared = [part for part in parts if part.reach_ppm < PPM]
        n_t, n_c = sum(part.candidate.n for part in parts), sum(part.control.n for part in parts)
        track = parts if self._absolute is not None else compared
        return replace(
            state,
            regression=self._regression.absorb(state.regression, parts),
            healthy=self._healthy.absorb(state.healthy, stage, parts),
            track=interval.absorb(self._tracker, state.track, track, place),
            judged=window,
            has_control=bool(compared),
            is_quiet=n_t + n_c == 0,
            is_impossible=False,
            silent=_silent(state.silent, compared),
            candidate_n=state.candidate_n + n_t,
            control_n=state.control_n + n_c,
            control_x=state.control_x + sum(part.control.x for part in parts),
        )

    def _reason(self, state: GuardrailState, look: Look, blamed: Reason | None) -> Reason:
        if blamed is not None:
            return blamed
        if self._is_skewed(state, look):
            return Reason.SKEW
        blind = _blind(state, look)
        if blind is not None:
            return blind
        if self._absolute is None and not state.has_control:
            return Reason.NOT_ENOUGH if look.expects_control else Reason.NO_CONTROL
        if self._absolute is not None and self._absolute.log_past(state.regression) >= log(1 / look.alpha):
            shared = self._absolute.blame(state.regression) is Blame.BOTH
            return Reason.SHARED_OUTAGE if shared else Reason.PARTNER_UNCLEAR
        if state.is_quiet or _is_behind(state, look):
            return Reason.QUIET
        return self._health(state, look)

    def _is_skewed(self, state: GuardrailState, look: Look) -> bool:
        """Whether arms are compared at all, and are split wrongly."""
        return (state.has_control or self._absolute is None) and sample_ratio.is_skewed(look.ratio)

    def _health(self, state: GuardrailState, look: Look) -> Reason:
        if not is_ruled_out(self._healthy.log_e(state.healthy, look.stage)):
            return Reason.NOT_ENOUGH
        units = [look.ratio.candidate_units, *([look.ratio.control_units] if state.has_control else [])]
        if min(units) < look.minimum_units:
            return Reason.TOO_FEW_UNITS
        if state.has_control and not sample_ratio.could_object(look.ratio):
            return Reason.RATIO_UNPROVEN
        return Reason.RULED_OUT

    def _described(self, state: GuardrailState, look: Look, reason: Reason) -> Verdict:
        relative = self._absolute is None
        span = self._shown(state, reason)
        harm = self._harm(state, look, span)
        tolerance = edge(self.metric, self.guardrail)
        figures = Figures(
            span.estimate,
            span.low,
            span.high,
            self._limit,
            relative,
            round(look.ratio.candidate_units),
            round(look.ratio.control_units),
            look.minimum_units,
            tolerance - 1 if relative else tolerance,
            look.unit,
            sample_ratio.explain(look.ratio) if reason is Reason.SKEW else _detail(look, reason),
        )
        past = self.log_e(state) if self._absolute is None else self._absolute.log_past(state.regression)
        return Verdict(
            metric=self.guardrail.metric,
            standing=_STANDINGS.get(reason, Standing.BLIND),
            reason=reason,
            sentence=sentence(self.guardrail.metric, self.metric, reason, figures),
            limit=self._limit,
            relative=relative,
            log_e=past,
            estimate=span.estimate,
            low=span.low,
            high=span.high,
            candidate_units=figures.candidate_units,
            control_units=figures.control_units,
            last_window=state.judged,
            harm=harm,
            verdict_in_ms=self._verdict_in_ms(state, look, reason),
            hold=reason in _HOLDS,
        )

    def _shown(self, state: GuardrailState, reason: Reason) -> Shown:
        relative = self._absolute is None
        if reason is not Reason.PAST_LIMIT:
            return shown(interval.whole(self._tracker, state.track), relative=relative)
        at = log(1 + self._limit if relative else self._limit)
        found = shown(interval.strongest(self._tracker, state.track, at, rising=self._high), relative=relative)
        # E has proven the limit passed, whatever the stretch alone can prove.
        if self._high:
            low = self._limit if found.low is None else max(found.low, self._limit)
            return replace(found, low=low)
        high = self._limit if found.high is None else min(found.high, self._limit)
        return replace(found, high=high)

    def _harm(self, state: GuardrailState, look: Look, span: Shown) -> float | None:
        worst = span.high if self._high else span.low
        if worst is None or not state.control_n or self._absolute is not None:
            return None
        bound = max(0.0, worst if self._high else -worst)
        if self.metric.measures is Measures.QUANTILE:
            return look.ratio.candidate_units * bound
        return state.candidate_n * bound * abs(state.control_x / state.control_n)

    def _verdict_in_ms(self, state: GuardrailState, look: Look, reason: Reason) -> int | None:
        if reason in {Reason.RULED_OUT, Reason.PAST_LIMIT, Reason.TOGETHER}:
            return 0
        found = interval.recent(self._tracker, state.track)
        if found is None or reason is Reason.NO_CONTROL:
            return None
        span, windows = found
        # Supposed: as good as the control, or for an absolute limit as good as lately.
        supposed = 0.0 if self._absolute is None else span.estimate
        distance = log(edge(self.metric, self.guardrail)) - supposed
        if (distance > 0) is not self._high:
            return None
        left = windows_left(
            span.error, windows, distance, self._healthy.log_e(state.healthy, look.stage), HEALTHY_ALPHA
        )
        return None if left is None else left * look.window_ms


def limit_of(limit: RelativeLimit | AbsoluteLimit) -> float:
    """Return a limit as a fraction (relative) or in the metric's unit (absolute)."""
    return limit.value if isinstance(limit, AbsoluteLimit) else limit.ppm / PPM


def _detail(look: Look, reason: Reason) -> str:
    if reason is Reason.QUIET and not look.feed.expected:
        return "no process was connected by the watermark"
    return look.feed.detail if reason is look.feed.fault else ""


def _silent(silent: float, compared: Sequence[WindowSums]) -> float:
    """Add what speaks against chance that one arm had no outcome while the other had some.

    Each unit falls to the candidate with the chance of its reach. Events of one unit are no second witness: they count
    as many as the hash buckets that they fell into.
    """
    n_t, n_c = sum(part.candidate.n for part in compared), sum(part.control.n for part in compared)
    if n_t and n_c:
        return 0.0
    for part in compared:
        reach = part.reach_ppm / PPM
        if 0 < reach < 1:
            silent -= _witnesses(part.candidate) * log(reach) + _witnesses(part.control) * log1p(-reach)
    return silent


def _witnesses(cell: Cell) -> int:
    return sum(1 for n in cell.bucket_n if n) if cell.bucket_n else cell.n


def _is_behind(state: GuardrailState, look: Look) -> bool:
    """Whether the watermark has passed windows that had no sums at all."""
    return look.passed is not None and (state.judged is None or state.judged < look.passed)


def _blind(state: GuardrailState, look: Look) -> Reason | None:
    feed = look.feed
    if feed.fault is not None:
        return feed.fault
    if feed.expected and not feed.reporting:
        return Reason.NO_REPORTS
    if state.is_impossible:
        return Reason.IMPOSSIBLE
    return Reason.ONE_ARM if state.silent >= SILENT else None
