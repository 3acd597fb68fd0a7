"""Plan: the exact preview of a change, with everybody who moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Origin
from rollout_server.app.contexts import read_contexts
from rollout_server.app.documents import read_documents
from rollout_server.app.moments import NOW, At
from rollout_server.app.plan_warnings import warnings_of
from rollout_server.app.publish import unsupported
from rollout_server.domain import plan as domain
from rollout_server.domain.policy import demands
from rollout_server.domain.population import Tally, units_of
from rollout_server.domain.synthetic import members_of, synthetic
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Position
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.app.moments import Moment
    from rollout_server.domain.changes import Demand
    from rollout_server.domain.diff import ResourceChange
    from rollout_server.domain.plan import Dependent
    from rollout_server.domain.population import FlagMoves, Move
    from rollout_server.domain.resources import ResourceId

SYNTHETIC_COUNT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """What would happen if these documents were applied?

    Attributes:
        at: compare with this point instead of now; such a plan cannot be applied.
        synthetic_count: without a population, this many contexts made from the flags' own conditions, at most
            `SYNTHETIC_COUNT_MAX`.
        moves_limit: at most this many moves per flag are listed; all are counted.
    """

    documents: tuple[Document, ...]
    prune: bool = False
    at: At = NOW
    synthetic_count: int = 0
    moves_limit: int = 100


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The plan, counted over its population.

    Attributes:
        hash: SHA-256 over the changes and every version read, lowercase hex; empty where it cannot be applied.
        reads: version of everything the plan rests on; 0: did not exist.
        shrinks: True only by structural proof.
        growth: per flag, why the proof failed.
        population: contexts that were counted.
        unsupported: connected SDKs that cannot evaluate what this publishes.
        demands: who must approve before it is applied.
    """

    hash: str
    position: Position
    changes: tuple[ResourceChange, ...]
    dependents: tuple[Dependent, ...]
    reads: Mapping[ResourceId, int]
    shrinks: bool
    growth: tuple[str, ...]
    moves: tuple[FlagMoves, ...]
    population: int
    population_is_synthetic: bool
    unsupported: tuple[str, ...]
    warnings: tuple[str, ...]
    demands: tuple[Demand, ...]


class PlanSession:
    """A plan while its population is streamed in. For one thread at a time, any thread."""

    def __init__(
        self, question: PlanQuestion, moment: Moment, planned: domain.Plan, fleet: Fleet, warnings: tuple[str, ...]
    ) -> None:
        """Compile both sides; see `open_plan`."""
        self._question = question
        self._moment = moment
        self._planned = planned
        self._warnings = warnings
        self._unsupported = unsupported(planned, fleet)
        before, after = planned.rulesets
        origin = Origin(before.position.epoch, before.position.revision)
        deciders = moment.compiled.bind(origin), compile_ruleset(after, moment.compiled).bind(origin)
        self._tally = Tally(*deciders, units_of(planned.flags, before, after))
        self._listed: Counter[str] = Counter()

    def feed(self, contexts_json: Iterable[str]) -> tuple[Move, ...]:
        """Decide each context before and after; return the moves to list, within the limit per flag.

        Raises:
            InvalidInput: contexts that do not parse, by their number in the whole population, counted from 1.
        """
        return self._count(read_contexts(contexts_json, self._tally.population + 1))

    def finish(self) -> tuple[tuple[Move, ...], PlanResult]:
        """Return the moves still to list (those of a synthetic population) and the summary."""
        is_synthetic = not self._tally.population
        moves: tuple[Move, ...] = ()
        if is_synthetic:
            count = min(self._question.synthetic_count, SYNTHETIC_COUNT_MAX)
            members = members_of(self._planned.after)
            moves = self._count(synthetic(self._planned.rulesets, self._planned.flags, members, count))
        planned, counted = self._planned, self._tally.result()
        result = PlanResult(
            hash=planned.hash if self._question.at == NOW else "",
            position=self._moment.state.position,
            changes=planned.changes,
            dependents=planned.dependents,
            reads=planned.reads,
            shrinks=planned.proof.proven,
            growth=planned.proof.growth,
            moves=counted,
            population=self._tally.population,
            population_is_synthetic=is_synthetic,
            unsupported=self._unsupported,
            warnings=self._warnings,
            demands=demands(self._moment.state, planned),
        )
        return moves, result

    def _count(self, contexts: Iterable[Context]) -> tuple[Move, ...]:
        listed: list[Move] = []
        for context in contexts:
            for move in self._tally.add(context):
                if self._listed[move.flag] < self._question.moves_limit:
                    self._listed[move.flag] += 1
                    listed.append(move)
        return tuple(listed)


async def open_plan(environment: Environment, question: PlanQuestion, fleet: Fleet) -> PlanSession:
    """Read and validate the documents, and compile both sides.

    Raises:
        InvalidInput: a document is wrong, or they do not fit what stands.
        NotFound: the point of history is not kept.
        Unavailable: the store is away, and the point is not in memory.
    """
    now_ms = environment.clock.now_ms()
    specs = await asyncio.to_thread(read_documents, question.documents)
    moment = await environment.moment(question.at)
    wish = domain.Wish(specs.resources, question.prune, origins=specs.origins, environments=environment.environments)
    planned = await asyncio.to_thread(domain.plan, moment.state, wish, moment.ruleset)
    if planned.problems:
        raise InvalidInput(planned.problems)
    warnings = warnings_of(planned, moment.state, environment.name, now_ms)
    return await asyncio.to_thread(PlanSession, question, moment, planned, fleet, warnings)


async def plan(environment: Environment, question: PlanQuestion, fleet: Fleet) -> PlanResult:
    """Answer without a given population; raises as `open_plan`."""
    session = await open_plan(environment, question, fleet)
    return (await asyncio.to_thread(session.finish))[1]
