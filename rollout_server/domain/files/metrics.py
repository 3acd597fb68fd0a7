"""Metrics and guardrails between files and the statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM
from rollout_server.domain.files import durations, percent
from rollout_server.domain.files.bounds import QUERY_CHARACTERS_MAX, UNIT_CHARACTERS_MAX
from rollout_server.domain.files.fields import Fields
from rollout_server.domain.files.quantities import (
    read_change,
    read_duration,
    read_points,
    read_quantile,
    read_share,
    show_quantile,
)
from rollout_server.domain.guardrails.spec import (
    AbsoluteLimit,
    Action,
    Bad,
    Guardrail,
    Limit,
    Measures,
    MetricSpec,
    Per,
    RelativeLimit,
    Source,
)

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.files.shape import Reading

METRIC_FIELDS = ("measures", "quantile", "per", "unit", "bad", "late", "source", "numerator", "denominator")
GUARDRAIL_FIELDS = ("metric", "limit", "action", "weight", "tolerance")
LIMIT_FIELDS = ("relative", "at_least", "absolute")

_LIMIT_HINT = "write limit: +10%, or {relative: +20%, at_least: 0.1pp}, or {absolute: 0.5}"

_NO_LIMIT: Limit = RelativeLimit(0)


def read_metric(reading: Reading, tree: object) -> MetricSpec:
    """Read a metric's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", METRIC_FIELDS, "the spec of a metric")
    return MetricSpec(
        measures=fields.need_choice("measures", Measures, Measures.PROPORTION),
        per=fields.choice("per", Per, Per.UNIT),
        bad=fields.choice("bad", Bad, Bad.HIGH),
        quantile_ppm=fields.get("quantile", read_quantile, 0),
        unit=fields.get("unit", _unit, ""),
        late_ms=fields.get("late", read_duration, 0),
        source=fields.choice("source", Source, Source.SDK),
        numerator=fields.get("numerator", _query, ""),
        denominator=fields.get("denominator", _query, ""),
    )


def _unit(reading: Reading, value: object, path: str) -> str:
    return _short(reading, value, path, "the unit of its values", UNIT_CHARACTERS_MAX)


def _query(reading: Reading, value: object, path: str) -> str:
    return _short(reading, value, path, "a PromQL query", QUERY_CHARACTERS_MAX)


def _short(reading: Reading, value: object, path: str, what: str, characters_max: int) -> str:
    text = reading.text(value, path, what)
    if len(text) > characters_max:
        message = f"{what} has at most {characters_max} characters, this has {len(text)}"
        reading.refuse(path, "too_long", message, "shorten it")
    return text


def read_guardrail(reading: Reading, tree: object, path: str) -> Guardrail:
    """Read one guardrail of a pipeline."""
    fields = Fields(reading, tree, path, GUARDRAIL_FIELDS, "a guardrail")
    hint = "name the metric that it watches"
    return Guardrail(
        metric=fields.need("metric", lambda inner, value, place: inner.key(value, place, "a metric"), "", hint),
        limit=fields.need("limit", _limit, _NO_LIMIT, _LIMIT_HINT),
        action=fields.choice("action", Action, Action.ROLLBACK),
        weight=fields.get("weight", read_share, 0) / PPM,
        tolerance_ppm=fields.get("tolerance", read_share, 0),
    )


def _limit(reading: Reading, tree: object, path: str) -> Limit:
    if isinstance(tree, str):
        return RelativeLimit(read_change(reading, tree, path))
    if not isinstance(tree, dict):
        reading.refuse(path, "wrong_type", "a limit is wanted, found something else", _LIMIT_HINT)
        return RelativeLimit(0)
    fields = Fields(reading, tree, path, LIMIT_FIELDS, "a limit")
    if "absolute" in fields:
        for name in ("relative", "at_least"):
            if name in fields:
                message = f'"{name}" cannot stand beside "absolute": one compares the arms, the other a number'
                reading.refuse(fields.place(name), "bad_limit", message, "make two guardrails of it")
        return AbsoluteLimit(fields.get("absolute", _number, 0.0))
    at_least, in_points = fields.get("at_least", _at_least, (0.0, False))
    relative_ppm = fields.need("relative", read_change, 0, _LIMIT_HINT)
    return RelativeLimit(relative_ppm, at_least, in_points)


def _number(reading: Reading, value: object, path: str) -> float:
    if isinstance(value, str):
        message = "a number in the metric's own unit is wanted, found text"
        reading.refuse(path, "wrong_type", message, "write 0.5 for half a second, 0.01 for 1% of a proportion")
        return 0.0
    try:
        return float(reading.number(value, path))
    except OverflowError:
        reading.refuse(path, "wrong_type", "this number is too large", "write a smaller one")
        return 0.0


def _at_least(reading: Reading, value: object, path: str) -> tuple[float, bool]:
    if isinstance(value, str):
        return read_points(reading, value, path) / PPM, True
    return _number(reading, value, path), False


def write_metric(spec: MetricSpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out."""
    tree: dict[str, Json] = {"measures": spec.measures.value}
    if spec.quantile_ppm:
        tree["quantile"] = show_quantile(spec.quantile_ppm)
    if spec.per is not Per.UNIT:
        tree["per"] = spec.per.value
    if spec.unit:
        tree["unit"] = spec.unit
    tree["bad"] = spec.bad.value
    if spec.late_ms:
        tree["late"] = durations.show(spec.late_ms)
    if spec.source is not Source.SDK:
        tree["source"] = spec.source.value
    if spec.numerator:
        tree["numerator"] = spec.numerator
    if spec.denominator:
        tree["denominator"] = spec.denominator
    return tree


def write_guardrail(guardrail: Guardrail) -> dict[str, Json]:
    """Return one guardrail's map; the action is always written, since it is what people look for."""
    tree: dict[str, Json] = {
        "metric": guardrail.metric,
        "limit": write_limit(guardrail.limit),
        "action": guardrail.action.value,
    }
    if guardrail.weight:
        tree["weight"] = percent.show(round(guardrail.weight * PPM))
    if guardrail.tolerance_ppm:
        tree["tolerance"] = percent.show(guardrail.tolerance_ppm)
    return tree


def write_limit(limit: Limit) -> Json:
    """Return a limit as people write it: "+10%", or a map."""
    if isinstance(limit, AbsoluteLimit):
        return {"absolute": _plain(limit.value)}
    change = percent.show_change(limit.ppm)
    if not limit.at_least and not limit.in_points:
        return change
    points = percent.show_points(round(limit.at_least * PPM)) if limit.in_points else _plain(limit.at_least)
    return {"relative": change, "at_least": points}


def _plain(number: float) -> int | float:
    """Write 5 rather than 5.0; both read back as the same number."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
