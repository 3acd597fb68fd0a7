"""Who may call what: one table, and what is not in it is denied to everybody."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(Enum):
    """What a token may do. Roles are not ranks: each right is written out below."""

    SDK = "sdk"
    RELAY = "relay"
    VIEWER = "viewer"
    AUTHOR = "author"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


_PEOPLE = frozenset(Role) - {Role.SDK, Role.RELAY}
_ADMIN = frozenset({Role.ADMIN})
_SAFER = _PEOPLE - {Role.VIEWER}
_OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
_CONTROL = "/rollout.v1.ControlService/"

OPEN = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch"})
"""Answered without a token: a load balancer has none, and the answer says only whether this server serves."""

RIGHTS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        # An SDK token sees what decides, and nothing else; a person's token is no way into the registry of processes.
        "/rollout.v1.DeliveryService/Watch": frozenset({Role.SDK}),
        # A relay speaks for the processes of its environment, and is told the hashes of their tokens. What they report
        # it passes on under their own.
        "/rollout.v1.DeliveryService/Relay": frozenset({Role.RELAY}),
        "/rollout.v1.TelemetryService/Report": frozenset({Role.SDK}),
        _CONTROL + "ExportSnapshot": _PEOPLE | {Role.SDK},
        _CONTROL + "GetStatus": _PEOPLE,
        _CONTROL + "GetResource": _PEOPLE,
        _CONTROL + "ListResources": _PEOPLE,
        _CONTROL + "ListHistory": _PEOPLE,
        _CONTROL + "Explain": _PEOPLE,
        _CONTROL + "ListInstances": _PEOPLE,
        _CONTROL + "VerifyAudit": _PEOPLE,
        _CONTROL + "Diagnose": _PEOPLE,
        _CONTROL + "Plan": _PEOPLE,
        _CONTROL + "PlanRollout": _PEOPLE,
        _CONTROL + "Apply": frozenset({Role.AUTHOR, Role.ADMIN}),
        _CONTROL + "Revert": frozenset({Role.AUTHOR, Role.OPERATOR, Role.ADMIN}),
        # Killing makes safer: whoever may change anything may kill. Lifting a kill grows: authors may not undo on-call.
        _CONTROL + "Kill": _SAFER,
        _CONTROL + "Unkill": _OPERATORS,
        _CONTROL + "GetRollout": _PEOPLE,
        _CONTROL + "ListEvents": _PEOPLE,
        _CONTROL + "GetCertificate": _PEOPLE,
        # What makes safer or stands still is for whoever may change anything; what grows is an operator's.
        _CONTROL + "PauseRollout": _SAFER,
        _CONTROL + "CancelRollout": _SAFER,
        _CONTROL + "Acknowledge": _SAFER,
        _CONTROL + "Rollback": _SAFER,
        _CONTROL + "Freeze": _SAFER,
        _CONTROL + "StartRollout": _OPERATORS,
        _CONTROL + "ResumeRollout": _OPERATORS,
        _CONTROL + "PromoteRollout": _OPERATORS,
        _CONTROL + "FinishRollout": _OPERATORS,
        _CONTROL + "Thaw": _OPERATORS,
        # Whether the person is of the group that is asked is looked at besides.
        _CONTROL + "ApproveStage": frozenset({Role.APPROVER, Role.ADMIN}),
        _CONTROL + "RejectStage": frozenset({Role.APPROVER, Role.ADMIN}),
        # Here too; authors may withdraw what is theirs, which is looked at besides.
        _CONTROL + "ListChanges": _PEOPLE,
        _CONTROL + "GetChange": _PEOPLE,
        _CONTROL + "ApproveChange": frozenset({Role.APPROVER, Role.ADMIN}),
        _CONTROL + "RejectChange": frozenset({Role.AUTHOR, Role.OPERATOR, Role.APPROVER, Role.ADMIN}),
        # Tokens and the whole store, hashes included.
        _CONTROL + "CreateToken": _ADMIN,
        _CONTROL + "ListTokens": _ADMIN,
        _CONTROL + "RevokeToken": _ADMIN,
        _CONTROL + "Backup": _ADMIN,
        # Reflection tells the shape of the contract, which is public, but it is a stream anybody could hold open.
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _PEOPLE,
    }
)
"""Full gRPC method name to the roles that may call it."""

_DEEDS: Mapping[str, str] = MappingProxyType(
    {
        "/rollout.v1.DeliveryService/Watch": "watch flags as an SDK does",
        "/rollout.v1.DeliveryService/Relay": "relay an environment",
        "/rollout.v1.TelemetryService/Report": "report telemetry",
        _CONTROL + "ExportSnapshot": "export a snapshot",
        _CONTROL + "GetStatus": "see the status",
        _CONTROL + "GetResource": "see resources",
        _CONTROL + "ListResources": "list resources",
        _CONTROL + "ListHistory": "see the history",
        _CONTROL + "Explain": "explain decisions",
        _CONTROL + "ListInstances": "list connected SDKs",
        _CONTROL + "VerifyAudit": "verify the audit",
        _CONTROL + "Diagnose": "diagnose the server",
        _CONTROL + "Plan": "plan",
        _CONTROL + "PlanRollout": "plan a rollout",
        _CONTROL + "Apply": "apply",
        _CONTROL + "Revert": "revert",
        _CONTROL + "Kill": "kill",
        _CONTROL + "Unkill": "unkill",
        _CONTROL + "GetRollout": "see rollouts",
        _CONTROL + "ListEvents": "see events",
        _CONTROL + "GetCertificate": "see certificates",
        _CONTROL + "PauseRollout": "pause rollouts",
        _CONTROL + "CancelRollout": "cancel rollouts",
        _CONTROL + "Acknowledge": "acknowledge",
        _CONTROL + "Rollback": "roll back",
        _CONTROL + "Freeze": "freeze",
        _CONTROL + "StartRollout": "start rollouts",
        _CONTROL + "ResumeRollout": "resume rollouts",
        _CONTROL + "PromoteRollout": "promote rollouts",
        _CONTROL + "FinishRollout": "finish rollouts",
        _CONTROL + "Thaw": "thaw",
        _CONTROL + "ApproveStage": "approve stages",
        _CONTROL + "RejectStage": "reject stages",
        _CONTROL + "ListChanges": "list changes",
        _CONTROL + "GetChange": "see a change",
        _CONTROL + "ApproveChange": "approve changes",
        _CONTROL + "RejectChange": "reject or withdraw changes",
        _CONTROL + "CreateToken": "create tokens",
        _CONTROL + "ListTokens": "list tokens",
        _CONTROL + "RevokeToken": "revoke tokens",
        _CONTROL + "Backup": "back up the store",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "ask for the shape of the contract",
    }
)
"""Full gRPC method name to what calling it is, after "may not"."""

_NOBODY: frozenset[Role] = frozenset()


def is_open(method: str) -> bool:
    """Say whether the method (a full gRPC name, "/package.Service/Method") is answered without a token."""
    return method in OPEN


def roles(method: str) -> frozenset[Role]:
    """Return who may call the method; nobody where it has no row."""
    return RIGHTS.get(method, _NOBODY)


def refusal(role: Role, method: str) -> str:
    """Return what a token of this role is told that may not call the method: what it may not do, and who may."""
    able = [one.value for one in Role if one in roles(method)]
    if not able:
        return "no role may do this"
    either = f"{', '.join(able[:-1])} or {able[-1]}" if able[1:] else able[0]
    return f"a token with role {role.value} may not {_DEEDS[method]}; it takes role {either}"


def allows(role: Role, method: str) -> bool:
    """Say whether a token of this role may call the method."""
    return role in roles(method)
