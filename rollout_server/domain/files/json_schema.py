"""The published JSON Schema of the files, so that editors complete them. It says what `read` says, where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import SALT_CHARS, UNIT_KEY_BYTES, VARIANT_KEY_CHARS
from rollout_server.domain.files import bounds, names, percent
from rollout_server.domain.files.flags import TYPES
from rollout_server.domain.files.operators import SHAPES, TYPE_CLASSES, OperandShape

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


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _map(properties: dict[str, Json], required: tuple[str, ...] = (), **more: Json) -> dict[str, Json]:
    tree: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    if required:
        tree["required"] = list(required)
    return tree


def _texts(characters_max: int) -> Json:
    return {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": characters_max}}


def schema() -> dict[str, Json]:
    """Return the JSON Schema 2020-12 of one document in a file: any kind, with environments and tests."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        "title": "Rollout Guard",
        "description": "One document of a file: a flag or a cohort.",
        "type": "object",
        "required": ["kind", "metadata"],
        "properties": {"kind": {"enum": ["Flag", "Cohort"]}},
        "oneOf": [_ref("Flag"), _ref("Cohort")],
        "$defs": {
            "Flag": _kind("Flag", {"tests": {"type": "array", "maxItems": bounds.CASES_MAX, "items": _ref("test")}}),
            "Cohort": _kind("Cohort", {}),
            "key": {"type": "string", "pattern": names.KEY_PATTERN, "description": names.KEY_HINT},
            "unitKind": {"type": "string", "pattern": names.UNIT_KIND_PATTERN, "description": names.UNIT_KIND_HINT},
            "variant": {"type": "string", "minLength": 1, "maxLength": VARIANT_KEY_CHARS},
            "percentage": {"type": "string", "pattern": percent.PERCENT_PATTERN, "examples": ["25%", "0.5%"]},
            "metadata": _metadata(),
            "flagSpec": _flag_spec(),
            "cohortSpec": _cohort_spec(),
            "rule": _rule(),
            "condition": {"oneOf": [*_nodes(), _leaf()]},
            "test": _test(),
        },
    }


def _kind(kind: str, more: dict[str, Json]) -> Json:
    spec = _ref("flagSpec" if kind == "Flag" else "cohortSpec")
    overlay = {
        "type": "object",
        "description": "What differs in one environment: fields replace, variants and targets merge by name.",
        "propertyNames": _ref("key"),
        "additionalProperties": _map({"spec": _map(_overlaid(kind))}),
    }
    properties: dict[str, Json] = {
        "kind": {"const": kind},
        "metadata": _ref("metadata"),
        "spec": spec,
        "environments": overlay,
        **more,
    }
    return _map(properties, ("kind", "metadata"))


def _overlaid(kind: str) -> dict[str, Json]:
    # References, so that editors complete an overlay's fields; whether the merged whole is good is `read`'s to say.
    whole = _flag_spec() if kind == "Flag" else _cohort_spec()
    place = "flagSpec" if kind == "Flag" else "cohortSpec"
    fields = whole["properties"]
    return {name: _ref(f"{place}/properties/{name}") for name in fields} if isinstance(fields, dict) else {}


def _metadata() -> Json:
    return _map(
        {
            "key": _ref("key"),
            "owner": {"type": "string", "maxLength": bounds.OWNER_CHARACTERS_MAX},
            "description": {"type": "string", "maxLength": bounds.DESCRIPTION_CHARACTERS_MAX},
            "tags": {**_list(_texts(bounds.TAG_CHARACTERS_MAX)), "maxItems": bounds.TAGS_MAX},
            "expires": {"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
            "version": {"type": "integer", "minimum": 0, "description": "The version that this file was made from."},
        },
        ("key",),
    )


def _list(tree: Json) -> dict[str, Json]:
    return tree if isinstance(tree, dict) else {}


def _flag_spec() -> dict[str, Json]:
    units = _texts(UNIT_KEY_BYTES)
    return _map(
        {
            "unit": _ref("unitKind"),
            "type": {"enum": list(TYPES)},
            "variants": {"type": "object", "minProperties": 1, "propertyNames": _ref("variant")},
            "off": _ref("variant"),
            "default": _ref("variant"),
            "salt": {"type": "string", "pattern": f"^[a-z0-9-]{{{SALT_CHARS}}}$"},
            "never": {"type": "array", "items": {"anyOf": [_ref("key"), _ref("condition")]}},
            "requires": {
                "type": "array",
                "items": _map(
                    {"flag": _ref("key"), "variants": {"type": "array", "items": _ref("variant")}}, ("flag", "variants")
                ),
            },
            "targets": {"type": "object", "propertyNames": _ref("variant"), "additionalProperties": units},
            "rules": {"type": "array", "items": _ref("rule")},
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
    units = _texts(UNIT_KEY_BYTES)
    return _map({"unit": _ref("unitKind"), "include": units, "exclude": units, "when": _ref("condition")})


def _rule() -> Json:
    split: Json = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": _ref("variant"),
        "additionalProperties": _ref("percentage"),
        "description": "Shares of all units, adding up to 100%; the first variant owns the lowest buckets.",
    }
    return _map(
        {"id": _ref("key"), "when": _ref("condition"), "serve": _ref("variant"), "split": split},
        ("id",),
        oneOf=[{"required": ["serve"]}, {"required": ["split"]}],
    )


def _nodes() -> list[Json]:
    many: Json = {"type": "array", "items": _ref("condition")}
    inner: dict[str, Json] = {"all": many, "any": many, "not": _ref("condition"), "cohort": _ref("key")}
    return [_map({name: value}, (name,)) for name, value in inner.items()]


def _leaf() -> Json:
    operators = {name: {**_list(_OPERANDS[shape]), "description": _MEANINGS[name]} for name, shape in SHAPES.items()}
    return _map(
        {
            "attribute": _TEXT,
            "unit": _ref("unitKind"),
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
    context = _map(
        {
            "units": {"type": "object", "propertyNames": _ref("unitKind"), "additionalProperties": {"type": "string"}},
            "attributes": {"type": "object"},
        }
    )
    return _map({"name": _TEXT, "context": context, "expect": _ref("variant")}, ("context", "expect"))
