"""Populations as callers send them: contexts in JSON, each named by its number where it does not parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.context import from_json
from rollout_sdk.engine.problems import Problem
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.context import Context

_PROBLEMS_MAX = 100


def read_contexts(contexts_json: Iterable[str], first: int) -> list[Context]:
    """Return the contexts.

    Args:
        contexts_json: one context each.
        first: number of the first in the whole population, counted from 1.

    Raises:
        InvalidInput: some do not parse; "population[7]" names the seventh.
    """
    contexts: list[Context] = []
    problems: list[Problem] = []
    for number, text in enumerate(contexts_json, start=first):
        try:
            contexts.append(from_json(text))
        except ValueError as error:
            hint = 'each is one context: {"units": {"user": "u-1"}, "attributes": {"country": "TH"}}'
            problems.append(Problem("", f"population[{number}]", "bad_context", str(error), hint))
    if problems:
        raise InvalidInput(problems[:_PROBLEMS_MAX])
    return contexts
