"""Deny by default: the table names every method, and a method without a row is nobody's."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rollout_sdk.wire.v1 import control_pb2, delivery_pb2, telemetry_pb2
from rollout_server.domain.rights import OPEN, RIGHTS, Role, allows, is_open, refusal, roles

FILES = (control_pb2, delivery_pb2, telemetry_pb2, health_pb2, reflection_pb2)
METHODS = sorted(
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)

# Written out a second time, on purpose: a right is given by two edits.
# s sdk, v viewer, a author, o operator, p approver, A admin
MATRIX = """
/rollout.v1.DeliveryService/Watch           s.....
/rollout.v1.TelemetryService/Report         s.....
/rollout.v1.ControlService/ExportSnapshot   svaopA
/rollout.v1.ControlService/GetStatus        .vaopA
/rollout.v1.ControlService/GetResource      .vaopA
/rollout.v1.ControlService/ListResources    .vaopA
/rollout.v1.ControlService/ListHistory      .vaopA
/rollout.v1.ControlService/Explain          .vaopA
/rollout.v1.ControlService/ListInstances    .vaopA
/rollout.v1.ControlService/VerifyAudit      .vaopA
/rollout.v1.ControlService/Diagnose         .vaopA
/rollout.v1.ControlService/Plan             .vaopA
/rollout.v1.ControlService/PlanRollout      .vaopA
/rollout.v1.ControlService/Apply            ..a..A
/rollout.v1.ControlService/Revert           ..ao.A
/rollout.v1.ControlService/Kill             ..aopA
/rollout.v1.ControlService/Unkill           ...o.A
/rollout.v1.ControlService/CreateToken      .....A
/rollout.v1.ControlService/ListTokens       .....A
/rollout.v1.ControlService/RevokeToken      .....A
/rollout.v1.ControlService/Backup           .....A
/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo .vaopA
"""
LETTERS = {"s": Role.SDK, "v": Role.VIEWER, "a": Role.AUTHOR, "o": Role.OPERATOR, "p": Role.APPROVER, "A": Role.ADMIN}
WANTED = {
    method: frozenset(LETTERS[letter] for letter in letters if letter != ".")
    for method, letters in (line.split() for line in MATRIX.strip().splitlines())
}


def test_every_method_of_every_service_has_a_row() -> None:
    """A method that nobody thought about fails here before it ships."""
    assert sorted({*RIGHTS, *OPEN}) == METHODS


def test_a_method_is_open_or_has_roles_never_both() -> None:
    assert not OPEN & set(RIGHTS)
    assert all(RIGHTS.values()), "a row without roles is a method nobody can call"


@pytest.mark.parametrize("method", sorted(WANTED))
def test_the_table_says_what_the_matrix_says(method: str) -> None:
    """Each role may call exactly what is written here."""
    assert {role for role in Role if allows(role, method)} == WANTED[method]


def test_what_has_no_row_is_denied_to_everybody() -> None:
    """Deny by default, admin included."""
    for method in ("/rollout.v1.ControlService/Newcomer", "", "Kill", "/rollout.v1.ControlService/kill"):
        assert roles(method) == frozenset()
        assert not is_open(method)
        assert not any(allows(role, method) for role in Role)


@pytest.mark.parametrize("method", sorted(RIGHTS))
def test_a_refusal_never_names_a_procedure(method: str) -> None:
    """Every right has its words: a person typed a command, and not the name of a method."""
    for role in set(Role) - roles(method):
        told = refusal(role, method)
        assert told.startswith(f"a token with role {role.value} may not ")
        assert method.rpartition("/")[2] not in told


def test_a_refusal_says_what_and_who() -> None:
    assert refusal(Role.AUTHOR, "/rollout.v1.ControlService/Unkill") == (
        "a token with role author may not unkill; it takes role operator or admin"
    )
    assert refusal(Role.VIEWER, "/rollout.v1.ControlService/Kill").endswith("author, operator, approver or admin")
    assert refusal(Role.ADMIN, "/rollout.v1.ControlService/Newcomer") == "no role may do this"


def test_only_health_is_open() -> None:
    """Nothing of ours is answered without a token."""
    assert {method.split("/")[1] for method in OPEN} == {"grpc.health.v1.Health"}


def test_the_table_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        RIGHTS["/x/Y"] = frozenset(Role)  # type: ignore[index]
