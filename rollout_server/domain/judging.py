"""All guards of one run, judged together: what came in since the last look, what is known by now, verdicts.

    evidence = absorbed(evidence, guards, look, found)
    verdicts = judged(evidence, guards, look, found)

`found` is what the stores hold, by metric, of windows that the watermark has passed. Evidence is the caller's to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rollout_server.domain.guardrails import sample_ratio, together
from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.look import Feed, Look
from rollout_server.domain.guardrails.sentence import blind_sentence
from rollout_server.domain.guardrails.spec import (
    PPM,
    AbsoluteLimit,
    Action,
    Guardrail,
    Measures,
    MetricSpec,
    Per,
)
from rollout_server.domain.guardrails.verdict import Reason, Standing, Verdict
from rollout_server.domain.machine import Guard, Judged, guards_of, reaches
from rollout_server.domain.telemetry import PROCESS_LOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_server.domain.guardrails.data import ExposureSums, WindowSums
    from rollout_server.domain.guardrails.sample_ratio import RatioState
    from rollout_server.domain.guardrails.state import GuardrailState
    from rollout_server.domain.machine import Run
    from rollout_server.domain.resources import Evidence as Verdicts
    from rollout_server.domain.rollouts import PipelineSpec

PROCESS_LOST_METRIC: Final = MetricSpec(Measures.PROPORTION, Per.UNIT)
PROCESS_LOST_GUARDRAIL: Final = Guardrail(PROCESS_LOST, AbsoluteLimit(0.1), Action.HOLD)
"""Holds, and rolls nothing back: a process serves both arms, so nothing says that the release is to blame. A pipeline
that names `process_lost` itself decides otherwise."""

PROCESS_LOST_GUARD: Final = Guard(PROCESS_LOST, Action.HOLD, is_absolute=True)
_MARK_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Watched:
    """One guard of a run, and what it is judged by.

    Attributes:
        metric: None where it does not exist (any more): such a guard is blind.
    """

    name: str
    guardrail: Guardrail
    metric: MetricSpec | None

    @property
    def mark(self) -> str:
        """Of metric and limit: evidence for one meaning is none for another."""
        return sha256(repr((self.metric, self.guardrail)).encode()).hexdigest()[:_MARK_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Found:
    """What came in of one metric.

    Attributes:
        windows: later than those judged before, ascending.
        passed: the last window that the watermark has passed.
    """

    windows: Sequence[WindowSums] = ()
    feed: Feed = field(default_factory=Feed)
    passed: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one guard: its state, and the mark it is evidence for."""

    mark: str
    state: GuardrailState


def _no_cases() -> Mapping[str, Case]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a run.

    Attributes:
        ratio: of its arms' units.
        cases: by guard.
        judged: metric to the last window that is in; "" for exposures.
    """

    ratio: RatioState
    cases: Mapping[str, Case] = field(default_factory=_no_cases)
    judged: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a run is looked at from.

    Attributes:
        stage: `healthy` starts again with each.
        minimum_units: that each arm must have before anything is healthy.
        expects_control: some of those reached now are not exposed.
        unit: kind of the flag's unit.
    """

    run: int
    stage: str
    minimum_units: int
    unit: str
    window_ms: int
    expects_control: bool = False


def standpoint_of(run: Run, unit: str, window_ms: int) -> Standpoint:
    """Return where a run is looked at from, at the stage that it is in.

    Args:
        run: under way.
        unit: kind of the flag's unit.
        window_ms: how long a window is.
    """
    wanted = run.stage.exit.exposed if run.stage else 0
    return Standpoint(run.number, run.stage_name, wanted, unit, window_ms, _has_control(run))


def exposed_units(run: Run, evidence: Evidence) -> int:
    """Return how many units are exposed, of those that were seen in this run.

    A unit is counted once, in the arm in which it was seen first; a share that grew since has exposed some of those
    that were control. As many of them as the share of everyone says: their buckets are as good as random.
    """
    ratio = evidence.ratio
    shares = [reached.share_ppm for reached in reaches(run) if reached.audience is None]
    of_everyone = (ratio.candidate_units + ratio.control_units) * max(shares, default=0) / PPM
    return round(max(ratio.candidate_units, of_everyone))


def built_in(pipeline: PipelineSpec) -> tuple[Guard, ...]:
    """Return the guards that every run has, unless its pipeline has its own of that metric."""
    names = {guardrail.metric for guardrail in pipeline.guardrails}
    return () if PROCESS_LOST in names else (PROCESS_LOST_GUARD,)


