"""Conditions between files and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not, OnMissing
from rollout_server.domain.files import paths
from rollout_server.domain.files.operators import SHAPES, TYPE_CLASSES, OperandShape
from rollout_server.domain.files.shape import QUOTE, Reading, describe

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition, Json, Operand

NODES = ("all", "any", "not", "cohort")
SUBJECTS = ("attribute", "unit")
MODIFIERS = ("ignore_case", "on_missing")
WORDS = (*NODES, *SUBJECTS, *MODIFIERS, *SHAPES)

_TREE_HINT = "a condition is one of all, any, not, cohort, or an attribute (or unit) with one operator"
_NOTHING = All(())
_PAIR = 2


def read_condition(reading: Reading, tree: object, path: str) -> Condition:
    """Return the condition; where something is wrong it is noted and anything may be returned."""
    if not isinstance(tree, dict):
        reading.wanted(tree, path, "a condition (a map)")
        return _NOTHING
    known = {word: value for word, value in tree.items() if word in WORDS}
    if len(known) < len(tree):
        is_leaf = any(subject in tree for subject in SUBJECTS)
        what, choice = ("operator", (*SHAPES, *MODIFIERS)) if is_leaf else ("field", (*NODES, *SUBJECTS))
        for word in tree:
            if word not in WORDS:
                reading.unknown(paths.child(path, str(word)), what, word, choice)
    heads = [word for word in known if word in NODES or word in SUBJECTS]
    if len(heads) != 1:
        if heads or len(known) == len(tree):
            found = " and ".join(heads) if heads else "none of them"
            reading.refuse(path, "bad_condition", f"one condition is wanted here, found {found}", _TREE_HINT)
        return _NOTHING
    head = heads[0]
    if head in SUBJECTS:
        return _leaf(reading, known, path, is_unit=head == "unit", complete=len(known) == len(tree))
    for word in known:
        if word != head:
            message = f'"{word}" cannot stand beside "{head}"'
            reading.refuse(paths.child(path, word), "bad_condition", message, _TREE_HINT)
    return _node(reading, head, known[head], paths.child(path, head))


def _node(reading: Reading, head: str, value: object, path: str) -> Condition:
    if head == "cohort":
        return InCohort(reading.key(value, path, "a cohort"))
    if head == "not":
        return Not(read_condition(reading, value, path))
    inner = reading.items(value, path, lambda item, place: read_condition(reading, item, place))
    return All(inner) if head == "all" else Any(inner)


def _leaf(reading: Reading, tree: dict[str, object], path: str, *, is_unit: bool, complete: bool) -> Leaf:
    if is_unit:
        subject = reading.unit_kind(tree["unit"], paths.child(path, "unit"))
    else:
        subject = reading.text(tree["attribute"], paths.child(path, "attribute"), "the path of an attribute")
    operators = [word for word in tree if word in SHAPES]
    operand: Operand = ""
    if len(operators) == 1:
        operand = _operand(reading, SHAPES[operators[0]], tree[operators[0]], paths.child(path, operators[0]))
    elif operators or complete:  # an unknown operator has been noted already
        found = ", ".join(operators) if operators else "none"
        reading.refuse(
            path, "bad_condition", f"exactly one operator is wanted, found {found}", "one of " + ", ".join(SHAPES)
        )
    ignore_case = reading.boolean(tree.get("ignore_case", False), paths.child(path, "ignore_case"))
    on_missing = _on_missing(reading, tree.get("on_missing", "unknown"), paths.child(path, "on_missing"))
    return Leaf(subject, operators[0] if operators else "", operand, is_unit, ignore_case, on_missing)


def _on_missing(reading: Reading, value: object, path: str) -> OnMissing:
    words = [choice.value for choice in OnMissing]
    if value in words:
        return OnMissing(value)
    reading.unknown(path, "choice", value, words)
    return OnMissing.UNKNOWN


def _operand(reading: Reading, shape: OperandShape, value: object, path: str) -> Operand:
    match shape:
        case OperandShape.SCALAR:
            return reading.scalar(value, path)
        case OperandShape.SCALARS:
            return reading.items(value, path, reading.scalar)
        case OperandShape.TEXT:
            return reading.text(value, path)
        case OperandShape.TEXTS:
            return reading.items(value, path, reading.text) if isinstance(value, list) else reading.text(value, path)
        case OperandShape.NUMBER:
            return reading.number(value, path)
        case OperandShape.BOOLEAN:
            return reading.boolean(value, path)
        case OperandShape.TYPE:
            if value is None:
                reading.refuse(path, QUOTE, "the name of a type is wanted, found nothing", 'quote it: "null"')
            elif value not in TYPE_CLASSES:
                reading.unknown(path, "type", value, TYPE_CLASSES)
            return str(value)
        case OperandShape.SIZE if not isinstance(value, list):
            return reading.integer(value, path)
        case OperandShape.NUMBER_PAIR:
            return _pair(reading, shape, value, path, integers=False)
        case OperandShape.INTEGER_PAIR | OperandShape.SIZE:
            return _pair(reading, shape, value, path, integers=True)


def _pair(reading: Reading, shape: OperandShape, value: object, path: str, *, integers: bool) -> Operand:
    if not isinstance(value, list) or len(value) != _PAIR:
        found = f"a list of {len(value)}" if isinstance(value, list) else describe(value)
        reading.refuse(path, "wrong_type", f"{shape.value} is wanted, found {found}", f"write {shape.value}")
        return ()
    return reading.items(value, path, reading.integer if integers else reading.number)


def write_condition(condition: Condition) -> dict[str, Json]:
    """Return the map that `read_condition` reads as the same condition."""
    match condition:
        case All(inner):
            return {"all": [write_condition(one) for one in inner]}
        case Any(inner):
            return {"any": [write_condition(one) for one in inner]}
        case Not(inner):
            return {"not": write_condition(inner)}
        case InCohort(cohort):
            return {"cohort": cohort}
        case Leaf():
            tree: dict[str, Json] = {"unit" if condition.is_unit else "attribute": condition.subject}
            tree[condition.operator] = _write_operand(condition.operand)
            if condition.ignore_case:
                tree["ignore_case"] = True
            if condition.on_missing is not OnMissing.UNKNOWN:
                tree["on_missing"] = condition.on_missing.value
            return tree


def _write_operand(operand: Operand) -> Json:
    return [_write_operand(one) for one in operand] if isinstance(operand, tuple) else operand
