"""What the statistics remember between looks, as plain JSON and back: read(write(x)) == x.

Evidence lives in the telemetry store beside the sums; a restart continues exactly where the last look ended. Floats
survive because JSON writes the shortest text that reads back as the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from rollout_server.domain.guardrails.absolute import AbsoluteState
from rollout_server.domain.guardrails.clustered import ClusteredState, Note, Tally
from rollout_server.domain.guardrails.difference import AtLeastState
from rollout_server.domain.guardrails.healthy import HealthyState
from rollout_server.domain.guardrails.interval import TrackState
from rollout_server.domain.guardrails.levels import Level
from rollout_server.domain.guardrails.means import MeansState
from rollout_server.domain.guardrails.mixtures import Mixture
from rollout_server.domain.guardrails.paired import CountersState, SignsState
from rollout_server.domain.guardrails.quantiles import QuantilesState
from rollout_server.domain.guardrails.rates import RatesState
from rollout_server.domain.guardrails.sample_ratio import LAW as RATIO_LAW
from rollout_server.domain.guardrails.sample_ratio import RatioState, Shares
from rollout_server.errors import Corrupt

LAW = 3  # of the statistics: grids, priors and increments; evidence of another law cannot be continued


@dataclass(frozen=True, slots=True)
class GuardrailState:
    """What is remembered of one guardrail in one run.

    Attributes:
        judged: last window; None before the first.
        regression: evidence of the run.
        healthy: evidence of the stage.
        track: sums for estimate and interval.
        has_control: whether some reach of the last window leaves units unexposed.
        is_quiet: nothing happened in the last window, in either arm.
        is_impossible: its sums cannot come from data, and were left out.
        silent: nats against chance that one arm has had no outcome since its last one, while the other arm had some.
        candidate_n: denominators of the candidate in this run.
        control_n, control_x: sums of the control in this run, for its level.
    """

    run: int
    regression: Any
    healthy: HealthyState
    track: TrackState
    judged: int | None = None
    has_control: bool = True
    is_quiet: bool = False
    is_impossible: bool = False
    silent: float = 0.0
    candidate_n: int = 0
    control_n: int = 0
    control_x: float = 0.0
    law: int = LAW


_CLASSES: Mapping[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        AbsoluteState,
        AtLeastState,
        ClusteredState,
        CountersState,
        GuardrailState,
        HealthyState,
        Level,
        MeansState,
        Mixture,
        Note,
        QuantilesState,
        RatesState,
        RatioState,
        Shares,
        SignsState,
        Tally,
        TrackState,
    )
}
_KIND = "is"


def write(state: object) -> Any:  # noqa: ANN401 - JSON has no type of its own
    """Return a state as dicts, lists, numbers, texts and None."""
    if is_dataclass(state):
        body = {field.name: write(getattr(state, field.name)) for field in fields(state)}
        return {_KIND: type(state).__name__, **body}
    if isinstance(state, tuple):
        return [write(item) for item in state]
    return state


def read_guardrail(data: object, where: str) -> GuardrailState:
    """Read the state of a guardrail.

    Args:
        data: what `write` gave.
        where: what it is the state of, for the error.

    Raises:
        Corrupt: it is none, or of another law.
    """
    state = _read(data, where)
    if not isinstance(state, GuardrailState):
        raise Corrupt(where, "this is no guardrail's state", _HINT)
    if state.law != LAW:
        raise Corrupt(where, f"evidence of law {state.law}, this server judges by law {LAW}", _HINT)
    return state


def read_ratio(data: object, where: str) -> RatioState:
    """Read the state of the sample ratio.

    Args:
        data: what `write` gave.
        where: what it is the state of, for the error.

    Raises:
        Corrupt: it is none, or of another law (the first one was not written down).
    """
    state = _read(data, where)
    if not isinstance(state, RatioState) or not isinstance(data, dict):
        raise Corrupt(where, "this is no sample ratio's state", _HINT)
    if (law := data.get("law")) != RATIO_LAW:
        raise Corrupt(where, f"sample ratio of law {law or 1}, this server judges by law {RATIO_LAW}", _HINT)
    return state


_HINT = "evidence of this run starts again at 1; nothing advances until it is judged anew"


def _read(data: object, where: str) -> object:
    if isinstance(data, list):
        return tuple(_read(item, where) for item in data)
    if not isinstance(data, dict):
        return data
    values = dict(data)
    kind = values.pop(_KIND, None)
    make = _CLASSES.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise Corrupt(where, f"no state is called {kind!r}", _HINT)
    try:
        return make(**{name: _read(value, where) for name, value in values.items()})
    except TypeError as error:
        raise Corrupt(where, f"{kind} does not have these fields: {error}", _HINT) from None
