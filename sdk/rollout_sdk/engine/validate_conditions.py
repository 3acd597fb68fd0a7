"""One condition: its size, its leaves, the names in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.conditions import check_leaf
from rollout_sdk.engine.findings import child
from rollout_sdk.engine.model import All, Any, InCohort, Leaf, Not
from rollout_sdk.engine.names import unit_kind_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort, Condition

_SUBJECT_CODES = frozenset({"bad_subject"})


def check_condition(findings: Findings, condition: Condition, path: str) -> None:
    """Note everything that is wrong with a condition, apart from what it refers to."""
    for nodes, (node, place, depth) in enumerate(places(condition, path), start=1):
        if nodes > limits.CONDITION_NODES:
            findings.add(
                path,
                "too_many",
                f"at most {limits.CONDITION_NODES:,} parts in one condition, this one has more",
                "name parts of it as cohorts",
            )
            return
        if depth == limits.CONDITION_DEPTH + 1:  # what lies below is not looked at, see `places`
            findings.add(
                place,
                "too_deep",
                f"at most {limits.CONDITION_DEPTH} levels in one condition, this part lies deeper",
                "name an inner part as a cohort",
            )
        elif isinstance(node, Leaf):
            _check_leaf(findings, node, place)


def check_cohorts(findings: Findings, condition: Condition | None, path: str, cohorts: Mapping[str, Cohort]) -> None:
    """Note every cohort that a condition names and that does not exist."""
    for node, place, _ in places(condition, path) if condition is not None else ():
        if isinstance(node, InCohort) and node.cohort not in cohorts:
            findings.unknown(f"{place}.cohort", "cohort", node.cohort, cohorts)


def _check_leaf(findings: Findings, leaf: Leaf, place: str) -> None:
    fault = unit_kind_fault(leaf.subject) if leaf.is_unit else ""
    if fault:
        findings.add(
            child(place, "unit"), "bad_unit", f"this is no kind of unit: {fault}", "use a-z, 0-9, '.', '_', '-'"
        )
    found = check_leaf(leaf)
    if found is None or (fault and found.code in _SUBJECT_CODES):
        return
    if found.code == "unknown_operator":
        step = ""
    elif found.code in _SUBJECT_CODES:
        step = "unit" if leaf.is_unit else "attribute"
    else:
        step = "ignore_case" if found.code == "bad_ignore_case" else leaf.operator
    findings.add(child(place, step) if step else place, found.code, found.message, found.hint)


def places(condition: Condition, path: str) -> Iterator[tuple[Condition, str, int]]:
    """Yield each part with its place in the document and its level, top first, to one level below the limit."""
    stack = [(condition, path, 1)]
    while stack:
        node, place, depth = stack.pop()
        yield node, place, depth
        if depth > limits.CONDITION_DEPTH:
            continue
        match node:
            case All(conditions=parts) | Any(conditions=parts):
                inside = child(place, "all" if isinstance(node, All) else "any")
                stack.extend((part, child(inside, at), depth + 1) for at, part in reversed(list(enumerate(parts))))
            case Not(condition=part):
                stack.append((part, child(place, "not"), depth + 1))
            case InCohort() | Leaf():
                pass
