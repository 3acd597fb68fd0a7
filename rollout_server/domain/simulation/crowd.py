"""Which audiences people are in, as a simulation needs it: shares, not keys."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.conditions import compile_condition
from rollout_sdk.engine.model import Position, Ruleset
from rollout_server.domain.simulation.replay import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Cohort
    from rollout_server.domain.rollouts import PipelineSpec


def supposed(pipeline: PipelineSpec, share: float) -> tuple[Group, ...]:
    """Return one group that is in every audience but everyone's, where nobody said who is.

    Args:
        pipeline: whose stages.
        share: of all users, 0 to 1.
    """
    places = frozenset(at for at, stage in enumerate(pipeline.stages) if stage.audience is not None)
    return (Group(share, places),) if places else ()


def counted(pipeline: PipelineSpec, cohorts: Mapping[str, Cohort], population: Iterable[Context]) -> tuple[Group, ...]:
    """Return the groups of a population, by the engine's own conditions; nobody in none of them is a group.

    Args:
        pipeline: whose stages.
        cohorts: those that audiences name, and those that these name.
        population: contexts.
    """
    compiled = compile_ruleset(Ruleset(Position("", 0), {}, cohorts, {}))
    members = {key: cohort.asked for key, cohort in compiled.cohorts.items()}
    audiences = {
        at: compile_condition(stage.audience, members)
        for at, stage in enumerate(pipeline.stages)
        if stage.audience is not None
    }
    counts: Counter[frozenset[int]] = Counter()
    for context in population:
        counts[frozenset(at for at, asked in audiences.items() if asked(context) is True)] += 1
    total = counts.total()
    return tuple(Group(count / total, places) for places, count in counts.most_common() if places)
