"""Flags between their message and the model.

Readers check all that the engine relies on: names that must exist, kinds that must agree, shares that must add up. A
flag that fails is refused whole and alone.
"""

from __future__ import annotations

import math
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, assert_never

from rollout_sdk.engine import limits
from rollout_sdk.engine.model import (
    DEFAULT_UNIT,
    LAW_1,
    PPM,
    ByRollout,
    Flag,
    Requirement,
    Rule,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)
from rollout_sdk.wire.condition_tree import ConditionReader, write_condition
from rollout_sdk.wire.json_values import read_json, write_json
from rollout_sdk.wire.records import WireError
from rollout_sdk.wire.v1 import resources_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Json

_SHARED_MAX = 1_024
"""Of each kind of small part, so many stand in memory once, however many flags have them."""
_SHARED_PARTS_MAX = 4
"""Variants or weights of what counts as small."""

_TYPE_TO_WIRE = {
    ValueType.BOOLEAN: resources_pb2.VALUE_TYPE_BOOLEAN,
    ValueType.STRING: resources_pb2.VALUE_TYPE_STRING,
    ValueType.INTEGER: resources_pb2.VALUE_TYPE_INTEGER,
    ValueType.FLOAT: resources_pb2.VALUE_TYPE_FLOAT,
    ValueType.JSON: resources_pb2.VALUE_TYPE_JSON,
}
_TYPE_FROM_WIRE = {wire: model for model, wire in _TYPE_TO_WIRE.items()}
_VALUE_FIELD = {
    ValueType.BOOLEAN: "boolean",
    ValueType.STRING: "text",
    ValueType.INTEGER: "integer",
    ValueType.FLOAT: "number",
    ValueType.JSON: "json",
}


def write_flag(flag: Flag) -> resources_pb2.Flag:
    """Return the message of a valid flag.

    Raises:
        TypeError, ValueError: a variant's value is not of the flag's type; validation refuses such a flag before.
    """
    return resources_pb2.Flag(
        key=flag.key,
        type=_TYPE_TO_WIRE[flag.type],
        unit=flag.unit,
        salt=flag.salt,
        variants=[
            resources_pb2.Variant(key=variant.key, value=_write_value(variant.value, flag.type))
            for variant in flag.variants
        ],
        off_variant=flag.off,
        default_variant=flag.default,
        never=[write_condition(condition) for condition in flag.never],
        requires=[resources_pb2.Requirement(flag=need.flag, variants=need.variants) for need in flag.requires],
        targets=[resources_pb2.Target(variant=target.variant, units=target.units) for target in flag.targets],
        rules=[_write_rule(rule) for rule in flag.rules],
    )


def _write_value(value: Json, type_: ValueType) -> resources_pb2.Value:
    if type_ is ValueType.JSON:
        return resources_pb2.Value(json=write_json(value))
    message = resources_pb2.Value()
    setattr(message, _VALUE_FIELD[type_], value)
    return message


def _write_rule(rule: Rule) -> resources_pb2.Rule:
    message = resources_pb2.Rule(id=rule.id, when=None if rule.when is None else write_condition(rule.when))
    match rule.outcome:
        case Serve(variant):
            message.serve = variant
        case Split(weights, law):
            message.split.law = law
            message.split.weights.extend(
                resources_pb2.Weight(variant=weight.variant, share_ppm=weight.share_ppm) for weight in weights
            )
        case ByRollout(rollout):
            message.rollout = rollout
        case _:
            assert_never(rule.outcome)
    return message


def read_flag(message: resources_pb2.Flag) -> Flag:
    """Return the model of a flag.

    Raises:
        WireError: anything that this release cannot evaluate exactly as written.
    """
    type_ = _TYPE_FROM_WIRE.get(message.type)
    if type_ is None:
        raise WireError(f"type {message.type} is unknown to this release")
    if len(message.salt) != limits.SALT_CHARS or not message.salt.isascii():
        raise WireError(f"the salt has {len(message.salt)} characters, not {limits.SALT_CHARS} of ASCII")
    _bound("variants", len(message.variants), limits.VARIANTS_PER_FLAG)
    _bound("rules", len(message.rules), limits.RULES_PER_FLAG)
    _bound("requires", len(message.requires), limits.REQUIRES_PER_FLAG)
    _bound("never", len(message.never), limits.NEVER_PER_FLAG)
    pairs = [
        (variant.key, _read_value(variant.value, type_, f"variants[{variant.key}]")) for variant in message.variants
    ]
    is_shared = type_ is ValueType.BOOLEAN and len(pairs) <= _SHARED_PARTS_MAX
    variants = _shared_variants(*pairs) if is_shared else _variants(*pairs)
    names = {variant.key: variant.key for variant in variants}  # one text for each name, however often it stands there
    if len(names) != len(variants):
        raise WireError("two variants have one key")
    off = _known(message.off_variant, names, "off")
    default = _known(message.default_variant, names, "default")
    conditions = ConditionReader()
    return Flag(
        key=intern(message.key),  # as in its record, and in its caller's code
        type=type_,
        variants=variants,
        off=off,
        default=default,
        salt=message.salt,
        unit=intern(message.unit or DEFAULT_UNIT),
        never=tuple(conditions.read(inner, f"never[{index}]") for index, inner in enumerate(message.never)),
        requires=tuple(_read_requirement(need, index) for index, need in enumerate(message.requires)),
        targets=_read_targets(message, names),
        rules=tuple(_read_rule(rule, names, conditions, f"rules[{index}]") for index, rule in enumerate(message.rules)),
    )


