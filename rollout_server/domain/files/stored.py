"""Resources as the journal keeps them: spec and status side by side, tokens included.

What is read here was written here, so anything that does not fit is damage, never a person's mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.domain.changes import ChangeSpec, ChangeStatus
from rollout_server.domain.files.changes import read_change, read_change_status, write_change, write_change_status
from rollout_server.domain.files.pipelines import read_pipeline, write_pipeline
from rollout_server.domain.files.reader import read_metadata, read_spec
from rollout_server.domain.files.shape import Reading, too_deep
from rollout_server.domain.files.writer import write, write_metadata
from rollout_server.domain.guardrails.verdict import read_verdict, write_verdict
from rollout_server.domain.machine import read_run, write_run
from rollout_server.domain.resources import (
    CohortStatus,
    Completion,
    FlagStatus,
    Kind,
    NoStatus,
    Resource,
    RolloutStatus,
    Status,
    TokenSpec,
    TokenStatus,
)
from rollout_server.errors import Corrupt

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.guardrails.verdict import Verdict
    from rollout_server.domain.resources import Evidence
    from rollout_server.domain.rollouts import PipelineSpec

_STORED_FIELDS = ("kind", "metadata", "spec", "status", "version")
_PAIR = 2
_WHAT = "the stored form"
_HINT = "run `rollout audit verify`, then restore a backup"


def write_status(resource: Resource) -> dict[str, Json]:
    """Return what verbs wrote, every field, in fixed order; empty where there is no status."""
    match resource.status:
        case FlagStatus(salt, law, killed):
            return {"salt": salt, "law": law, "killed": killed}
        case ChangeStatus() as status:
            return write_change_status(status)
        case TokenStatus(revoked_at_ms):
            return {"revoked_at_ms": revoked_at_ms}
        case RolloutStatus(salt, law, run, verdicts, rules, completed):
            return {
                "salt": salt,
                "law": law,
                "run": write_run(run, write_pipeline) if run else None,
                "verdicts": [[guard, write_verdict(verdict)] for guard, verdict in verdicts],
                "rules": list(rules),
                "completed": [[one.variant, one.mark] for one in completed],
            }
        case CohortStatus() | NoStatus() | None:
            return {}


def read_status(kind: Kind, tree: object) -> Status:
    """Return the status that `write_status` wrote.

    Raises:
        Corrupt: it is not of that form.
    """
    reading = Reading()
    status = _status(reading, kind, tree)
    _refuse_damage(reading, f"status of a {kind.value}")
    return status


def _status(reading: Reading, kind: Kind, tree: object) -> Status:
    if kind is Kind.FLAG:
        fields = reading.fields(tree, "status", ("salt", "law", "killed"), _WHAT)
        return FlagStatus(
            salt=reading.text(fields.get("salt"), "status.salt"),
            law=reading.integer(fields.get("law"), "status.law"),
            killed=reading.boolean(fields.get("killed"), "status.killed"),
        )
    if kind is Kind.TOKEN:
        fields = reading.fields(tree, "status", ("revoked_at_ms",), _WHAT)
        return TokenStatus(reading.integer(fields.get("revoked_at_ms"), "status.revoked_at_ms"))
    if kind is Kind.ROLLOUT:
        fields = reading.fields(tree, "status", ("salt", "law", "run", "verdicts", "rules", "completed"), _WHAT)
        run = fields.get("run")
        return RolloutStatus(
            salt=reading.text(fields.get("salt"), "status.salt"),
            law=reading.integer(fields.get("law"), "status.law"),
            run=read_run(run, _pipeline, "status.run") if run is not None else None,
            verdicts=_verdicts(reading, fields.get("verdicts", [])),
            rules=reading.items(fields.get("rules", []), "status.rules", reading.text),
            completed=_completed(reading, fields.get("completed", [])),
        )
    if kind is Kind.CHANGE:
        return read_change_status(reading, tree)
    reading.fields(tree, "status", (), _WHAT)
    return CohortStatus() if kind is Kind.COHORT else NoStatus()


def _verdicts(reading: Reading, tree: object) -> Evidence:
    """Return the verdicts of a run's guards.

    Raises:
        Corrupt: one is not of the form that is written.
    """

    def one(item: object, path: str) -> tuple[str, Verdict]:
        if not isinstance(item, list) or len(item) != _PAIR:
            raise Corrupt(path, "a guard's name and its verdict are wanted", _HINT)
        return reading.text(item[0], f"{path}[0]"), read_verdict(item[1], f"{path}[1]")

    return reading.items(tree, "status.verdicts", one)


def _completed(reading: Reading, tree: object) -> tuple[Completion, ...]:
    """Return what runs completed.

    Raises:
        Corrupt: one is not of the form that is written.
    """

    def one(item: object, path: str) -> Completion:
        if not isinstance(item, list) or len(item) != _PAIR:
            raise Corrupt(path, "a variant and a flag's mark are wanted", _HINT)
        return Completion(reading.text(item[0], f"{path}[0]"), reading.text(item[1], f"{path}[1]"))

    return reading.items(tree, "status.completed", one)


def _pipeline(tree: object) -> PipelineSpec:
    """Return the copy of a pipeline that a run follows.

    Raises:
        Corrupt: it is not of that form.
    """
    reading = Reading()
    spec = read_pipeline(reading, tree)
    _refuse_damage(reading, "pipeline of a run")
    return spec


def write_stored(resource: Resource) -> dict[str, Json]:
    """Return the whole resource: kind, metadata, spec, status, version.

    Raises:
        ValueError: it has no status, or holds what no file can say.
    """
    if resource.status is None:
        message = f"{resource.id} has no status: a document is not a state"
        raise ValueError(message)
    match resource.spec:
        case TokenSpec() as spec:
            tree: Json = {
                "hash": spec.hash,
                "role": spec.role,
                "person": spec.person,
                "created_at_ms": spec.created_at_ms,
                "expires_at_ms": spec.expires_at_ms,
            }
        case ChangeSpec() as spec:
            tree = write_change(spec)
        case _:
            tree = write(resource).get("spec", {})
    return {
        "kind": resource.kind.value,
        "metadata": write_metadata(resource.metadata),
        "spec": tree,
        "status": write_status(resource),
        "version": resource.version,
    }


def read_stored(tree: object, where: str = "journal") -> Resource:
    """Return the resource that `write_stored` wrote.

    Args:
        tree: as it was parsed from the store.
        where: named in the error: "entry 17".

    Raises:
        Corrupt: it is not of that form.
    """
    reading = Reading()
    if too_deep(tree):
        raise Corrupt(where, "nested deeper than anything that is ever written", _HINT)
    fields = reading.fields(tree, "", _STORED_FIELDS, _WHAT)
    name = fields.get("kind")
    if name not in [kind.value for kind in Kind]:
        raise Corrupt(where, f"unknown kind {name!r}", _HINT)
    kind = Kind(name)
    metadata = read_metadata(reading, fields.get("metadata"), kind)
    spec = read_spec(reading, kind, fields.get("spec")) or _by_verbs(reading, kind, fields.get("spec"))
    status = _status(reading, kind, fields.get("status"))
    version = reading.integer(fields.get("version"), "version")
    _refuse_damage(reading, where)
    return Resource(kind, metadata, spec, status, version)


def _by_verbs(reading: Reading, kind: Kind, tree: object) -> TokenSpec | ChangeSpec:
    return read_change(reading, tree) if kind is Kind.CHANGE else _token(reading, tree)


def _token(reading: Reading, tree: object) -> TokenSpec:
    fields = reading.fields(tree, "spec", ("hash", "role", "person", "created_at_ms", "expires_at_ms"), _WHAT)
    return TokenSpec(
        hash=reading.text(fields.get("hash"), "spec.hash"),
        role=reading.text(fields.get("role"), "spec.role"),
        person=reading.text(fields.get("person"), "spec.person"),
        created_at_ms=reading.integer(fields.get("created_at_ms"), "spec.created_at_ms"),
        expires_at_ms=reading.integer(fields.get("expires_at_ms"), "spec.expires_at_ms"),
    )


def _refuse_damage(reading: Reading, where: str) -> None:
    if reading.problems:
        raise Corrupt(where, str(reading.problems[0]), _HINT)
