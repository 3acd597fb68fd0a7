"""Rollouts and freezes between files and the domain. Moments stay text here; what they mean is validated later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import InCohort
from rollout_sdk.engine.names import salt_fault
from rollout_server.domain.files import durations, names
from rollout_server.domain.files.bounds import OWNER_CHARACTERS_MAX, TAG_CHARACTERS_MAX
from rollout_server.domain.files.conditions import read_condition, write_condition
from rollout_server.domain.files.fields import Fields
from rollout_server.domain.files.quantities import read_duration
from rollout_server.domain.rollouts import FreezeSpec, RolloutSpec

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition, Json
    from rollout_server.domain.files.shape import Reading

ROLLOUT_FIELDS = ("flag", "from", "to", "pipeline", "never", "start", "after", "salt")
AFTER_FIELDS = ("environment",)
FREEZE_FIELDS = ("from", "to", "zone", "tags", "except", "stagger")


def read_rollout(reading: Reading, tree: object) -> RolloutSpec:
    """Read a rollout's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", ROLLOUT_FIELDS, "the spec of a rollout")
    return RolloutSpec(
        flag=fields.need("flag", lambda one, value, path: one.key(value, path, "a flag"), "", "name the flag it moves"),
        from_variant=fields.need("from", _variant, "", 'name the variant to leave, like from: "off"'),
        to_variant=fields.need("to", _variant, "", 'name the variant to reach, like to: "on"'),
        pipeline=fields.need(
            "pipeline", lambda one, value, path: one.key(value, path, "a pipeline"), "", "name the pipeline it takes"
        ),
        never=fields.get("never", read_never, ()),
        start=fields.get("start", _moment, ""),
        after_environment=fields.get("after", _after, ""),
        salt=fields.get("salt", read_salt, ""),
    )


def _variant(reading: Reading, value: object, path: str) -> str:
    return reading.variant(value, path)


def _moment(reading: Reading, value: object, path: str) -> str:
    return reading.text(value, path, "a moment")


def _after(reading: Reading, tree: object, path: str) -> str:
    fields = Fields(reading, tree, path, AFTER_FIELDS, "what must have happened before")
    hint = "name the environment where this must have completed first"
    return fields.need("environment", lambda one, value, place: one.key(value, place, "an environment"), "", hint)


def read_never(reading: Reading, tree: object, path: str) -> tuple[Condition, ...]:
    """Read whom nothing here ever reaches: keys of cohorts, or conditions."""

    def one(value: object, place: str) -> Condition:
        if isinstance(value, dict):
            return read_condition(reading, value, place)
        return InCohort(reading.key(value, place, "a cohort"))

    return reading.items(tree, path, one)


def read_salt(reading: Reading, value: object, path: str) -> str:
    """Read what fixes who is in which share."""
    text = reading.text(value, path, "a salt")
    if text and (why := salt_fault(text)):
        hint = "leave it out, and it is made from the key"
        reading.refuse(path, "bad_salt", f"{names.show(text)} cannot be a salt: {why}", hint)
    return text


def write_rollout(spec: RolloutSpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out."""
    tree: dict[str, Json] = {
        "flag": spec.flag,
        "from": spec.from_variant,
        "to": spec.to_variant,
        "pipeline": spec.pipeline,
    }
    if spec.never:
        tree["never"] = write_never(spec.never)
    if spec.start:
        tree["start"] = spec.start
    if spec.after_environment:
        tree["after"] = {"environment": spec.after_environment}
    if spec.salt:
        tree["salt"] = spec.salt
    return tree


def write_never(never: tuple[Condition, ...]) -> Json:
    """Return the list that `read_never` reads."""
    return [one.cohort if isinstance(one, InCohort) else write_condition(one) for one in never]


def read_freeze(reading: Reading, tree: object) -> FreezeSpec:
    """Read a freeze's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", FREEZE_FIELDS, "the spec of a freeze")
    when = 'like "FRI 16:00" every week, or "2026-12-24T00:00:00+09:00" once'
    return FreezeSpec(
        start=fields.need("from", _moment, "", f"say when it begins, {when}"),
        end=fields.need("to", _moment, "", f"say when it ends, {when}"),
        zone=fields.get("zone", lambda one, value, path: one.text(value, path, "a time zone"), ""),
        tags=fields.get("tags", _tags, ()),
        exempt=fields.get("except", _people, ()),
        stagger_ms=fields.get("stagger", read_duration, 0),
    )


def _tags(reading: Reading, tree: object, path: str) -> tuple[str, ...]:
    return reading.texts(tree, path, "a tag", characters_max=TAG_CHARACTERS_MAX)


def _people(reading: Reading, tree: object, path: str) -> tuple[str, ...]:
    return reading.texts(tree, path, "a group or a person", characters_max=OWNER_CHARACTERS_MAX)


def write_freeze(spec: FreezeSpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out."""
    tree: dict[str, Json] = {"from": spec.start, "to": spec.end}
    if spec.zone:
        tree["zone"] = spec.zone
    if spec.tags:
        tree["tags"] = list(spec.tags)
    if spec.exempt:
        tree["except"] = list(spec.exempt)
    if spec.stagger_ms:
        tree["stagger"] = durations.show(spec.stagger_ms)
    return tree
