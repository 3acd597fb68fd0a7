"""A plan that moves somebody, as the server would answer it."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1.ruleset_pb2 import Position

FLAG_YAML = 'kind: Flag\nmetadata: {key: cart}\nspec: {default: "on"}\n'

CHANGE = pb.ResourceChange(
    kind="Flag",
    key="cart",
    operation=pb.OPERATION_UPDATE,
    version_before=3,
    version_after=3,
    fields=[
        pb.FieldChange(path="spec.default", before_json='"off"', after_json='"on"'),
        pb.FieldChange(path="metadata.owner", after_json='"shop"'),
        pb.FieldChange(path="metadata.description", before_json='"old"'),
    ],
)
SUMMARY = pb.PlanSummary(
    hash="3f9c0de1a2b3c4d5",
    position=Position(epoch="e", revision=7),
    changes=[CHANGE, pb.ResourceChange(kind="Flag", key="same", operation=pb.OPERATION_UNCHANGED)],
    dependents=[pb.Dependent(id="flag/checkout", because="requires flag/cart")],
    reads={"flag/cart": 3, "flag/checkout": 2},
    growth=["flag/cart: everybody gets `on` by default"],
    moves=[
        pb.FlagMoves(
            flag="cart",
            moved=250,
            by_variant=[pb.VariantMove(variant_before="off", variant_after="on", count=250)],
            never_count=3,
        )
    ],
    population=1_000,
    population_is_synthetic=True,
)
MOVES = [
    pb.Move(
        flag="cart",
        unit_kind="user",
        unit_key=key,
        variant_before="off",
        variant_after="on",
        reason_before="no_unit",
        reason_after="default",
    )
    for key in ("u-1", "u-1", "u-2", "u-3", "u-4")
]


def plan(**changes: object) -> list[pb.PlanResponse]:
    """Return the answer: moves, then the summary with these fields set."""
    summary = pb.PlanSummary()
    summary.CopyFrom(SUMMARY)
    for name, value in changes.items():
        summary.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            getattr(summary, name).extend(value)
        elif isinstance(value, dict):
            getattr(summary, name).update(value)
        else:
            setattr(summary, name, value)
    return [pb.PlanResponse(moves=pb.MoveBatch(moves=MOVES)), pb.PlanResponse(summary=summary)]
