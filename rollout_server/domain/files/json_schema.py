"""The published JSON Schema of the files, so that editors complete them. It says what `read` says, where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import SALT_CHARS, UNIT_KEY_BYTES, VARIANT_KEY_CHARS
from rollout_server.domain.files import bounds, names, percent
from rollout_server.domain.files.flags import OUTCOMES, TYPES
from rollout_server.domain.files.json_schema_rollouts import definitions
from rollout_server.domain.files.operators import SHAPES, TYPE_CLASSES, OperandShape
from rollout_server.domain.files.policies import KINDS
from rollout_server.domain.files.schema_parts import closed_map, ref, texts
from rollout_server.domain.resources import Kind

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json

_ID = "urn:rollout-guard:files"

_TEXT: Json = {"type": "string", "minLength": 1}
_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_PAIR: dict[str, Json] = {"type": "array", "minItems": 2, "maxItems": 2}

_OPERANDS: dict[OperandShape, Json] = {
    OperandShape.SCALAR: _SCALAR,
    OperandShape.SCALARS: {"type": "array", "items": _SCALAR},
    OperandShape.TEXT: _TEXT,
    OperandShape.TEXTS: {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
    OperandShape.NUMBER: {"type": "number"},
    OperandShape.NUMBER_PAIR: {**_PAIR, "items": {"type": "number"}},
    OperandShape.BOOLEAN: {"type": "boolean"},
    OperandShape.TYPE: {"enum": list(TYPE_CLASSES)},
    OperandShape.SIZE: {"anyOf": [{"type": "integer"}, {**_PAIR, "items": {"type": "integer"}}]},
    OperandShape.INTEGER_PAIR: {**_PAIR, "items": {"type": "integer"}},
}

_MEANINGS = {
    "equals": "the same value of the same type",
    "in": "one of these values",
    "starts_with": "begins with this text, or with one of these",
    "ends_with": "ends with this text, or with one of these",
    "contains": "holds this text, or one of these",
    "regex": "RE2 syntax, found anywhere in the text",
    "<": "a smaller number",
    "<=": "a smaller number, or the same",
    ">": "a larger number",
    ">=": "a larger number, or the same",
    "between": "[low, high], both included",
    "semver": 'a range of versions: ">=1.2.0 <2", "^1.2", "~1.2.3", "1.x"',
    "before": 'RFC 3339 with a zone: "2027-06-01T09:00:00+09:00"',
    "after": 'RFC 3339 with a zone: "2027-06-01T09:00:00+09:00"',
    "exists": "the attribute is there, or is not",
    "type": "the attribute's type",
    "any_of": "the list attribute holds one of these",
    "all_of": "the list attribute holds all of these",
    "none_of": "the list attribute holds none of these",
    "size": "the list attribute has so many entries, or [min, max]",
    "cidr": "the address lies in this network, or in one of these",
    "modulo": "[divisor, remainder]",
}


def schema() -> dict[str, Json]:
    """Return the JSON Schema 2020-12 of one document in a file: any kind, with environments and tests."""
    specs = {"flagSpec": _flag_spec(), "cohortSpec": _cohort_spec(), **definitions()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        "title": "Rollout Guard",
        "description": "One document of a file: a flag, a cohort, or what moves flags and guards that.",
        "type": "object",
        "required": ["kind", "metadata"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "oneOf": [ref(kind) for kind in KINDS],
        "$defs": {
            **{kind: _kind(kind, specs[_spec(kind)]) for kind in KINDS},
            **specs,
            "key": {"type": "string", "pattern": names.KEY_PATTERN, "description": names.KEY_HINT},
            "unitKind": {"type": "string", "pattern": names.UNIT_KIND_PATTERN, "description": names.UNIT_KIND_HINT},
            "variant": {"type": "string", "minLength": 1, "maxLength": VARIANT_KEY_CHARS},
            "percentage": {"type": "string", "pattern": percent.PERCENT_PATTERN, "examples": ["25%", "0.5%"]},
            "metadata": _metadata(),
            "rule": _rule(),
            "condition": {"oneOf": [*_nodes(), _leaf()]},
            "test": _test(),
        },
    }


def _spec(kind: str) -> str:
    return f"{kind.lower()}Spec"


def _kind(kind: str, spec: Json) -> Json:
    whole = spec if isinstance(spec, dict) else {}
    overlay = {
        "type": "object",
        "description": "What differs in one environment: fields replace, variants, targets and groups merge by name.",
        "propertyNames": ref("key"),
        "additionalProperties": closed_map({"spec": closed_map(_overlaid(kind, whole))}),
    }
    properties: dict[str, Json] = {
        "kind": {"const": kind},
        "metadata": ref("metadata"),
        "spec": ref(_spec(kind)),
        "environments": overlay,
    }
    if kind == Kind.FLAG.value:
        properties["tests"] = {"type": "array", "maxItems": bounds.CASES_MAX, "items": ref("test")}
    is_needed = "required" in whole or kind == Kind.CHANNEL.value
    return closed_map(properties, ("kind", "metadata", "spec") if is_needed else ("kind", "metadata"))


def _overlaid(kind: str, whole: dict[str, Json]) -> dict[str, Json]:
    # References, so that editors complete an overlay's fields; whether the merged whole is good is `read`'s to say.
    fields = whole["properties"]
    return {name: ref(f"{_spec(kind)}/properties/{name}") for name in fields} if isinstance(fields, dict) else {}


def _metadata() -> Json:
    return closed_map(
        {
            "key": ref("key"),
            "owner": {"type": "string", "maxLength": bounds.OWNER_CHARACTERS_MAX},
            "description": {"type": "string", "maxLength": bounds.DESCRIPTION_CHARACTERS_MAX},
            "tags": {**_list(texts(bounds.TAG_CHARACTERS_MAX)), "maxItems": bounds.TAGS_MAX},
            "expires": {"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
            "version": {"type": "integer", "minimum": 0, "description": "The version that this file was made from."},
        },
        ("key",),
    )


def _list(tree: Json) -> dict[str, Json]:
    return tree if isinstance(tree, dict) else {}


def _flag_spec() -> dict[str, Json]:
    units = texts(UNIT_KEY_BYTES)
    return closed_map(
        {
            "unit": ref("unitKind"),
            "type": {"enum": list(TYPES)},
            "variants": {"type": "object", "minProperties": 1, "propertyNames": ref("variant")},
            "off": ref("variant"),
            "default": ref("variant"),
            "salt": {"type": "string", "pattern": f"^[a-z0-9-]{{{SALT_CHARS}}}$"},
            "never": ref("never"),
            "requires": {
                "type": "array",
                "items": closed_map(
                    {"flag": ref("key"), "variants": {"type": "array", "items": ref("variant")}}, ("flag", "variants")
                ),
            },
            "targets": {"type": "object", "propertyNames": ref("variant"), "additionalProperties": units},
            "rules": {"type": "array", "items": ref("rule")},
        },
        allOf=[_typed(), _needs_off()],
    )


def _typed() -> Json:
    """Values follow the type; every type but boolean names its variants."""
    classes: dict[str, Json] = {
        "boolean": {"type": "boolean"},
        "string": {"type": "string"},
        "integer": {"type": "integer"},
        "float": {"type": "number"},
    }
    values: list[Json] = [*classes.values(), {"type": ["object", "array", "null"]}]
    inferred: Json = {"anyOf": [{"additionalProperties": one} for one in values]}
    cases: list[Json] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "properties": {"variants": {"additionalProperties": one}},
                **({} if name == "boolean" else {"required": ["variants"]}),
            },
        }
        for name, one in {**classes, "json": True}.items()
    ]
    untyped: Json = {"if": {"not": {"required": ["type"]}}, "then": {"properties": {"variants": inferred}}}
    return {"allOf": [*cases, untyped]}


def _needs_off() -> Json:
    nameless: Json = {"type": "object", "not": {"required": ["off"]}}
    return {"if": {"required": ["variants"], "properties": {"variants": nameless}}, "then": {"required": ["off"]}}


def _cohort_spec() -> dict[str, Json]:
    units = texts(UNIT_KEY_BYTES)
    return closed_map({"unit": ref("unitKind"), "include": units, "exclude": units, "when": ref("condition")})


def _rule() -> Json:
    split: Json = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": ref("variant"),
        "additionalProperties": ref("percentage"),
        "description": "Shares of all units, adding up to 100%; the first variant owns the lowest buckets.",
    }
    return closed_map(
        {
            "id": ref("key"),
            "when": ref("condition"),
            "serve": ref("variant"),
            "split": split,
            "rollout": {**_list(ref("key")), "description": "The rollout that answers everybody who comes this far."},
        },
        ("id",),
        oneOf=[{"required": [name]} for name in OUTCOMES],
    )


def _nodes() -> list[Json]:
    many: Json = {"type": "array", "items": ref("condition")}
    inner: dict[str, Json] = {"all": many, "any": many, "not": ref("condition"), "cohort": ref("key")}
    return [closed_map({name: value}, (name,)) for name, value in inner.items()]


def _leaf() -> Json:
    operators = {name: {**_list(_OPERANDS[shape]), "description": _MEANINGS[name]} for name, shape in SHAPES.items()}
    return closed_map(
        {
            "attribute": _TEXT,
            "unit": ref("unitKind"),
            **operators,
            "ignore_case": {"type": "boolean"},
            "on_missing": {"enum": ["unknown", "match", "no_match"]},
        },
        allOf=[
            {"oneOf": [{"required": ["attribute"]}, {"required": ["unit"]}]},
            {"oneOf": [{"required": [name]} for name in SHAPES]},
        ],
    )


def _test() -> Json:
    context = closed_map(
        {
            "units": {"type": "object", "propertyNames": ref("unitKind"), "additionalProperties": {"type": "string"}},
            "attributes": {"type": "object"},
        }
    )
    return closed_map({"name": _TEXT, "context": context, "expect": ref("variant")}, ("context", "expect"))
