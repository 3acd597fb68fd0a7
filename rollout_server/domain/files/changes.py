"""Stored changes between the journal and the domain. People never write them: what does not fit is damage."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from rollout_server.domain.changes import ChangeAction, ChangeSpec, ChangeState, ChangeStatus, Demand, Given

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.files.shape import Reading

E = TypeVar("E", bound=Enum)

_WHAT = "the stored form of a change"
_SPEC_FIELDS = (
    "action",
    "author",
    "reason",
    "stored_at_ms",
    "expires_at_ms",
    "plan_hash",
    "summary",
    "demands",
    "documents",
    "prune",
    "revision",
    "allow_unsupported",
    "reads",
)
_STATUS_FIELDS = ("state", "stored_revision", "approvals", "ended_by", "because", "ended_revision")
_DEMAND_FIELDS = ("group", "count", "people", "because")
_GIVEN_FIELDS = ("person", "token_id", "at_ms", "reason")
_DOCUMENT_FIELDS = ("origin", "json")


def write_change(spec: ChangeSpec) -> dict[str, Json]:
    """Return the spec's map, every field, in fixed order."""
    return {
        "action": spec.action.value,
        "author": spec.author,
        "reason": spec.reason,
        "stored_at_ms": spec.stored_at_ms,
        "expires_at_ms": spec.expires_at_ms,
        "plan_hash": spec.plan_hash,
        "summary": spec.summary,
        "demands": [
            {"group": one.group, "count": one.count, "people": list(one.people), "because": list(one.because)}
            for one in spec.demands
        ],
        "documents": [{"origin": origin, "json": text} for origin, text in spec.documents],
        "prune": spec.prune,
        "revision": spec.revision,
        "allow_unsupported": spec.allow_unsupported,
        "reads": dict(spec.reads),
    }


def write_change_status(status: ChangeStatus) -> dict[str, Json]:
    """Return the status's map, every field, in fixed order."""
    return {
        "state": status.state.value,
        "stored_revision": status.stored_revision,
        "approvals": [
            {"person": one.person, "token_id": one.token_id, "at_ms": one.at_ms, "reason": one.reason}
            for one in status.approvals
        ],
        "ended_by": status.ended_by,
        "because": status.because,
        "ended_revision": status.ended_revision,
    }


def read_change(reading: Reading, tree: object) -> ChangeSpec:
    """Read what `write_change` wrote; where something is wrong it is noted and the result is not to be used."""
    fields = reading.fields(tree, "spec", _SPEC_FIELDS, _WHAT)
    reads = reading.fields(fields.get("reads"), "spec.reads", tuple(_names(fields.get("reads"))), _WHAT)
    return ChangeSpec(
        action=_word(reading, fields.get("action"), "spec.action", ChangeAction.APPLY),
        author=_text(reading, fields, "author"),
        reason=_text(reading, fields, "reason"),
        stored_at_ms=reading.integer(fields.get("stored_at_ms"), "spec.stored_at_ms"),
        expires_at_ms=reading.integer(fields.get("expires_at_ms"), "spec.expires_at_ms"),
        plan_hash=_text(reading, fields, "plan_hash"),
        summary=_text(reading, fields, "summary"),
        demands=reading.items(fields.get("demands"), "spec.demands", lambda one, path: _demand(reading, one, path)),
        documents=reading.items(
            fields.get("documents"), "spec.documents", lambda one, path: _document(reading, one, path)
        ),
        prune=reading.boolean(fields.get("prune"), "spec.prune"),
        revision=reading.integer(fields.get("revision"), "spec.revision"),
        allow_unsupported=reading.boolean(fields.get("allow_unsupported"), "spec.allow_unsupported"),
        reads=MappingProxyType(
            {id_: reading.text(stamp, f"spec.reads.{id_}", empty=True) for id_, stamp in reads.items()}
        ),
    )


def read_change_status(reading: Reading, tree: object) -> ChangeStatus:
    """Read what `write_change_status` wrote; where something is wrong it is noted."""
    fields = reading.fields(tree, "status", _STATUS_FIELDS, _WHAT)
    return ChangeStatus(
        state=_word(reading, fields.get("state"), "status.state", ChangeState.WAITING),
        stored_revision=reading.integer(fields.get("stored_revision"), "status.stored_revision"),
        approvals=reading.items(
            fields.get("approvals"), "status.approvals", lambda one, path: _given(reading, one, path)
        ),
        ended_by=_text(reading, fields, "ended_by", "status"),
        because=_text(reading, fields, "because", "status"),
        ended_revision=reading.integer(fields.get("ended_revision"), "status.ended_revision"),
    )


def _demand(reading: Reading, tree: object, path: str) -> Demand:
    fields = reading.fields(tree, path, _DEMAND_FIELDS, _WHAT)
    return Demand(
        group=_text(reading, fields, "group", path),
        count=reading.integer(fields.get("count"), f"{path}.count"),
        people=reading.items(fields.get("people"), f"{path}.people", reading.text),
        because=reading.items(fields.get("because"), f"{path}.because", reading.text),
    )


def _given(reading: Reading, tree: object, path: str) -> Given:
    fields = reading.fields(tree, path, _GIVEN_FIELDS, _WHAT)
    return Given(
        person=_text(reading, fields, "person", path),
        token_id=_text(reading, fields, "token_id", path),
        at_ms=reading.integer(fields.get("at_ms"), f"{path}.at_ms"),
        reason=_text(reading, fields, "reason", path),
    )


def _document(reading: Reading, tree: object, path: str) -> tuple[str, str]:
    fields = reading.fields(tree, path, _DOCUMENT_FIELDS, _WHAT)
    return _text(reading, fields, "origin", path), _text(reading, fields, "json", path)


def _text(reading: Reading, fields: dict[str, object], name: str, path: str = "spec") -> str:
    return reading.text(fields.get(name), f"{path}.{name}", empty=True)


def _word(reading: Reading, value: object, path: str, default: E) -> E:
    words = {str(word.value): word for word in type(default)}
    if not isinstance(value, str) or value not in words:
        reading.unknown(path, "word", value, tuple(words))
        return default
    return words[value]


def _names(tree: object) -> list[str]:
    return [str(name) for name in tree] if isinstance(tree, dict) else []
