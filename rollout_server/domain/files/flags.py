"""A flag's spec between files and the model, with the defaults that let a boolean flag be two lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import UNIT_KEY_BYTES
from rollout_sdk.engine.model import (
    DEFAULT_UNIT,
    LAW_1,
    PPM,
    ByRollout,
    Json,
    Requirement,
    Rule,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)
from rollout_server.domain.files import paths, percent
from rollout_server.domain.files.conditions import read_condition, write_condition
from rollout_server.domain.files.fields import unique
from rollout_server.domain.files.rollouts import read_never, read_salt, write_never
from rollout_server.domain.files.values import infer_type, read_value
from rollout_server.domain.resources import FlagSpec

if TYPE_CHECKING:
    from rollout_server.domain.files.shape import Reading

FLAG_FIELDS = ("unit", "type", "variants", "off", "default", "salt", "never", "requires", "targets", "rules")
RULE_FIELDS = ("id", "when", "serve", "split", "rollout")
OUTCOMES = ("serve", "split", "rollout")
REQUIREMENT_FIELDS = ("flag", "variants")
TYPES = tuple(kind.value for kind in ValueType)

BOOLEAN_VARIANTS = (Variant("on", True), Variant("off", False))
OFF = "off"


def read_flag(reading: Reading, tree: object) -> FlagSpec:
    """Read a flag's spec; where something is wrong it is noted and the result is not to be used."""
    fields = reading.fields(tree, "spec", FLAG_FIELDS, "the spec of a flag")
    value_type = _type(reading, fields)
    variants = _variants(reading, fields, value_type)
    if value_type is None:
        value_type = infer_type(reading, variants, "spec.variants")
        if value_type is ValueType.FLOAT:  # 1 beside 2.5 is 1.0: a decision never carries another type
            variants = _variants(reading, fields, value_type)
    off = _off(reading, fields, variants)
    return FlagSpec(
        type=value_type,
        variants=variants,
        off=off,
        default=reading.variant(fields["default"], "spec.default") if "default" in fields else off,
        unit=reading.unit_kind(fields.get("unit", DEFAULT_UNIT), "spec.unit"),
        never=read_never(reading, fields.get("never", []), "spec.never"),
        requires=reading.items(
            fields.get("requires", []), "spec.requires", lambda one, path: _requirement(reading, one, path)
        ),
        targets=_targets(reading, fields.get("targets", {})),
        rules=reading.items(fields.get("rules", []), "spec.rules", lambda one, path: _rule(reading, one, path)),
        salt=read_salt(reading, fields["salt"], "spec.salt") if "salt" in fields else "",
    )


def _type(reading: Reading, fields: dict[str, object]) -> ValueType | None:
    if "type" not in fields:
        return None if "variants" in fields else ValueType.BOOLEAN
    if fields["type"] in TYPES:
        return ValueType(fields["type"])
    reading.unknown("spec.type", "type", fields["type"], TYPES)
    return None


def _variants(reading: Reading, fields: dict[str, object], value_type: ValueType | None) -> tuple[Variant, ...]:
    if "variants" not in fields:
        if value_type not in (ValueType.BOOLEAN, None):
            reading.required(fields, "spec.variants", "variants", "write variants: {name: value, ...}")
        return BOOLEAN_VARIANTS
    tree = fields["variants"]
    if not isinstance(tree, dict) or not tree:
        reading.wanted(tree, "spec.variants", "a map of at least one variant to its value")
        return ()
    found = []
    for name, value in tree.items():
        path = paths.child("spec.variants", str(name))
        found.append(Variant(reading.name(reading.variant, name, path), read_value(reading, value, path, value_type)))
    return tuple(found)


def _off(reading: Reading, fields: dict[str, object], variants: tuple[Variant, ...]) -> str:
    if "off" in fields:
        return reading.variant(fields["off"], "spec.off")
    if variants and all(variant.key != OFF for variant in variants):
        reading.required(fields, "spec.off", "off", "say which variant everybody gets when the flag is killed")
    return OFF


def _requirement(reading: Reading, tree: object, path: str) -> Requirement:
    fields = reading.fields(tree, path, REQUIREMENT_FIELDS, "a requirement")
    flag = ""
    variants: tuple[str, ...] = ()
    if isinstance(tree, dict):
        if reading.required(tree, paths.child(path, "flag"), "flag", "name the flag that must decide first"):
            flag = reading.key(fields["flag"], paths.child(path, "flag"), "a flag")
        place = paths.child(path, "variants")
        if reading.required(tree, place, "variants", 'list the variants that will do, like ["on"]'):
            variants = reading.items(fields["variants"], place, reading.variant)
    return Requirement(flag, variants)


