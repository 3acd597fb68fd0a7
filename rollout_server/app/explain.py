"""Explain: why a context gets what it gets, now or at any kept point of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.environment import NOW, At

if TYPE_CHECKING:
    from rollout_sdk.engine.explain import Step
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
    """
