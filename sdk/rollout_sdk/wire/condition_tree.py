"""The condition tree between its message and the model.

Reading is bounded twice: by depth and by nodes, so that a hostile tree costs neither stack nor time.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import check_leaf
from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not, OnMissing
from rollout_sdk.wire.json_values import read_json, write_json
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Condition, Json, Operand

DEPTH_MAX = limits.READERS_FACTOR * limits.CONDITION_DEPTH
NODES_MAX = limits.READERS_FACTOR * limits.CONDITION_NODES
VALUES_MAX = limits.READERS_FACTOR * limits.VALUES_PER_OPERAND
OPERAND_BYTES_MAX = 8 * 1024 * 1024
"""Of JSON text. Not a maker's limit: it only bounds what a hostile record costs before its values are counted."""

_SHARED_LEAVES_MAX = 4_096
_SHARED_BYTES_MAX = 512
"""Larger leaves are an object each: what is kept outlives its ruleset."""

_NOT = "not"  # a word of Python: the field is reached by name only

_TO_WIRE = {
    OnMissing.UNKNOWN: resources_pb2.ON_MISSING_UNSPECIFIED,
    OnMissing.MATCH: resources_pb2.ON_MISSING_MATCH,
    OnMissing.NO_MATCH: resources_pb2.ON_MISSING_NO_MATCH,
}
_FROM_WIRE = {wire: model for model, wire in _TO_WIRE.items()}


def write_condition(condition: Condition) -> resources_pb2.Condition:
    """Return the message of a tree."""
    match condition:
        case All(conditions):
            return resources_pb2.Condition(all=_write_list(conditions))
        case Any(conditions):
            return resources_pb2.Condition(any=_write_list(conditions))
        case Not(inner):
            message = resources_pb2.Condition()
            getattr(message, _NOT).CopyFrom(write_condition(inner))
            return message
        case InCohort(cohort):
            return resources_pb2.Condition(cohort=cohort)
        case Leaf():
            return resources_pb2.Condition(leaf=_write_leaf(condition))
        case _:
            assert_never(condition)


def _write_list(conditions: Iterable[Condition]) -> resources_pb2.ConditionList:
    return resources_pb2.ConditionList(conditions=[write_condition(condition) for condition in conditions])


def _write_leaf(leaf: Leaf) -> resources_pb2.Leaf:
    message = resources_pb2.Leaf(
        operator=leaf.operator,
        operand_json=write_json(leaf.operand),
        ignore_case=leaf.ignore_case,
        on_missing=_TO_WIRE[leaf.on_missing],
    )
    if leaf.is_unit:
        message.unit = leaf.subject
    else:
        message.attribute = leaf.subject
    return message


class ConditionReader:
    """Reads the trees of one record."""

    def read(self, message: resources_pb2.Condition, path: str) -> Condition:
        """Return the model of one tree.

        Raises:
            WireError: an empty node, an unknown operator, a misshapen operand, or a tree beyond the limits.
        """
        self._nodes_left = NODES_MAX
        return self._node(message, path, 1)

    def _node(self, message: resources_pb2.Condition, path: str, depth: int) -> Condition:
        self._nodes_left -= 1
        if depth > DEPTH_MAX:
            raise WireError(f"{path}: conditions nest deeper than {DEPTH_MAX}")
        if self._nodes_left < 0:
            raise WireError(f"{path}: a condition has more than {NODES_MAX} nodes")
        match message.WhichOneof("node"):
            case "all":
                return All(self._list(message.all, f"{path}.all", depth))
            case "any":
                return Any(self._list(message.any, f"{path}.any", depth))
            case "not":
                inner: resources_pb2.Condition = getattr(message, _NOT)
                return Not(self._node(inner, f"{path}.not", depth + 1))
            case "cohort":
                if not message.cohort:
                    raise WireError(f"{path}.cohort: names no cohort")
                return InCohort(message.cohort)
            case "leaf":
                return _read_leaf(message.leaf, path)
            case _:
                raise WireError(f"{path}: a condition of a kind that this release does not know")

    def _list(self, message: resources_pb2.ConditionList, path: str, depth: int) -> tuple[Condition, ...]:
        return tuple(self._node(inner, f"{path}[{index}]", depth + 1) for index, inner in enumerate(message.conditions))


def _read_leaf(message: resources_pb2.Leaf, path: str) -> Leaf:
    """Read a leaf; equal small ones are one object, for the same few stand in many flags."""
    if message.ByteSize() <= _SHARED_BYTES_MAX:
        with suppress(WireError):  # which is raised again below, with the path
            return _shared_leaf(message.SerializeToString(deterministic=True))
    return _new_leaf(message, path)


@lru_cache(maxsize=_SHARED_LEAVES_MAX)
def _shared_leaf(data: bytes) -> Leaf:
    return _new_leaf(resources_pb2.Leaf.FromString(data), "")


def _new_leaf(message: resources_pb2.Leaf, path: str) -> Leaf:
    subject_kind = message.WhichOneof("subject")
    subject = message.unit if subject_kind == "unit" else message.attribute
    if not subject:
        raise WireError(f"{path}: a leaf names neither attribute nor unit")
    on_missing = _FROM_WIRE.get(message.on_missing)
    if on_missing is None:
        raise WireError(f"{path}: on_missing {message.on_missing} is unknown to this release")
    leaf = Leaf(
        subject=subject,
        operator=message.operator,
        operand=_operand(read_json(message.operand_json, f"{path}: the operand", OPERAND_BYTES_MAX), path),
        is_unit=subject_kind == "unit",
        ignore_case=message.ignore_case,
        on_missing=on_missing,
    )
    fault = check_leaf(leaf, limits.READERS_FACTOR)
    if fault is not None:
        raise WireError(f"{path}: {fault.message}")
    return leaf


def _operand(value: Json, path: str, depth: int = 1) -> Operand:
    if isinstance(value, list):
        if depth > 1:
            raise WireError(f"{path}: an operand holds a list in a list")
        if len(value) > VALUES_MAX:
            raise WireError(f"{path}: an operand has {len(value)} values")
        return tuple(_operand(item, path, depth + 1) for item in value)
    if value is None or isinstance(value, dict):
        raise WireError(f"{path}: an operand is neither scalar nor list")
    return value
