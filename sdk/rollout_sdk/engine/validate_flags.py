"""One flag or cohort by itself: everything that can be wrong without looking at others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine import limits
from rollout_sdk.engine.findings import child, show
from rollout_sdk.engine.model import LAW_1, PPM, ByRollout, Serve, Split
from rollout_sdk.engine.names import key_fault, salt_fault, unit_key_fault, unit_kind_fault, variant_fault
from rollout_sdk.engine.shown import percent
from rollout_sdk.engine.validate_conditions import check_condition
from rollout_sdk.engine.validate_values import check_value

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort, Flag, Rule

_KEY_HINT = "use a-z, 0-9, '.', '_', '-', and begin with a letter or a digit"


def check_flag(findings: Findings, flag: Flag) -> None:
    """Note everything that is wrong with the flag itself."""
    _check_key(findings, "metadata.key", flag.key, "a flag")
    _check_unit(findings, flag.unit)
    fault = salt_fault(flag.salt)
    if fault:
        findings.add("spec.salt", "bad_salt", f"{show(flag.salt)} is no salt: {fault}", "leave it out to get one")
    _check_variants(findings, flag)
    variants = [variant.key for variant in flag.variants]
    for name, variant in (("off", flag.off), ("default", flag.default)):
        _check_variant(findings, f"spec.{name}", variant, variants)
    for at, condition in enumerate(flag.never):
        check_condition(findings, condition, f"spec.never[{at}]")
    findings.too_many("spec.never", len(flag.never), limits.NEVER_PER_FLAG, "conditions", "join some of them by any")
    for at, requirement in enumerate(flag.requires):
        if not requirement.variants:
            message = f"no variant of {show(requirement.flag)} will do, so nobody ever gets more than off"
            findings.add(f"spec.requires[{at}].variants", "empty_list", message, 'list those that will do: ["on"]')
    findings.too_many(
        "spec.requires", len(flag.requires), limits.REQUIRES_PER_FLAG, "requirements", "let one flag stand for several"
    )
    _check_targets(findings, flag, variants)
    _check_rules(findings, flag, variants)


def check_cohort(findings: Findings, cohort: Cohort) -> None:
    """Note everything that is wrong with the cohort itself."""
    _check_key(findings, "metadata.key", cohort.key, "a cohort")
    _check_unit(findings, cohort.unit)
    for name, keys in (("include", cohort.include), ("exclude", cohort.exclude)):
        hint = "describe the members by a condition under `when` instead"
        findings.too_many(f"spec.{name}", keys.count, limits.KEYS_PER_COHORT, "keys in a cohort's list", hint)
    if cohort.when is not None:
        check_condition(findings, cohort.when, "spec.when")
    elif not cohort.include.count:
        message = "the cohort has no include and no when, so nobody can be in it"
        findings.add("spec", "empty_cohort", message, "list keys under include, or write a condition under when")


def _check_key(findings: Findings, path: str, key: str, what: str) -> None:
    fault = key_fault(key)
    if fault:
        findings.add(path, "bad_key", f"{show(key)} cannot be the key of {what}: {fault}", _KEY_HINT)


def _check_unit(findings: Findings, unit: str) -> None:
    fault = unit_kind_fault(unit)
    if fault:
        findings.add("spec.unit", "bad_unit", f"{show(unit)} cannot be a kind of unit: {fault}", _KEY_HINT)


def _check_variants(findings: Findings, flag: Flag) -> None:
    if not flag.variants:
        findings.add("spec.variants", "no_variants", "the flag has no variants", "give at least the one named off")
    limit = limits.VARIANTS_PER_FLAG
    findings.too_many("spec.variants", len(flag.variants), limit, "variants", "split the flag, or use a string's value")
    seen: set[str] = set()
    for variant in flag.variants:
        path = child("spec.variants", variant.key)
        fault = variant_fault(variant.key)
        if fault:
            findings.add(path, "bad_variant", f"{show(variant.key)} cannot name a variant: {fault}", "rename it")
        if variant.key in seen:
            findings.add(path, "duplicate_variant", f"variant {show(variant.key)} appears twice", "keep one")
        seen.add(variant.key)
        check_value(findings, variant.value, flag.type, path)


def _check_variant(findings: Findings, path: str, variant: str, known: Collection[str]) -> None:
    if variant not in known:
        findings.unknown(path, "variant", variant, known)


def _check_targets(findings: Findings, flag: Flag, variants: Collection[str]) -> None:
    seen: dict[str, str] = {}
    named: set[str] = set()
    for target in flag.targets:
        path = child("spec.targets", target.variant)
        _check_variant(findings, path, target.variant, variants)
        if target.variant in named:
            findings.add(path, "duplicate_target", f"the targets of {show(target.variant)} appear twice", "join them")
        named.add(target.variant)
        for at, unit in enumerate(target.units):
            fault = unit_key_fault(unit)
            if fault:
                findings.add(f"{path}[{at}]", "bad_unit_key", f"{show(unit)} names no unit: {fault}", "take it out")
            elif seen.setdefault(unit, target.variant) != target.variant:
                message = f"{show(unit)} is a target of {show(seen[unit])} too, and a unit gets one variant"
                findings.add(f"{path}[{at}]", "duplicate_unit", message, "keep it in one of them")
    count = sum(len(target.units) for target in flag.targets)
    findings.too_many("spec.targets", count, limits.TARGET_UNITS_PER_FLAG, "units", "put the units into a cohort")


def _check_rules(findings: Findings, flag: Flag, variants: Collection[str]) -> None:
    findings.too_many(
        "spec.rules", len(flag.rules), limits.RULES_PER_FLAG, "rules", "join conditions by any, or use cohorts"
    )
    seen: dict[str, int] = {}
    rollouts: dict[str, int] = {}
    for at, rule in enumerate(flag.rules):
        path = f"spec.rules[{at}]"
        _check_key(findings, f"{path}.id", rule.id, "a rule")
        first = seen.setdefault(rule.id, at)
        if first != at:
            message = f"rule {show(rule.id)} is also spec.rules[{first}]; decisions name their rule"
            findings.add(f"{path}.id", "duplicate_rule", message, "give each rule its own id")
        _check_rule(findings, rule, path, variants)
        if isinstance(rule.outcome, ByRollout):
            first = rollouts.setdefault(rule.outcome.rollout, at)
            if first != at:
                message = f"rollout {show(rule.outcome.rollout)} also answers in spec.rules[{first}]"
                findings.add(f"{path}.rollout", "duplicate_rollout", message, "join the two conditions by any")


def _check_rule(findings: Findings, rule: Rule, path: str, variants: Collection[str]) -> None:
    if rule.when is not None:
        check_condition(findings, rule.when, f"{path}.when")
    match rule.outcome:
        case Serve(variant=variant):
            _check_variant(findings, f"{path}.serve", variant, variants)
        case Split() as split:
            _check_split(findings, split, f"{path}.split", variants)
        case ByRollout():
            pass  # what it names is a matter of references


def _check_split(findings: Findings, split: Split, path: str, variants: Collection[str]) -> None:
    if split.law != LAW_1:
        message = f"there is no bucketing law {split.law} here"
        findings.add(path, "unknown_law", message, f"use law {LAW_1}, or a release that knows this one")
    seen: set[str] = set()
    for weight in split.weights:
        place = child(path, weight.variant)
        _check_variant(findings, place, weight.variant, variants)
        if weight.variant in seen:
            findings.add(place, "duplicate_weight", f"{show(weight.variant)} has two shares here", "give it one")
        seen.add(weight.variant)
        if not 0 <= weight.share_ppm <= PPM:
            message = f"a share lies between 0% and 100%, this one is {percent(weight.share_ppm)}"
            findings.add(place, "bad_share", message, "give a share between them")
    total_ppm = sum(weight.share_ppm for weight in split.weights)
    if total_ppm != PPM:
        hint = f"{percent(PPM - total_ppm)} is missing" if total_ppm < PPM else f"{percent(total_ppm - PPM)} too much"
        findings.add(path, "bad_sum", f"the shares add up to {percent(total_ppm)}, not to 100%", hint)
