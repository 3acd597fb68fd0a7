"""The control contract's messages and the words of the application, both ways. No decision is made here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.delivery import read_position, write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.app.documents import Document
from rollout_server.app.environment import At
from rollout_server.app.instance import InstanceState
from rollout_server.app.intent import Intent
from rollout_server.domain.diff import Operation
from rollout_server.domain.resources import PLANNED
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_server.app.diagnose import Check
    from rollout_server.app.history import ToldEntry
    from rollout_server.app.instance import InstanceView
    from rollout_server.app.resources import ResourceView
    from rollout_server.app.status import FlagSummary
    from rollout_server.app.tokens import TokenView
    from rollout_server.domain.diff import ResourceChange
    from rollout_server.domain.resources import Kind

_OPERATIONS: Mapping[Operation, pb.Operation.ValueType] = MappingProxyType(
    {
        Operation.CREATE: pb.OPERATION_CREATE,
        Operation.UPDATE: pb.OPERATION_UPDATE,
        Operation.DELETE: pb.OPERATION_DELETE,
        Operation.UNCHANGED: pb.OPERATION_UNCHANGED,
    }
)

_STATES: Mapping[InstanceState, pb.InstanceState.ValueType] = MappingProxyType(
    {
        InstanceState.IN_FORCE: pb.INSTANCE_STATE_IN_FORCE,
        InstanceState.QUARANTINED: pb.INSTANCE_STATE_QUARANTINED,
        InstanceState.STRAGGLING: pb.INSTANCE_STATE_STRAGGLING,
        InstanceState.UNREACHABLE: pb.INSTANCE_STATE_UNREACHABLE,
    }
)

_KINDS = MappingProxyType({kind.value.casefold(): kind for kind in PLANNED})


def intent_of(message: pb.Intent) -> Intent:
    """Read an intent."""
    return Intent(message.idempotency_key, message.reason)


def kind_of(text: str) -> Kind:
    """Read a kind of resource, "Flag" or "flag".

    Raises:
        InvalidInput: there is no such kind; tokens and changes are none, they have calls of their own.
    """
    kind = _KINDS.get(text.casefold())
    if kind is None:
        known = ", ".join(_KINDS)
        problem = Problem("", "kind", "unknown_kind", f"there is no kind {text[:64]!r}", f"kinds are: {known}")
        raise InvalidInput([problem])
    return kind


def at_of(message: pb.At) -> At:
    """Read a point of history; an empty one means now."""
    match message.WhichOneof("point"):
        case "revision":
            return At(revision=message.revision)
        case "time_ms":
            return At(time_ms=message.time_ms)
        case _:
            return At()


def documents_of(messages: Iterable[pb.Document]) -> tuple[Document, ...]:
    """Read documents."""
    return tuple(Document(one.json, one.kind, one.key, one.origin) for one in messages)


def expected_of(message: pb.VerifyAuditRequest) -> Position | None:
    """Read the head that was kept elsewhere, if one was sent."""
    return read_position(message.expected_head) if message.HasField("expected_head") else None


def entry(told: ToldEntry) -> pb.Entry:
    """Write an entry with its fields before and after."""
    known = told.entry
    return pb.Entry(
        revision=known.revision,
        at_ms=known.at_ms,
        actor=known.actor,
        action=known.action,
        reason=known.reason,
        changes=[resource_change(change) for change in told.changes],
        digest=known.digest,
    )


def resource_change(change: ResourceChange) -> pb.ResourceChange:
    """Write how a resource differs."""
    return pb.ResourceChange(
        kind=change.id.kind.value,
        key=change.id.key,
        operation=_OPERATIONS[change.operation],
        version_before=change.version_before,
        version_after=change.version_after,
        fields=[
            pb.FieldChange(path=one.path, before_json=one.before_json, after_json=one.after_json)
            for one in change.fields
        ],
    )


def resource(view: ResourceView) -> pb.Resource:
    """Write a resource as it stands."""
    known = view.resource
    return pb.Resource(
        document=pb.Document(kind=known.kind.value, key=known.metadata.key, json=view.json),
        status_json=view.status_json,
        version=known.version,
        dependents=view.dependents,
    )


def flag_summary(one: FlagSummary) -> pb.FlagSummary:
    """Write a flag in a line."""
    return pb.FlagSummary(
        key=one.key,
        killed=one.killed,
        serving=one.serving,
        version=one.version,
        owner=one.owner,
        expires=one.expires,
        expired=one.expired,
    )


def instance(view: InstanceView) -> pb.Instance:
    """Write a process."""
    known, greeting = view.instance, view.instance.greeting
    return pb.Instance(
        instance_id=greeting.instance_id,
        service=greeting.service,
        host=greeting.host,
        pid=greeting.pid,
        sdk_version=greeting.sdk_version,
        state=_STATES[view.state],
        in_force=write_position(known.in_force),
        lag_ms=known.lag_ms,
        connected_at_ms=known.connected_at_ms,
        last_seen_at_ms=known.last_seen_at_ms,
        quarantined_flags=known.quarantined,
        missing_capabilities=view.missing_capabilities,
        behind=view.instance.behind,
        replica=view.instance.replica,
        error=known.error,
    )


def token(view: TokenView) -> pb.Token:
    """Write a token as people may see it."""
    return pb.Token(
        id=view.id,
        role=view.role,
        person=view.person,
        created_at_ms=view.created_at_ms,
        expires_at_ms=view.expires_at_ms,
        revoked_at_ms=view.revoked_at_ms,
    )


def check(one: Check) -> pb.Check:
    """Write a check."""
    return pb.Check(name=one.name, ok=one.ok, detail=one.detail, hint=one.hint)
