"""What rollouts under way, and the controller that drives them, look like to Prometheus.

The only labels that people name are here: keys of rollouts, flags, stages and guardrails. They are bounded by what is
running, `app.run_figures.SHOWN_MAX` rollouts at most in each environment, and they go when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from rollout_server.app.durations import Durations
    from rollout_server.app.run_figures import RolloutFigures, RunFigures
    from rollout_server.app.time_store import StoreTimes

_ROLLOUT = ("environment", "rollout")
_GUARDRAIL = ("environment", "rollout", "guardrail")


@dataclass(frozen=True, slots=True)
class ControllerFigures:
    """What one environment's controller is like.

    Attributes:
        fence: token of the lease; None while another server, or none, drives.
        ticks: what they took, since this server started.
        tick_age_ms: since the last one; None before the first and while another server drives.
        tick_failures: rollouts that ticks could not look after, since this server started.
    """

    environment: str
    fence: int | None
    ticks: Durations
    tick_age_ms: int | None
    tick_failures: int
    rollouts: RolloutFigures


def controller_families(figures: Iterable[ControllerFigures]) -> Iterator[Metric]:
    """Yield what is told of controllers and of what they drive."""
    told = tuple(figures)
    by_environment = ("environment",)
    held = GaugeMetricFamily("rollout_lease_held", "1 while this server drives the rollouts.", labels=by_environment)
    fence = GaugeMetricFamily(
        "rollout_lease_fence",
        "Fencing token under which this server drives; absent otherwise.",
        labels=by_environment,
    )
    seconds = HistogramMetricFamily(
        "rollout_tick_seconds", "How long a tick took: every rollout looked at once.", labels=by_environment
    )
    age = GaugeMetricFamily(
        "rollout_tick_age_seconds", "Since the last tick; absent while another server drives.", labels=by_environment
    )
    failures = CounterMetricFamily(
        "rollout_tick_failures", "Rollouts that a tick could not look after; the log says why.", labels=by_environment
    )
    for one in told:
        label = [one.environment]
        held.add_metric(label, float(one.fence is not None))
        if one.fence is not None:
            fence.add_metric(label, one.fence)
            if one.tick_age_ms is not None:
                age.add_metric(label, one.tick_age_ms / 1_000)
        _add_durations(seconds, label, one.ticks)
        failures.add_metric(label, one.tick_failures)
    yield from (held, fence, seconds, age, failures)
    yield from _counted(told)
    yield from _runs([(one.environment, run) for one in told for run in one.rollouts.shown])
    yield from _guardrails([(one.environment, run) for one in told for run in one.rollouts.shown])


def store_families(times: StoreTimes) -> Iterator[Metric]:
    """Yield what is told of the store's calls."""
    labels = ("store", "part", "operation")
    seconds = HistogramMetricFamily(
        "rollout_store_seconds", "How long calls to the store took; a write of the journal is a commit.", labels=labels
    )
    failures = CounterMetricFamily("rollout_store_failures", "Calls that found the store away.", labels=labels)
    for (part, operation), took in times.took.items():
        _add_durations(seconds, [times.store, part, operation], took)
        failures.add_metric([times.store, part, operation], times.failures[part, operation])
    yield from (seconds, failures)


def _add_durations(family: HistogramMetricFamily, labels: list[str], took: Durations) -> None:
    buckets = [("+Inf" if not isfinite(bound) else str(bound), float(count)) for bound, count in took.up_to()]
    family.add_metric(labels, buckets, took.sum_s)


def _counted(told: Iterable[ControllerFigures]) -> Iterator[Metric]:
    runs = GaugeMetricFamily("rollout_runs", "Runs under way, by phase.", labels=("environment", "phase"))
    killed = GaugeMetricFamily("rollout_flags_killed", "Flags that are killed.", labels=("environment",))
    for one in told:
        killed.add_metric([one.environment], one.rollouts.flags_killed)
        for phase, count in one.rollouts.phases.items():
            runs.add_metric([one.environment, phase], count)
    yield from (runs, killed)


def _runs(runs: list[tuple[str, RunFigures]]) -> Iterator[Metric]:
    standing = GaugeMetricFamily(
        "rollout_run", "1 for each run under way, where it is.", labels=(*_ROLLOUT, "flag", "run", "phase", "stage")
    )
    share = GaugeMetricFamily("rollout_run_share_ratio", "Share of its stage's audience, 0 to 1.", labels=_ROLLOUT)
    needs = GaugeMetricFamily(
        "rollout_run_needs_person", "1 while it waits for a person who has not answered.", labels=_ROLLOUT
    )
    units = GaugeMetricFamily(
        "rollout_run_units", "Units seen in this run, by arm, as of the last tick.", labels=(*_ROLLOUT, "arm")
    )
    soak = GaugeMetricFamily(
        "rollout_run_soak_left_seconds", "Soak or watch left where it is, as of the last tick.", labels=_ROLLOUT
    )
    for environment, run in runs:
        labels = [environment, run.rollout]
        standing.add_metric([*labels, run.flag, str(run.run), run.phase, run.stage], 1)
        share.add_metric(labels, run.share_ppm / 1_000_000)
        needs.add_metric(labels, float(run.needs_person))
        for arm, count in (("candidate", run.exposed_units), ("control", run.control_units)):
            if count is not None:
                units.add_metric([*labels, arm], count)
        if run.soak_left_ms is not None:
            soak.add_metric(labels, run.soak_left_ms / 1_000)
    yield from (standing, share, needs, units, soak)


def _guardrails(runs: list[tuple[str, RunFigures]]) -> Iterator[Metric]:
    standing = GaugeMetricFamily(
        "rollout_guardrail", "1 for each guardrail, how it stands.", labels=(*_GUARDRAIL, "standing")
    )
    figures = {
        "estimate": "Difference of candidate to control as a fraction, or the level where the limit is absolute.",
        "low": "Lower end of the always-valid 95 % interval of the estimate.",
        "high": "Upper end of the always-valid 95 % interval of the estimate.",
        "limit": "What the estimate may not pass.",
        "log_e": "Natural logarithm of the evidence that the limit is broken.",
    }
    families = {
        name: GaugeMetricFamily(f"rollout_guardrail_{name}", text, labels=_GUARDRAIL) for name, text in figures.items()
    }
    units = GaugeMetricFamily(
        "rollout_guardrail_units", "Units exposed so far in this run, by arm.", labels=(*_GUARDRAIL, "arm")
    )
    for environment, run in runs:
        for name, verdict in run.verdicts:
            labels = [environment, run.rollout, name]
            standing.add_metric([*labels, verdict.standing.value], 1)
            units.add_metric([*labels, "candidate"], verdict.candidate_units)
            units.add_metric([*labels, "control"], verdict.control_units)
            for figure, family in families.items():
                value = getattr(verdict, figure)
                if value is not None and isfinite(value):
                    family.add_metric(labels, value)
    yield from (standing, *families.values(), units)
