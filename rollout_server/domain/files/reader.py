"""From a document's tree to a resource. Only shape is checked here; what it refers to is `engine.validate`'s."""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import UNIT_KEY_BYTES
from rollout_sdk.engine.model import DEFAULT_UNIT
from rollout_server.domain.files import names
from rollout_server.domain.files.bounds import (
    DEPTH_MAX,
    DESCRIPTION_CHARACTERS_MAX,
    OWNER_CHARACTERS_MAX,
    TAG_CHARACTERS_MAX,
    TAGS_MAX,
)
from rollout_server.domain.files.conditions import read_condition
from rollout_server.domain.files.flags import read_flag
from rollout_server.domain.files.metrics import read_metric
from rollout_server.domain.files.pipelines import read_pipeline
from rollout_server.domain.files.policies import read_channel, read_policy
from rollout_server.domain.files.rollouts import read_freeze, read_rollout
from rollout_server.domain.files.shape import Reading, too_deep
from rollout_server.domain.resources import PLANNED, CohortSpec, Kind, Metadata, Resource, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_sdk.engine.problems import Problem

FILE_KINDS = tuple(kind.value for kind in PLANNED)
"""Kinds that people write."""

DOCUMENT_FIELDS = ("kind", "metadata", "spec")
FILE_FIELDS = ("environments", "tests")
METADATA_FIELDS = ("key", "owner", "description", "tags", "expires", "version")
COHORT_FIELDS = ("unit", "include", "exclude", "when")

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read(tree: object, origin: str = "") -> tuple[Resource | None, tuple[Problem, ...]]:
    """Read one document: `kind`, `metadata` and `spec` as JSON values, as the control API carries it.

    Args:
        tree: trusted in nothing.
        origin: "flags.yaml:12:1", copied into every problem.

    Returns:
        The resource, without status and at version 0, or None and every problem found.
    """
    reading = Reading(origin)
    if too_deep(tree):
        reading.refuse("", "too_deep", f"maps and lists lie more than {DEPTH_MAX} inside each other", "flatten it")
        return None, tuple(reading.problems)
    document = _document_fields(reading, tree)
    kind = _kind(reading, tree, document)
    metadata = read_metadata(reading, document["metadata"], kind) if "metadata" in document else Metadata("")
    spec = read_spec(reading, kind, document.get("spec", {})) if kind else None
    problems = tuple(reading.problems)
    if problems or kind is None or spec is None:
        return None, problems
    return Resource(kind, metadata, spec), ()


def _document_fields(reading: Reading, tree: object) -> dict[str, object]:
    if not isinstance(tree, dict):
        return reading.fields(tree, "", DOCUMENT_FIELDS, "a document with kind, metadata and spec")
    for name in FILE_FIELDS:
        if name in tree:
            hint = "only files hold it; the command line takes it out before it sends the document"
            reading.refuse(name, "unknown_field", f'the field "{name}" does not belong to a resource', hint)
    shown = {name: value for name, value in tree.items() if name not in FILE_FIELDS}
    document = reading.fields(shown, "", DOCUMENT_FIELDS, "a document")
    reading.required(tree, "metadata", "metadata", "write metadata: {key: NAME}")
    return document


def _kind(reading: Reading, tree: object, document: dict[str, object]) -> Kind | None:
    if not isinstance(tree, dict) or not reading.required(tree, "kind", "kind", "one of " + ", ".join(FILE_KINDS)):
        return None
    name = document["kind"]
    if isinstance(name, str) and name in FILE_KINDS:
        return Kind(name)
    if isinstance(name, str):
        reading.unknown("kind", "kind", name, FILE_KINDS)
    else:
        reading.wanted(name, "kind", "a kind")
    return None


def read_metadata(reading: Reading, tree: object, kind: Kind | None) -> Metadata:
    """Read who looks after a resource. Problems found from here on name the resource."""
    fields = reading.fields(tree, "metadata", METADATA_FIELDS, "metadata")
    key = ""
    if isinstance(tree, dict) and reading.required(tree, "metadata.key", "key", names.KEY_HINT):
        key = reading.key(fields["key"], "metadata.key", f"a {kind.value.lower()}" if kind else "a resource")
    if kind and not names.why_no_key(key):
        reading.resource = f"{kind.value.lower()}/{key}"
    if "version" in fields and reading.integer(fields["version"], "metadata.version") < 0:
        reading.refuse("metadata.version", "wrong_type", "a version is not negative", "copy it from `rollout get`")
    return Metadata(
        key,
        _note(reading, fields, "owner", OWNER_CHARACTERS_MAX),
        _note(reading, fields, "description", DESCRIPTION_CHARACTERS_MAX),
        _tags(reading, fields),
        _expires(reading, fields),
    )


def _note(reading: Reading, fields: dict[str, object], name: str, characters_max: int) -> str:
    if name not in fields:
        return ""
    path = f"metadata.{name}"
    text = reading.text(fields[name], path, empty=True)
    if len(text) > characters_max:
        reading.refuse(path, "too_long", f"at most {characters_max} characters, this has {len(text)}", "shorten it")
    return text


def _tags(reading: Reading, fields: dict[str, object]) -> tuple[str, ...]:
    tags = reading.texts(fields.get("tags", []), "metadata.tags", "a tag", characters_max=TAG_CHARACTERS_MAX)
    if len(tags) > TAGS_MAX:
        reading.refuse("metadata.tags", "too_many", f"at most {TAGS_MAX} tags, these are {len(tags)}", "use fewer")
    return tags


def _expires(reading: Reading, fields: dict[str, object]) -> str:
    if "expires" not in fields:
        return ""
    text = reading.text(fields["expires"], "metadata.expires", "a date")
    if text and not reading.problems_at("metadata.expires") and not _is_date(text):
        message = f"{names.show(text)} is no date"
        reading.refuse("metadata.expires", "bad_date", message, 'write it like "2027-06-01"')
    return text


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def read_spec(reading: Reading, kind: Kind, tree: object) -> Spec | None:
    """Read what people write of a resource; None for tokens, which they do not write."""
    read = _READERS.get(kind)
    return read(reading, tree) if read is not None else None


def _cohort(reading: Reading, tree: object) -> CohortSpec:
    fields = reading.fields(tree, "spec", COHORT_FIELDS, "the spec of a cohort")

    def units(name: str) -> tuple[str, ...]:
        place = f"spec.{name}"
        return reading.texts(fields.get(name, []), place, "the key of a unit", characters_max=UNIT_KEY_BYTES)

    return CohortSpec(
        unit=reading.unit_kind(fields.get("unit", DEFAULT_UNIT), "spec.unit"),
        include=units("include"),
        exclude=units("exclude"),
        when=read_condition(reading, fields["when"], "spec.when") if "when" in fields else None,
    )


_READERS: Mapping[Kind, Callable[[Reading, object], Spec]] = MappingProxyType(
    {
        Kind.FLAG: read_flag,
        Kind.COHORT: _cohort,
        Kind.METRIC: read_metric,
        Kind.PIPELINE: read_pipeline,
        Kind.ROLLOUT: read_rollout,
        Kind.FREEZE: read_freeze,
        Kind.CHANNEL: read_channel,
        Kind.POLICY: read_policy,
    }
)


def expected_version(tree: object) -> int | None:
    """Return `metadata.version`: the version its author last saw, or None where the file does not say."""
    metadata = tree.get("metadata") if isinstance(tree, dict) else None
    version = metadata.get("version") if isinstance(metadata, dict) else None
    return int(version) if isinstance(version, int) and not isinstance(version, bool) else None
