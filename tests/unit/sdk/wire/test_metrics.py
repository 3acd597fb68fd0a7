"""Metrics on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.wire.codec import decode_record, record_of_metric
from rollout_sdk.wire.metrics import read_metric
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import ruleset_pb2


@given(st.sampled_from(Measures), st.sampled_from(Per), st.integers(0, 10**12))
def test_reading_undoes_writing(measures: Measures, per: Per, late_ms: int) -> None:
    """As a record of its own."""
    metric = MetricDeclaration("checkout.errors", measures, per, late_ms)
    record = record_of_metric(metric, 7)
    assert decode_record(record) == metric
    assert record_of_metric(metric, 7).data == record.data


@pytest.mark.parametrize(
    "given", [{}, {"measures": 1}, {"per": 1}, {"measures": 99, "per": 1}, {"measures": 1, "per": 9}]
)
def test_what_cannot_be_summed_is_refused_alone(given: dict[str, int]) -> None:
    """A later release's metric is recorded nowhere here, and decides nothing."""
    with pytest.raises(WireError, match="unknown here"):
        read_metric(ruleset_pb2.Metric(key="odd", **given))  # type: ignore[arg-type] # numbers of a later release
