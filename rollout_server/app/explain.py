"""Explain: why a context gets what it gets, now or at any kept point of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine import explain as engine
from rollout_sdk.engine.context import from_json
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.model import Origin
from rollout_sdk.engine.problems import Problem
from rollout_server.app.moments import NOW, At
from rollout_server.app.near_miss import cut, did_you_mean
from rollout_server.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from rollout_sdk.engine.explain_conditions import Step
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment


@dataclass(frozen=True, slots=True)
class Explain:
    """Why does this context get what it gets?

    Attributes:
        context_json: UTF-8 JSON, {"units": {"user": "u-1"}, "attributes": {...}}.
    """

    flag: str
    context_json: str
    at: At = NOW


@dataclass(frozen=True, slots=True)
class Explained:
    """The decision and the way to it.

    Attributes:
        decision_json: fixed field order; byte for byte the same at the same revision, forever.
    """

    decision_json: str
    steps: tuple[Step, ...]
    position: Position


async def explain(environment: Environment, question: Explain) -> Explained:
    """Decide and tell.

    Raises:
        InvalidInput: the context does not parse.
        NotFound: the flag does not exist at that point, or the point is not kept.
        Unavailable: the store is away, and the point is not in memory.
    """
    try:
        context = from_json(question.context_json)
    except ValueError as error:
        hint = 'write it like {"units": {"user": "u-1"}, "attributes": {"country": "TH"}}'
        raise InvalidInput([Problem("", "context", "bad_context", str(error), hint)]) from None
    moment = await environment.moment(question.at)
    position = moment.state.position
    if question.flag not in moment.ruleset.flags:
        raise NotFound("flag", cut(question.flag), did_you_mean(question.flag, moment.ruleset.flags))
    # Never stale: this is what the environment itself says, not what some process last heard of it.
    origin = Origin(position.epoch, position.revision, stale=False)
    told = engine.explain(moment.compiled, origin, question.flag, context)
    return Explained(decision_json(told.decision), told.steps, position)
