"""Read decisions.json: flags, cohorts, rollouts and conditions in the words of files, without the server's reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any as Parsed

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Decision,
    Flag,
    FlagState,
    InCohort,
    Leaf,
    Not,
    OnMissing,
    Operand,
    Position,
    Reach,
    Requirement,
    RolloutState,
    Rule,
    Ruleset,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)

DECISIONS: dict[str, Parsed] = json.loads(Path(__file__).with_name("decisions.json").read_text(encoding="utf-8"))
_MODIFIERS = {"attribute", "unit", "ignore_case", "on_missing"}


def condition(document: Mapping[str, Parsed]) -> Condition:
    if "all" in document:
        return All(tuple(condition(part) for part in document["all"]))
    if "any" in document:
        return Any(tuple(condition(part) for part in document["any"]))
    if "not" in document:
        return Not(condition(document["not"]))
    if "cohort" in document:
        return InCohort(document["cohort"])
    (name,) = document.keys() - _MODIFIERS
    return Leaf(
        document["unit"] if "unit" in document else document["attribute"],
        name,
        _operand(document[name]),
        is_unit="unit" in document,
        ignore_case=document.get("ignore_case", False),
        on_missing=OnMissing(document.get("on_missing", "unknown")),
    )


def _operand(value: Parsed) -> Operand:
    return tuple(_operand(member) for member in value) if isinstance(value, list) else value


def context(document: Mapping[str, Parsed]) -> Context:
    return Context.of(document.get("units", {}), document.get("attributes", {}))


def cohorts(documents: Mapping[str, Parsed]) -> dict[str, Cohort]:
    return {
        key: Cohort(
            key,
            key_set(spec.get("include", [])),
            key_set(spec.get("exclude", [])),
            spec["unit"],
            condition(spec["when"]) if "when" in spec else None,
        )
        for key, spec in documents.items()
    }


def flag(key: str, spec: Mapping[str, Parsed]) -> Flag:
    return Flag(
        key=key,
        type=ValueType(spec["type"]),
        variants=tuple(Variant(name, value) for name, value in spec["variants"].items()),
        off=spec["off"],
        default=spec["default"],
        salt=salt16(key),
        unit=spec["unit"],
        never=tuple(condition(each) for each in spec.get("never", [])),
        requires=tuple(Requirement(each["flag"], tuple(each["variants"])) for each in spec.get("requires", [])),
        targets=tuple(Target(variant, tuple(units)) for variant, units in spec.get("targets", {}).items()),
        rules=tuple(_rule(each) for each in spec.get("rules", [])),
    )


def _rule(document: Mapping[str, Parsed]) -> Rule:
    outcome: Serve | Split | ByRollout
    if "serve" in document:
        outcome = Serve(document["serve"])
    elif "rollout" in document:
        outcome = ByRollout(document["rollout"])
    else:
        outcome = Split(tuple(Weight(variant, share_ppm) for variant, share_ppm in document["split_ppm"].items()))
    return Rule(document["id"], outcome, condition(document["when"]) if "when" in document else None)


def rollout(key: str, spec: Mapping[str, Parsed]) -> RolloutState:
    return RolloutState(
        rollout=key,
        flag=spec["flag"],
        run=spec["run"],
        from_variant=spec["from"],
        to_variant=spec["to"],
        salt=salt16(key),
        unit=spec["unit"],
        reaches=tuple(_reach(each) for each in spec["reaches"]),
        never=tuple(condition(each) for each in spec.get("never", [])),
        allocation=spec["allocation"],
    )


def _reach(document: Mapping[str, Parsed]) -> Reach:
    audience = condition(document["audience"]) if "audience" in document else None
    return Reach(document["stage"], document["share_ppm"], audience)


def exposure(decision: Decision) -> list[Parsed] | None:
    """What a rollout says in a decision, as `exposure` is written in the cases; None where no rollout answered."""
    if decision.rollout is None:
        return None
    arm = decision.arm.value if decision.arm is not None else None
    return [decision.rollout, decision.run, decision.stage, arm, decision.allocation, decision.reach_ppm]


def ruleset(document: Mapping[str, Parsed]) -> Ruleset:
    return Ruleset(
        Position("vectors", 1),
        {key: flag(key, spec) for key, spec in document["flags"].items()},
        cohorts(document.get("cohorts", {})),
        {key: FlagState(key, killed=True) for key in document.get("killed", [])},
        rollouts={key: rollout(key, spec) for key, spec in document.get("rollouts", {}).items()},
    )
