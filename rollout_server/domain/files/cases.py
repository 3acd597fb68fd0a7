"""Test cases that stand beside a flag's spec in its file: a context, and the variant it must get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import paths
from rollout_server.domain.files.bounds import CASES_MAX

if TYPE_CHECKING:
    from rollout_server.domain.files.shape import Reading

CASE_FIELDS = ("name", "context", "expect")
CONTEXT_FIELDS = ("units", "attributes")


@dataclass(frozen=True, slots=True)
class Case:
    """What one context must get.

    Attributes:
        name: empty where the file gives none.
        units: kind of unit to key.
        expect: key of a variant.
        path: in its document, "tests[0]".
    """

    name: str
    units: Mapping[str, str]
    attributes: Mapping[str, Json]
    expect: str
    path: str


def read_cases(reading: Reading, tree: object) -> tuple[Case, ...]:
    """Read the list under `tests`."""
    if isinstance(tree, list) and len(tree) > CASES_MAX:
        reading.refuse("tests", "too_many", f"at most {CASES_MAX} tests, these are {len(tree)}", "use fewer")
        return ()
    return reading.items(tree, "tests", lambda item, path: _case(reading, item, path))


def _case(reading: Reading, tree: object, path: str) -> Case:
    fields = reading.fields(tree, path, CASE_FIELDS, "a test")
    units: dict[str, str] = {}
    attributes: dict[str, Json] = {}
    expect = ""
    if isinstance(tree, dict):
        place = paths.child(path, "context")
        hint = 'write context: {units: {user: "u-1"}, attributes: {country: TH}}'
        if reading.required(tree, place, "context", hint):
            context = reading.fields(fields["context"], place, CONTEXT_FIELDS, "a context")
            units = _units(reading, context.get("units", {}), paths.child(place, "units"))
            attributes = _attributes(reading, context.get("attributes", {}), paths.child(place, "attributes"))
        place = paths.child(path, "expect")
        if reading.required(tree, place, "expect", 'name the variant, like expect: "on"'):
            expect = reading.variant(fields["expect"], place)
    name = reading.text(fields["name"], paths.child(path, "name")) if "name" in fields else ""
    return Case(name, units, attributes, expect, path)


def _units(reading: Reading, tree: object, path: str) -> dict[str, str]:
    if not isinstance(tree, dict):
        reading.wanted(tree, path, "a map of kinds of unit to keys")
        return {}
    found = {}
    for kind, key in tree.items():
        place = paths.child(path, str(kind))
        found[reading.name(reading.unit_kind, kind, place)] = reading.text(key, place, "the key of a unit", empty=True)
    return found


def _attributes(reading: Reading, tree: object, path: str) -> dict[str, Json]:
    if not isinstance(tree, dict):
        reading.wanted(tree, path, "a map of attributes")
        return {}
    value = reading.value(tree, path)
    return value if isinstance(value, dict) else {}
