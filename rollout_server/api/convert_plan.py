"""Plans on the wire: what would change, and who would move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api.convert_control import at_of, documents_of, resource_change
from rollout_server.app.plan import PlanQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_server.app.plan import PlanResult
    from rollout_server.domain.changes import Demand
    from rollout_server.domain.population import FlagMoves, Move

MOVES_AT_ONCE = 1_000
_MOVES_DEFAULT = 100


def plan_question(message: pb.PlanQuestion) -> PlanQuestion:
    """Read the question."""
    return PlanQuestion(
        documents=documents_of(message.documents),
        prune=message.prune,
        at=at_of(message.at),
        synthetic_count=message.synthetic_count,
        moves_limit=message.moves_limit or _MOVES_DEFAULT,
    )


def move_batches(moves: Sequence[Move]) -> Iterator[pb.PlanResponse]:
    """Write moves, some at a time."""
    for first in range(0, len(moves), MOVES_AT_ONCE):
        batch = [move(one) for one in moves[first : first + MOVES_AT_ONCE]]
        yield pb.PlanResponse(moves=pb.MoveBatch(moves=batch))


def plan_summary(result: PlanResult) -> pb.PlanResponse:
    """Write the last message of a plan."""
    return pb.PlanResponse(
        summary=pb.PlanSummary(
            hash=result.hash,
            position=write_position(result.position),
            changes=[resource_change(change) for change in result.changes],
            dependents=[pb.Dependent(id=str(one.id), because=one.because) for one in result.dependents],
            reads={str(id_): version for id_, version in result.reads.items()},
            shrinks=result.shrinks,
            growth=result.growth,
            moves=[_flag_moves(one) for one in result.moves],
            population=result.population,
            population_is_synthetic=result.population_is_synthetic,
            unsupported=result.unsupported,
            warnings=result.warnings,
            approvals=[demand(one) for one in result.demands],
        )
    )


def demand(one: Demand) -> pb.Demand:
    """Write who must agree."""
    return pb.Demand(group=one.group, count=one.count, people=one.people, because=one.because)


def move(one: Move) -> pb.Move:
    """Write one unit that changes variant."""
    return pb.Move(
        flag=one.flag,
        unit_kind=one.unit_kind,
        unit_key=one.unit_key,
        variant_before=one.variant_before or "",
        variant_after=one.variant_after or "",
        reason_before=one.reason_before.value,
        reason_after=one.reason_after.value,
        rule_before=one.rule_before or "",
        rule_after=one.rule_after or "",
    )


def _flag_moves(one: FlagMoves) -> pb.FlagMoves:
    return pb.FlagMoves(
        flag=one.flag,
        moved=one.moved,
        by_variant=[
            pb.VariantMove(
                variant_before=each.variant_before or "", variant_after=each.variant_after or "", count=each.count
            )
            for each in one.by_variant
        ],
        never_count=one.never_count,
    )
