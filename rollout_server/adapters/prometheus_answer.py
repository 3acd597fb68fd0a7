"""What Prometheus' HTTP API answers, read with suspicion: it is evidence only if all of it is in form."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Final

from rollout_server.domain.counted_windows import Sample, Series
from rollout_server.domain.guardrails.verdict import Reason

SERIES_MAX: Final = 5_000
"""Of one query: more is a selector that forgot a label."""

DETAIL_CHARACTERS_MAX: Final = 160
_OK = 200
_REFUSALS = frozenset({400, 422})
_GAVE_UP = frozenset({"timeout", "canceled"})


class BadAnswer(Exception):
    """Why nothing was learnt.

    Attributes:
        reason: one of those of a faulty source.
        detail: for people; what Prometheus itself said, shortened.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def read_answer(status: int, body: bytes) -> tuple[Series, ...]:
    """Return the series of a query's answer, in its order.

    Args:
        status: of HTTP.
        body: whole.

    Raises:
        BadAnswer: it is an error, no JSON, incomplete, no matrix, or has too many series.
    """
    answer = _parsed(status, body)
    if status != _OK or answer.get("status") != "success":
        raise _refusal(status, answer)
    if warnings := answer.get("warnings"):
        # A part of the series may be missing, and nobody could tell that from an arm that does well.
        raise BadAnswer(Reason.FAILING, f"it warns: {_short(warnings)}")
    data = answer.get("data")
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind != "matrix" or not isinstance(result, list):
        raise BadAnswer(Reason.WRONG_TYPE, f"a {_short(kind)} instead of series")
    if len(result) > SERIES_MAX:
        raise BadAnswer(Reason.TOO_MANY_SERIES, f"more than {SERIES_MAX}")
    try:
        return tuple(_series(one) for one in result)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise BadAnswer(Reason.UNREADABLE, "its series are not in form") from None


def _parsed(status: int, body: bytes) -> dict[str, object]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return answer
    if status != _OK:
        raise BadAnswer(Reason.FAILING, f"HTTP {status}")
    raise BadAnswer(Reason.UNREADABLE, "no JSON object; is it a Prometheus?")


def _refusal(status: int, answer: dict[str, object]) -> BadAnswer:
    said = f"HTTP {status}: {_short(answer.get('error') or answer.get('errorType') or 'no reason given')}"
    if answer.get("errorType") in _GAVE_UP:
        return BadAnswer(Reason.SLOW, said)
    return BadAnswer(Reason.REFUSED if status in _REFUSALS else Reason.FAILING, said)


def _series(one: dict[str, object]) -> Series:
    labels, values = one["metric"], one.get("values")
    if not isinstance(labels, dict):
        raise TypeError("labels are a map")
    if not isinstance(values, list):
        raise BadAnswer(Reason.WRONG_TYPE, "histograms instead of numbers")
    samples = tuple(Sample(round(float(at_s) * 1_000), float(value)) for at_s, value in values)
    if any(later.at_ms <= earlier.at_ms for earlier, later in pairwise(samples)):
        raise ValueError("samples ascend")
    return Series(tuple(sorted((str(name), str(value)) for name, value in labels.items())), samples)


def _short(said: object) -> str:
    text = said if isinstance(said, str) else json.dumps(said, default=str)
    shown = "".join(char if char.isprintable() else " " for char in text[: DETAIL_CHARACTERS_MAX + 1])
    return shown if len(shown) <= DETAIL_CHARACTERS_MAX else f"{shown[: DETAIL_CHARACTERS_MAX - 1]}…"