def watched(run: Run, metrics: Mapping[str, MetricSpec]) -> tuple[Watched, ...]:
    """Return the guards of a run in its order.

    Args:
        run: its pipeline says which.
        metrics: of the environment, as they are now.
    """
    known = {**metrics, PROCESS_LOST: PROCESS_LOST_METRIC}
    named = guards_of(run.pipeline, *built_in(run.pipeline))
    asked = (*run.pipeline.guardrails, *([PROCESS_LOST_GUARDRAIL] if built_in(run.pipeline) else ()))
    return tuple(
        Watched(guard.name, guardrail, known.get(guardrail.metric))
        for guard, guardrail in zip(named, asked, strict=True)
    )


def begin(run: int) -> Evidence:
    """Return the evidence before a run's first window."""
    return Evidence(sample_ratio.start(run))


def absorbed(
    evidence: Evidence,
    guards: Iterable[Watched],
    standpoint: Standpoint,
    found: Mapping[str, Found],
    exposures: tuple[Sequence[ExposureSums], int],
) -> Evidence:
    """Return the evidence with all that came in.

    Args:
        evidence: of the same run.
        guards: of the run.
        standpoint: of this look.
        found: by metric; one that is missing brings nothing.
        exposures: newly exposed units, and the last window that is in them.
    """
    sums, through = exposures
    ratio = sample_ratio.absorb(evidence.ratio, sums)
    cases, judged = dict(evidence.cases), dict(evidence.judged)
    judged[""] = max(through, judged.get("", -1))
    for guard in guards:
        if guard.metric is None:
            continue
        came = found.get(guard.guardrail.metric, Found())
        judge, case = Judge(guard.metric, guard.guardrail), cases.get(guard.name)
        state = case.state if case is not None and case.mark == guard.mark else judge.start(standpoint.run)
        state = judge.absorb(state, came.windows, _look(standpoint, ratio, came))
        cases[guard.name] = Case(guard.mark, state)
        if came.passed is not None:
            judged[guard.guardrail.metric] = max(came.passed, judged.get(guard.guardrail.metric, -1))
    return replace(evidence, ratio=ratio, cases=cases, judged=judged)


def judged(
    evidence: Evidence, guards: Sequence[Watched], standpoint: Standpoint, found: Mapping[str, Found]
) -> Verdicts:
    """Return each guard's verdict, in the order of the guards; raises nothing."""
    able = [guard for guard in guards if guard.metric is not None and guard.name in evidence.cases]
    judges = [Judge(guard.metric, guard.guardrail) for guard in able if guard.metric is not None]
    states = [evidence.cases[guard.name].state for guard in able]
    looks = [_look(standpoint, evidence.ratio, found.get(guard.guardrail.metric, Found())) for guard in able]
    told = dict(zip([guard.name for guard in able], together.verdicts(judges, states, looks), strict=True))
    return tuple((guard.name, _settled(guard, told.get(guard.name))) for guard in guards)


def unseen(guards: Iterable[Watched]) -> Verdicts:
    """Return the verdicts of guards of which nothing can be seen, because what they rest on is away."""
    return tuple((guard.name, _blind(guard, Reason.NO_STORE)) for guard in guards)


def as_seen(verdicts: Verdicts) -> tuple[Judged, ...]:
    """Return as much of the verdicts as the machine acts on."""
    return tuple(Judged(name, each.standing, each.sentence, each.hold) for name, each in verdicts)


def _look(standpoint: Standpoint, ratio: RatioState, found: Found) -> Look:
    return Look(
        run=standpoint.run,
        stage=standpoint.stage,
        ratio=ratio,
        feed=found.feed,
        minimum_units=standpoint.minimum_units,
        passed=found.passed,
        unit=standpoint.unit,
        expects_control=standpoint.expects_control,
        window_ms=standpoint.window_ms,
    )


def _has_control(run: Run) -> bool:
    """Whether some reach leaves units unexposed that no other reach exposes."""
    whole = {repr(reached.audience) for reached in reaches(run) if reached.share_ppm >= PPM}
    return repr(None) not in whole and any(
        reached.share_ppm < PPM and repr(reached.audience) not in whole for reached in reaches(run)
    )


def _settled(guard: Watched, verdict: Verdict | None) -> Verdict:
    if verdict is None:
        return _blind(guard, Reason.NO_METRIC)
    if guard.guardrail is PROCESS_LOST_GUARDRAIL and verdict.standing is Standing.UNDECIDED and not verdict.hold:
        # Nobody asked for it, so it may stop a run, and never keep one waiting: a small fleet proves little.
        return replace(verdict, standing=Standing.UNJUDGED)
    return verdict


def _blind(guard: Watched, reason: Reason) -> Verdict:
    told = blind_sentence(guard.guardrail.metric, reason)
    return Verdict(guard.guardrail.metric, Standing.BLIND, reason, told, 0.0, relative=False)
