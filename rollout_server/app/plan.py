"""Plan: the exact preview of a change, with everybody who moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.environment import NOW, At

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.documents import Document
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
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
        synthetic_count: without a population, this many contexts made from the flags' own conditions.
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
        hash: SHA-256 over the changes and every version read, lowercase hex.
        reads: version of everything the plan rests on; 0: did not exist.
        shrinks: True only by structural proof.
        growth: per flag, why the proof failed.
        unsupported: connected SDKs that cannot evaluate what this publishes.
    """

    hash: str
    position: Position
    changes: tuple[ResourceChange, ...]
    dependents: tuple[Dependent, ...]
    reads: dict[ResourceId, int]
    shrinks: bool
    growth: tuple[str, ...]
    moves: tuple[FlagMoves, ...]
    population: int
    population_is_synthetic: bool
    unsupported: tuple[str, ...]
    warnings: tuple[str, ...]


class PlanSession:
    """A plan while its population is streamed in."""

    def feed(self, contexts_json: Iterable[str]) -> tuple[Move, ...]:
        """Decide each context before and after; return the moves to list, within the limit per flag.

        Raises:
            InvalidInput: a context does not parse; the problem names its number, counted from 1.
        """

    def finish(self) -> tuple[tuple[Move, ...], PlanResult]:
        """Return the moves still to list (those of a synthetic population) and the summary."""


async def open_plan(environment: Environment, question: PlanQuestion, fleet: Fleet) -> PlanSession:
    """Read and validate the documents, and compile both sides.

    Raises:
        InvalidInput: a document is wrong.
        NotFound: the point of history is not kept.
    """


async def plan(environment: Environment, question: PlanQuestion, fleet: Fleet) -> PlanResult:
    """Answer without a given population; raises as `open_plan`."""
