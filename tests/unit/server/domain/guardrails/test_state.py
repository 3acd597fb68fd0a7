"""Evidence outlives a restart exactly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Guardrail, Limit, RelativeLimit
from rollout_server.domain.guardrails.state import LAW, read_guardrail, read_ratio, write
from rollout_server.errors import Corrupt
from tests.guardrail_windows import ERRORS, KINDS, fair_ratio, look, world

LIMITS = [RelativeLimit(100_000), RelativeLimit(100_000, at_least=0.01), AbsoluteLimit(0.3)]


def through_json(state: object) -> object:
    return json.loads(json.dumps(write(state), allow_nan=False))


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_restart_continues_exactly(kind: str, limit: Limit) -> None:
    """Written as JSON, read back and continued, every number is what it would have been, for every kind of test."""
    judge = Judge(KINDS[kind], Guardrail("metric", limit))
    now = look()
    without = judge.start(1)
    with_restarts = judge.start(1)
    for parts in world(KINDS[kind], 1.2, windows=130 if kind in {"errors", "requests"} else 12):
        without = judge.absorb(without, parts, now)
        with_restarts = judge.absorb(read_guardrail(through_json(with_restarts), "here"), parts, now)
        assert with_restarts == without
    assert judge.verdict(with_restarts, now) == judge.verdict(without, now)


def test_the_sample_ratio_survives_too() -> None:
    """read(write(x)) == x."""
    ratio = fair_ratio()
    assert read_ratio(through_json(ratio), "here") == ratio


def test_what_is_no_state_is_corrupt() -> None:
    """Anything else is refused with its place, never half believed."""
    state = Judge(ERRORS, Guardrail("metric", RelativeLimit(0))).start(1)
    good = write(state)
    broken = [
        None,
        [],
        {"is": "Nobody"},
        {},
        {**good, "more": 1},
        {"is": "GuardrailState", "run": 1},
        write(fair_ratio()),
        write(replace(state, law=LAW + 1)),
    ]
    for data in broken:
        with pytest.raises(Corrupt, match="run 3 of checkout"):
            read_guardrail(data, "run 3 of checkout")
    with pytest.raises(Corrupt, match="no sample ratio"):
        read_ratio(good, "here")


def test_a_sample_ratio_of_another_law_is_not_continued() -> None:
    """Neither one of a later law nor one of the first, which was not written down."""
    ratio = write(fair_ratio())
    with pytest.raises(Corrupt, match="law 3, this server judges by law 2"):
        read_ratio({**ratio, "law": 3}, "here")
    del ratio["law"]
    with pytest.raises(Corrupt, match="law 1"):
        read_ratio(ratio, "here")