def _targets(reading: Reading, tree: object) -> tuple[Target, ...]:
    if not isinstance(tree, dict):
        reading.wanted(tree, "spec.targets", "a map of variants to lists of units")
        return ()
    found = []
    for name, units in tree.items():
        path = paths.child("spec.targets", str(name))
        keys = reading.texts(units, path, "the key of a unit", characters_max=UNIT_KEY_BYTES)
        found.append(Target(reading.name(reading.variant, name, path), keys))
    return tuple(found)


def _rule(reading: Reading, tree: object, path: str) -> Rule:
    fields = reading.fields(tree, path, RULE_FIELDS, "a rule")
    if not isinstance(tree, dict):
        return Rule("", Serve(""))
    identity = ""
    if reading.required(
        tree, paths.child(path, "id"), "id", "name the rule: its name appears in every decision it makes"
    ):
        identity = reading.key(fields["id"], paths.child(path, "id"), "a rule")
    when = read_condition(reading, fields["when"], paths.child(path, "when")) if "when" in fields else None
    outcomes = [name for name in OUTCOMES if name in fields]
    if len(outcomes) != 1:
        found = " and ".join(outcomes) if outcomes else "none of them"
        hint = 'write serve: "on", or split: {"on": 25%, "off": 75%}, or rollout: KEY'
        reading.refuse(path, "bad_rule", f"a rule has one of serve, split and rollout, this has {found}", hint)
    if outcomes == ["split"]:
        return Rule(identity, _split(reading, fields["split"], paths.child(path, "split")), when)
    if outcomes == ["rollout"]:
        return Rule(
            identity, ByRollout(reading.key(fields["rollout"], paths.child(path, "rollout"), "a rollout")), when
        )
    served = reading.variant(fields["serve"], paths.child(path, "serve")) if "serve" in fields else ""
    return Rule(identity, Serve(served), when)


def _split(reading: Reading, tree: object, path: str) -> Split:
    if not isinstance(tree, dict) or not tree:
        reading.wanted(tree, path, "a map of variants to percentages")
        return Split(())
    before = len(reading.problems)
    weights = []
    for name, share in tree.items():
        place = paths.child(path, str(name))
        weights.append(Weight(reading.name(reading.variant, name, place), reading.share(share, place)))
    total_ppm = sum(weight.share_ppm for weight in weights)
    if total_ppm != PPM and len(reading.problems) == before:
        more_ppm = PPM - total_ppm
        missing = f"{percent.show(more_ppm)} is missing" if more_ppm > 0 else f"{percent.show(-more_ppm)} too much"
        message = f"the shares add up to {percent.show(total_ppm)}, not to 100%"
        reading.refuse(path, "bad_sum", message, missing)
    return Split(tuple(weights))


def write_flag(spec: FlagSpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out.

    Raises:
        ValueError: the spec holds what no file can say, such as a split of another law.
    """
    tree: dict[str, Json] = {}
    if spec.unit != DEFAULT_UNIT:
        tree["unit"] = spec.unit
    if spec.type is not ValueType.BOOLEAN:
        tree["type"] = spec.type.value
    if spec.type is not ValueType.BOOLEAN or spec.variants != BOOLEAN_VARIANTS:
        tree["variants"] = unique((variant.key, variant.value) for variant in spec.variants)
    if spec.off != OFF or all(variant.key != OFF for variant in spec.variants):
        tree["off"] = spec.off
    if spec.default != spec.off:
        tree["default"] = spec.default
    if spec.salt:
        tree["salt"] = spec.salt
    if spec.never:
        tree["never"] = write_never(spec.never)
    if spec.requires:
        tree["requires"] = [{"flag": one.flag, "variants": list(one.variants)} for one in spec.requires]
    if spec.targets:
        tree["targets"] = unique((target.variant, list(target.units)) for target in spec.targets)
    if spec.rules:
        tree["rules"] = [_write_rule(rule) for rule in spec.rules]
    return tree


def _write_rule(rule: Rule) -> Json:
    tree: dict[str, Json] = {"id": rule.id}
    if rule.when is not None:
        tree["when"] = write_condition(rule.when)
    match rule.outcome:
        case Serve(variant):
            tree["serve"] = variant
        case Split(weights, law):
            if law != LAW_1:
                message = f"a split of law {law} cannot be written: files know law {LAW_1}"
                raise ValueError(message)
            tree["split"] = unique((weight.variant, percent.show(weight.share_ppm)) for weight in weights)
        case ByRollout(rollout):
            tree["rollout"] = rollout
    return tree