def _variants(*pairs: tuple[str, Json]) -> tuple[Variant, ...]:
    return tuple([Variant(key, value) for key, value in pairs])


def _split(*shares: tuple[str, int]) -> Split:
    return Split(tuple([Weight(variant, share_ppm) for variant, share_ppm in shares]), LAW_1)


_shared_variants = lru_cache(maxsize=_SHARED_MAX)(_variants)
"""For values of one type only: to a cache, True is 1."""
_shared_split = lru_cache(maxsize=_SHARED_MAX)(_split)
_shared_serve = lru_cache(maxsize=_SHARED_MAX)(Serve)


def _bound(what: str, count: int, maker_max: int) -> None:
    if count > limits.READERS_FACTOR * maker_max:
        raise WireError(f"{count} {what}, at most {limits.READERS_FACTOR * maker_max} are read")


def _known(variant: str, names: Mapping[str, str], path: str) -> str:
    if variant not in names:
        raise WireError(f"{path} names the variant {variant!r}, which the flag does not have")
    return names[variant]


def _read_value(message: resources_pb2.Value, type_: ValueType, path: str) -> Json:
    kind = message.WhichOneof("kind")
    if kind != _VALUE_FIELD[type_]:
        raise WireError(
            f"{path} has {'no value' if kind is None else f'a value of kind {kind}'} in a {type_.value} flag"
        )
    match type_:
        case ValueType.BOOLEAN:
            return message.boolean
        case ValueType.STRING:
            return message.text
        case ValueType.INTEGER:
            return message.integer
        case ValueType.FLOAT:
            if not math.isfinite(message.number):
                raise WireError(f"{path} is not a finite number")
            return message.number
        case ValueType.JSON:
            return read_json(message.json, path, limits.READERS_FACTOR * limits.JSON_BYTES)
        case _:
            assert_never(type_)


def _read_requirement(message: resources_pb2.Requirement, index: int) -> Requirement:
    if not message.flag or not message.variants:
        raise WireError(f"requires[{index}] names no {'variant' if message.flag else 'flag'}")
    return Requirement(message.flag, tuple(message.variants))


def _read_targets(message: resources_pb2.Flag, names: Mapping[str, str]) -> tuple[Target, ...]:
    units = sum(len(target.units) for target in message.targets)
    if units > limits.READERS_FACTOR * limits.TARGET_UNITS_PER_FLAG:
        raise WireError(
            f"{units} targeted units, at most {limits.READERS_FACTOR * limits.TARGET_UNITS_PER_FLAG} are read"
        )
    return tuple(
        Target(_known(target.variant, names, f"targets[{index}]"), tuple(target.units))
        for index, target in enumerate(message.targets)
    )


def _read_rule(message: resources_pb2.Rule, names: Mapping[str, str], conditions: ConditionReader, path: str) -> Rule:
    when = conditions.read(message.when, f"{path}.when") if message.HasField("when") else None
    match message.WhichOneof("outcome"):
        case "serve":
            return Rule(intern(message.id), _shared_serve(_known(message.serve, names, f"{path}.serve")), when)
        case "split":
            return Rule(intern(message.id), _read_split(message.split, names, f"{path}.split"), when)
        case "rollout":
            if not message.rollout:
                raise WireError(f"{path}.rollout names no rollout")
            return Rule(message.id, ByRollout(message.rollout), when)
        case _:
            raise WireError(f"{path} has an outcome that this release does not know")


def _read_split(message: resources_pb2.Split, names: Mapping[str, str], path: str) -> Split:
    if message.law != LAW_1:
        raise WireError(f"{path}: bucketing law {message.law} is unknown to this release")
    shares = [(_known(weight.variant, names, path), weight.share_ppm) for weight in message.weights]
    total = sum([share_ppm for _, share_ppm in shares])
    if total != PPM:
        raise WireError(f"{path}: the shares add up to {total} ppm, not {PPM}")
    return _shared_split(*shares) if len(shares) <= _SHARED_PARTS_MAX else _split(*shares)
