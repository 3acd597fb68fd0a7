"""Metrics of the catalogue as they travel to whoever records them."""

from __future__ import annotations

from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import ruleset_pb2 as pb

_MEASURES = {
    Measures.PROPORTION: pb.MEASURES_PROPORTION,
    Measures.COUNT: pb.MEASURES_COUNT,
    Measures.MEAN: pb.MEASURES_MEAN,
    Measures.QUANTILE: pb.MEASURES_QUANTILE,
}
_PER = {Per.UNIT: pb.PER_UNIT, Per.EVENT: pb.PER_EVENT}


def write_metric(metric: MetricDeclaration) -> pb.Metric:
    """Return the message of a metric."""
    return pb.Metric(key=metric.key, measures=_MEASURES[metric.measures], per=_PER[metric.per], late_ms=metric.late_ms)


def read_metric(message: pb.Metric) -> MetricDeclaration:
    """Return what a message says.

    Raises:
        WireError: this release does not know how to sum it.
    """
    measures = next((each for each, number in _MEASURES.items() if number == message.measures), None)
    per = next((each for each, number in _PER.items() if number == message.per), None)
    if measures is None or per is None:
        raise WireError(f"metric {message.key!r} measures {message.measures} per {message.per}, which is unknown here")
    return MetricDeclaration(message.key, measures, per, message.late_ms)
