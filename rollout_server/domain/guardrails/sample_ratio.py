"""Sample ratio: do the arms hold the units that the reach configures?

Of m newly exposed units in a window, the candidate's number is binomial(m, reach). Tilting its odds by e^theta
gives an increment whose expectation is exactly 1 at every reach, so windows of different reach multiply:

    y theta - m ln(1 - reach + reach e^theta)

mixed over theta of both signs and over onsets. The same is asked of units that report their first outcome: a
candidate that crashes before it reports would else look better than it is. Half of the weight each, at alpha 0.001.
Counts are those of a distinct sample whose threshold both arms share; each unit counts once per run, else windows
are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p, sqrt

from rollout_server.domain.guardrails import mixtures
from rollout_server.domain.guardrails.data import ExposureSums, UnitCounts
from rollout_server.domain.guardrails.mixtures import Mixture
from rollout_server.domain.guardrails.spec import PPM

ALPHA = 0.001
LAW = 2  # of this test: tilts, and the onsets of `mixtures`; see `state`
_SIZES = tuple(0.02 * 1.6**step for step in range(11))  # 0.02 .. 2.2 in log odds
TILTS = (*_SIZES, *(-size for size in _SIZES))
_PRIOR = (1 / len(TILTS),) * len(TILTS)
_LATER = (1.0,) * len(TILTS)

BAD_SPLIT = 0.2  # log odds of a split so bad that `healthy` must wait until it would have been seen
_SLACK = 3.0  # nats for not knowing its size, sign and onset
_SURE = 1.645  # standard deviations: nineteen of twenty such splits would have been seen

CAUSES = (
    "units that crash or leave before they report, a redirect or cache that keeps one arm from deciding, "
    "bots in one arm, outcomes recorded outside the scope"
)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of how many were the candidate's, and should have been."""

    candidate: int = 0
    both: int = 0
    expected: float = 0.0

    def with_counts(self, candidate: int, control: int, reach: float) -> Shares:
        """Add a window."""
        both = candidate + control
        return Shares(self.candidate + candidate, self.both + both, self.expected + both * reach)


@dataclass(frozen=True, slots=True)
class RatioState:
    """Evidence of a run.

    Attributes:
        exposed, reporting: evidence on newly exposed and on newly reporting units.
        exposed_shares, reporting_shares: what was seen, for the sentence.
        power: nats that a bad split would have given by now, on average.
        candidate_units, control_units: exposed units, counted back from the sample.
        judged: the last window.
    """

    run: int
    exposed: Mixture
    reporting: Mixture
    exposed_shares: Shares = Shares()
    reporting_shares: Shares = Shares()
    power: float = 0.0
    candidate_units: float = 0.0
    control_units: float = 0.0
    judged: int | None = None
    law: int = LAW


def start(run: int) -> RatioState:
    """Return the state before a run's first window."""
    return RatioState(run, mixtures.start(len(TILTS)), mixtures.start(len(TILTS)))


def increments(candidate: int, both: int, reach: float) -> list[float]:
    """Return the increments of log E for each tilt; reach in (0, 1)."""
    return [candidate * tilt - both * log1p(reach * (exp(tilt) - 1)) for tilt in TILTS]


def absorb(state: RatioState, sums: Sequence[ExposureSums]) -> RatioState:
    """Add windows in order; those of another run or judged already are passed over."""
    new = [part for part in sums if part.run == state.run and (state.judged is None or part.window > state.judged)]
    for window in sorted({part.window for part in new}):
        state = _absorb_window(state, window, [part for part in new if part.window == window])
    return state


def log_e(state: RatioState) -> float:
    """Return log E of "both samples are split as configured"."""
    first, second = mixtures.log_e(state.exposed, _PRIOR), mixtures.log_e(state.reporting, _PRIOR)
    high = max(first, second)
    return high + log(0.5 * exp(first - high) + 0.5 * exp(second - high))


def is_skewed(state: RatioState) -> bool:
    """Whether the alarm is on."""
    return log_e(state) >= log(1 / ALPHA)


def could_object(state: RatioState) -> bool:
    """Whether a bad split would have been seen by now, nineteen times of twenty.

    Evidence whose mean is `power` has variance of about twice that.
    """
    return state.power - _SURE * sqrt(2 * state.power) >= log(1 / ALPHA) + _SLACK


def units_needed(reach: float) -> float:
    """Return after how many newly exposed units of both arms a bad split would have been seen (`could_object`).

    Args:
        reach: in (0, 1).
    """
    wanted = log(1 / ALPHA) + _SLACK
    power = (_SURE / sqrt(2) + sqrt(_SURE * _SURE / 2 + wanted)) ** 2  # where power - _SURE sqrt(2 power) is wanted
    return power / min(_divergence(reach, BAD_SPLIT), _divergence(reach, -BAD_SPLIT))


def explain(state: RatioState) -> str:
    """Say what is skewed, by how much, and what usually causes it."""
    exposed = mixtures.log_e(state.exposed, _PRIOR) >= mixtures.log_e(state.reporting, _PRIOR)
    shares, what = (state.exposed_shares, "exposed") if exposed else (state.reporting_shares, "reporting")
    seen = shares.candidate / shares.both if shares.both else 0.0
    wanted = shares.expected / shares.both if shares.both else 0.0
    return f"{seen:.1%} of {what} units are the candidate's, {wanted:.1%} were configured; likely causes: {CAUSES}"


def _absorb_window(state: RatioState, window: int, parts: Sequence[ExposureSums]) -> RatioState:
    exposed_steps, reporting_steps = [0.0] * len(TILTS), [0.0] * len(TILTS)
    exposed, reporting, power = state.exposed_shares, state.reporting_shares, state.power
    units_t, units_c = state.candidate_units, state.control_units
    for part in parts:
        units_t += _units(part.candidate, part)
        units_c += _units(part.control, part)
        reach = part.reach_ppm / PPM
        if not 0 < reach < 1:
            continue  # everybody is in one arm: there is no ratio
        seen_t, seen_c = part.candidate.exposed, part.control.exposed
        if seen_t or seen_c:
            step = increments(seen_t, seen_t + seen_c, reach)
            exposed_steps = [a + b for a, b in zip(exposed_steps, step, strict=True)]
            exposed = exposed.with_counts(seen_t, seen_c, reach)
            power += (seen_t + seen_c) * min(_divergence(reach, BAD_SPLIT), _divergence(reach, -BAD_SPLIT))
        told_t, told_c = part.candidate.reporting, part.control.reporting
        if told_t or told_c:
            step = increments(told_t, told_t + told_c, reach)
            reporting_steps = [a + b for a, b in zip(reporting_steps, step, strict=True)]
            reporting = reporting.with_counts(told_t, told_c, reach)
    return RatioState(
        state.run,
        mixtures.grow(state.exposed, exposed_steps, _LATER),
        mixtures.grow(state.reporting, reporting_steps, _LATER),
        exposed,
        reporting,
        power,
        units_t,
        units_c,
        window,
    )


def _units(counts: UnitCounts, part: ExposureSums) -> float:
    return counts.exposed * PPM / part.kept_ppm if part.kept_ppm else 0.0


def _divergence(reach: float, tilt: float) -> float:
    """Nats per unit, were the odds of the candidate e^tilt times what is configured."""
    grown = 1 + reach * (exp(tilt) - 1)
    return reach * exp(tilt) / grown * tilt - log(grown)
