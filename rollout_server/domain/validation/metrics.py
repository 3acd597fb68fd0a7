"""Metrics by themselves, and guardrails against the metrics that they watch."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM, Reach
from rollout_server.domain.files import durations, percent
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Bad, Measures, Source
from rollout_server.domain.machine.run import FINISH, RAMP_STEPS_MAX
from rollout_server.domain.metric_source import tells_apart
from rollout_server.domain.rollouts import GUARDRAILS_MAX
from rollout_server.domain.telemetry import PROCESS_LOST
from rollout_server.domain.validation.promql import promql_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.engine.findings import Findings
    from rollout_server.domain.guardrails.spec import Guardrail, MetricSpec, RelativeLimit
    from rollout_server.domain.rollouts import PipelineSpec
    from rollout_server.domain.validation.world import World

LATE_MAX_MS = 7 * 86_400_000
"""Nothing is judged before its reports may be late no more: a longer wait would guard nobody."""

_WHOLE = 1.0


def check_metric(findings: Findings, key: str, spec: MetricSpec) -> None:
    """Note everything that is wrong with a metric."""
    if key == PROCESS_LOST:
        message = "processes that are lost are counted by the server itself"
        findings.add("metadata.key", "built_in", message, "name yours otherwise; guardrails may name this one")
    if spec.measures is Measures.QUANTILE and not 0 < spec.quantile_ppm < PPM:
        findings.add("spec.quantile", "missing_quantile", "a quantile of what share is not said", "write quantile: p95")
    elif spec.measures is not Measures.QUANTILE and spec.quantile_ppm:
        message = f"a {spec.measures.value} has no quantile"
        findings.add("spec.quantile", "unexpected_quantile", message, "take it out, or write measures: quantile")
    if spec.measures is Measures.PROPORTION and spec.unit:
        findings.add("spec.unit", "unexpected_unit", "a share of units or events has no unit of its own", "take it out")
    if not 0 <= spec.late_ms <= LATE_MAX_MS:
        message = f"reports may be late for at most {durations.show(LATE_MAX_MS)}: nothing is judged before"
        findings.add("spec.late", "out_of_range", message, "choose an outcome that shows sooner")
    if spec.source is Source.PROMETHEUS:
        _check_queries(findings, spec)
        return
    for name, query in (("numerator", spec.numerator), ("denominator", spec.denominator)):
        if query:
            hint = "write source: prometheus, or take the query out"
            findings.add(f"spec.{name}", "unexpected_query", "SDKs report this metric; nobody would ask this", hint)


def _check_queries(findings: Findings, spec: MetricSpec) -> None:
    if spec.measures is Measures.QUANTILE:
        message = "two counters of Prometheus hold no quantile"
        hint = "count what is slower than the limit and measure a proportion, or report it by the SDK"
        findings.add("spec.measures", "misfit", message, hint)
    if not spec.numerator:
        hint = 'write numerator: the PromQL of a counter for each arm, with {arm="{arm}"} in it'
        findings.add("spec.numerator", "missing_query", "Prometheus is not told what to count", hint)
    if not spec.late_ms:
        message = "it is not said how long it takes until Prometheus has scraped what happened"
        findings.add("spec.late", "missing_late", message, "write the scrape interval at least, like late: 1m")
    for name, query in (("numerator", spec.numerator), ("denominator", spec.denominator)):
        message, hint = promql_fault(query, is_counter=bool(spec.denominator)) if query else ("", "")
        if message:
            findings.add(f"spec.{name}", "bad_promql", message, hint)


def check_guardrails(findings: Findings, world: World, guardrails: Sequence[Guardrail]) -> None:
    """Note everything that is wrong with the guardrails of a pipeline."""
    hint = "let one metric stand for several"
    findings.too_many("spec.guardrails", len(guardrails), GUARDRAILS_MAX, "guardrails", hint)
    seen: dict[tuple[str, bool], int] = {}
    for at, guardrail in enumerate(guardrails):
        path = f"spec.guardrails[{at}]"
        is_absolute = isinstance(guardrail.limit, AbsoluteLimit)
        first = seen.setdefault((guardrail.metric, is_absolute), at)
        if first != at:
            message = f"spec.guardrails[{first}] has {'an absolute' if is_absolute else 'a relative'} limit for it too"
            findings.add(f"{path}.metric", "duplicate_guardrail", message, "keep the stricter one")
        _check_tolerance(findings, guardrail, path)
        metric = world.metrics.get(guardrail.metric)
        if metric is None:
            findings.unknown(f"{path}.metric", "metric", guardrail.metric, world.metrics)
        elif guardrail.metric == PROCESS_LOST and not isinstance(guardrail.limit, AbsoluteLimit):
            message = "a process serves both arms, so there is no control to compare lost ones with"
            findings.add(f"{path}.limit", "no_control", message, "write limit: {absolute: 0.05}")
        elif isinstance(guardrail.limit, AbsoluteLimit):
            _check_absolute(findings, guardrail.limit, metric, f"{path}.limit.absolute")
        else:
            _check_relative(findings, guardrail.limit, metric, f"{path}.limit")
    _check_weights(findings, guardrails)


def check_reaches(findings: Findings, world: World, pipeline: PipelineSpec) -> None:
    """Note guardrails whose metric would mix units of several reaches: strangers are never compared."""
    for at, guardrail in enumerate(pipeline.guardrails):
        metric = world.metrics.get(guardrail.metric)
        if metric is None or metric.source is not Source.PROMETHEUS:
            continue
        stage = next((name for name, reaches in _in_force(pipeline) if not tells_apart(metric, reaches)), "")
        if stage:
            message = f"from stage {stage} on its queries would mix units of different reach, which are never compared"
            hint = 'tell them apart in each query, arm="{arm}", reach="{reach}", or let every stage be for everyone'
            findings.add(f"spec.guardrails[{at}].metric", "mixed_reach", message, hint)


def _in_force(pipeline: PipelineSpec) -> Iterator[tuple[str, list[Reach]]]:
    """Yield what each stage reaches, by its name: where its ramp begins, and where it ends."""
    before: list[Reach] = []
    for stage in pipeline.stages:
        if stage.ramp_ms:
            yield stage.name, [*before, Reach(stage.name, max(1, stage.share_ppm // RAMP_STEPS_MAX), stage.audience)]
        before = [*before, Reach(stage.name, stage.share_ppm, stage.audience)]
        yield stage.name, before
    yield FINISH, [*before, Reach(FINISH, pipeline.finish.share_ppm)]


def _check_relative(findings: Findings, limit: RelativeLimit, metric: MetricSpec, path: str) -> None:
    has_more = limit.at_least or limit.in_points
    place = f"{path}.relative" if has_more else path
    said = percent.show_change(limit.ppm)
    if limit.ppm and (limit.ppm > 0) is not (metric.bad is Bad.HIGH):
        way = "more" if metric.bad is Bad.HIGH else "less"
        message = f"{said} is the harmless direction: of this metric, {way} is bad"
        hint = f"write {percent.show_change(-limit.ppm)}, or mend the metric's `bad`"
        findings.add(place, "wrong_sign", message, hint)
    elif limit.ppm <= -PPM:
        findings.add(place, "bad_limit", f"{said} is everything: it could never be passed", "allow less")
    if not has_more:
        return
    place = f"{path}.at_least"
    is_proportion = metric.measures is Measures.PROPORTION
    if limit.in_points and not is_proportion:
        message = f"percentage points are of proportions, and this metric measures a {metric.measures.value}"
        hint = f"write a plain number{f' of {metric.unit}' if metric.unit else ''}"
        findings.add(place, "misfit", message, hint)
    elif is_proportion and not limit.in_points:
        message = "the difference of two proportions is written in percentage points"
        meant = percent.show_points(round(limit.at_least * PPM)) if 0 < limit.at_least <= _WHOLE else "it like 0.1pp"
        findings.add(place, "misfit", message, f"write {meant}")
    elif not (isfinite(limit.at_least) and limit.at_least >= 0):
        findings.add(place, "wrong_sign", "at_least is the size of a difference, without a sign", "leave the sign out")


def _check_absolute(findings: Findings, limit: AbsoluteLimit, metric: MetricSpec, path: str) -> None:
    if metric.measures is Measures.PROPORTION and not 0 < limit.value < _WHOLE:
        message = f"{limit.value:g} is no limit of a proportion, which lies between 0 and 1"
        findings.add(path, "bad_limit", message, "write 0.01 for 1%")
    elif metric.measures in (Measures.COUNT, Measures.QUANTILE) and not limit.value > 0:
        findings.add(path, "bad_limit", f"{limit.value:g} could never be kept, or never be passed", "write more than 0")


def _check_tolerance(findings: Findings, guardrail: Guardrail, path: str) -> None:
    limit = guardrail.limit
    if not guardrail.tolerance_ppm or isinstance(limit, AbsoluteLimit):
        return
    if guardrail.tolerance_ppm <= abs(limit.ppm):
        message = f"{percent.show(guardrail.tolerance_ppm)} is within the limit of {percent.show_change(limit.ppm)}"
        hint = "write more than the limit allows, or leave it out for half as much again"
        findings.add(f"{path}.tolerance", "bad_tolerance", message, hint)


def _check_weights(findings: Findings, guardrails: Sequence[Guardrail]) -> None:
    weights = [round(one.weight * PPM) for one in guardrails if one.action is Action.ROLLBACK]
    for at, guardrail in enumerate(guardrails):
        if guardrail.weight and guardrail.action is not Action.ROLLBACK:
            message = f"it is judged alone, since its action is {guardrail.action.value}"
            findings.add(f"spec.guardrails[{at}].weight", "unexpected_weight", message, "take the weight out")
        elif not guardrail.weight and guardrail.action is Action.ROLLBACK and any(weights):
            message = "others with action rollback have a weight, and this one has none"
            findings.add(f"spec.guardrails[{at}]", "missing_weight", message, "give all of them one, or none")
    if weights and all(weights) and sum(weights) != PPM:
        message = f"the weights of those with action rollback add up to {percent.show(sum(weights))}, not to 100%"
        findings.add("spec.guardrails", "bad_sum", message, "mend them, or leave all of them out for equal ones")
