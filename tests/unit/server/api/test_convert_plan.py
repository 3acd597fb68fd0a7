"""Plans on the wire."""

from __future__ import annotations

from rollout_sdk.engine.model import Reason
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_plan as convert
from rollout_server.domain.population import FlagMoves, Move, VariantMove


def move(number: int) -> Move:
    return Move("checkout", "user", f"u-{number}", None, "on", Reason.UNKNOWN_FLAG, Reason.RULE)


def test_moves_travel_some_at_a_time() -> None:
    """However many there are, a message stays small."""
    batches = list(convert.move_batches([move(number) for number in range(2_500)]))
    assert [len(batch.moves.moves) for batch in batches] == [1_000, 1_000, 500]
    first = batches[0].moves.moves[0]
    assert (first.unit_key, first.variant_before, first.variant_after) == ("u-0", "", "on")
    assert (first.reason_before, first.reason_after) == ("unknown_flag", "rule")
    assert list(convert.move_batches([])) == []


def test_counts_are_told_by_variant() -> None:
    """Variants that do not exist, where callers get their own default, are empty."""
    grown = VariantMove("off", "on", 7, ((Reason.DEFAULT, Reason.RULE, 7),))
    gone = VariantMove("on", None, 1, ((Reason.RULE, Reason.UNKNOWN_FLAG, 1),))
    told = convert._flag_moves(FlagMoves("checkout", 8, (grown, gone), 2))
    assert [(one.variant_before, one.variant_after, one.count) for one in told.by_variant] == [
        ("off", "on", 7),
        ("on", "", 1),
    ]
    assert (told.flag, told.moved, told.never_count) == ("checkout", 8, 2)


def test_a_question_without_a_limit_lists_a_hundred_moves() -> None:
    question = convert.plan_question(pb.PlanQuestion(prune=True, synthetic_count=7))
    assert (question.moves_limit, question.prune, question.synthetic_count) == (100, True, 7)
    assert convert.plan_question(pb.PlanQuestion(moves_limit=5)).moves_limit == 5
