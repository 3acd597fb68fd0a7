"""What Prometheus answers, in form and not."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.adapters.prometheus_answer import DETAIL_CHARACTERS_MAX, SERIES_MAX, BadAnswer, read_answer
from rollout_server.domain.counted_windows import Sample
from rollout_server.domain.guardrails.verdict import Reason


def matrix(*result: Any, **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(result)}, **more}).encode()


def error(kind: str, said: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": said}).encode()


def one(*values: Any) -> dict[str, Any]:
    return {"metric": {"job": "shop", "arm": "control"}, "values": list(values)}


def test_series_are_read_with_their_labels_and_times() -> None:
    """Seconds with decimals become milliseconds, text becomes numbers, NaN stays what it is."""
    first, second = read_answer(200, matrix(one([1700000000.25, "3"], [1700000001, "+Inf"]), one([1, "NaN"])))
    assert first.labels == (("arm", "control"), ("job", "shop"))
    assert first.samples == (Sample(1_700_000_000_250, 3.0), Sample(1_700_000_001_000, float("inf")))
    assert isnan(second.samples[0].value)
    assert read_answer(200, matrix()) == ()


@pytest.mark.parametrize(
    ("status", "body", "reason", "said"),
    [
        (200, b"", Reason.UNREADABLE, "is it a Prometheus"),
        (200, b"<html>", Reason.UNREADABLE, "is it a Prometheus"),
        (200, b"[" * 100_000, Reason.UNREADABLE, "is it a Prometheus"),
        (200, b"[]", Reason.UNREADABLE, "is it a Prometheus"),
        (200, matrix(1), Reason.UNREADABLE, "not in form"),
        (200, matrix({}), Reason.UNREADABLE, "not in form"),
        (200, matrix(one(["1", "x"])), Reason.UNREADABLE, "not in form"),
        (200, matrix(one([1, "2", "3"])), Reason.UNREADABLE, "not in form"),
        (200, matrix(one([2, "1"], [1, "1"])), Reason.UNREADABLE, "not in form"),
        (200, matrix(one([1, "1"], [1, "1"])), Reason.UNREADABLE, "not in form"),
        (200, matrix(one([float("inf"), "1"])), Reason.UNREADABLE, "not in form"),
        (200, matrix({"metric": [], "values": []}), Reason.UNREADABLE, "not in form"),
        (200, matrix({"metric": {}, "histograms": []}), Reason.WRONG_TYPE, "histograms"),
        (
            200,
            b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}',
            Reason.WRONG_TYPE,
            "scalar",
        ),
        (200, b'{"status": "success"}', Reason.WRONG_TYPE, ""),
        (200, matrix(*[one()] * (SERIES_MAX + 1)), Reason.TOO_MANY_SERIES, str(SERIES_MAX)),
        (200, matrix(one(), warnings=["a store is away"]), Reason.FAILING, "a store is away"),
        (200, error("bad_data", "what"), Reason.FAILING, "what"),
        (400, error("bad_data", "parse error"), Reason.REFUSED, "HTTP 400: parse error"),
        (422, error("execution", "many-to-many"), Reason.REFUSED, "HTTP 422: many-to-many"),
        (503, error("timeout", "query timed out"), Reason.SLOW, "query timed out"),
        (500, error("internal", "disk"), Reason.FAILING, "HTTP 500: disk"),
        (401, b"who are you", Reason.FAILING, "HTTP 401"),
        (302, b"", Reason.FAILING, "HTTP 302"),
    ],
)
def test_what_is_not_in_form_has_its_reason(status: int, body: bytes, reason: Reason, said: str) -> None:
    """Nothing of such an answer becomes a number."""
    with pytest.raises(BadAnswer) as refused:
        read_answer(status, body)
    assert refused.value.reason is reason
    assert said in refused.value.detail


def test_what_it_says_is_shown_short_and_printable() -> None:
    """It goes into a sentence that people read."""
    with pytest.raises(BadAnswer) as refused:
        read_answer(400, error("bad_data", "a\x1b[31m\nb" + "x" * 9_999))
    detail = refused.value.detail
    assert detail.isprintable()
    assert len(detail) <= DETAIL_CHARACTERS_MAX + len("HTTP 400: ")
    assert detail.endswith("…")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metric", "values", "result", "data", "status"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_no_answer_breaks_the_reading(result: Any) -> None:
    """Whatever comes, it is series or a reason."""
    for body in (
        matrix(result),
        json.dumps(result).encode(),
        json.dumps({"status": "success", "data": result}).encode(),
    ):
        try:
            assert isinstance(read_answer(200, body), tuple)
        except BadAnswer as bad:
            assert isinstance(bad.reason, Reason)  # noqa: PT017 - either way is fine
