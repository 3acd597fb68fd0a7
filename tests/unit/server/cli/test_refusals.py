"""gRPC's errors, turned into what happened, where, and what to do next."""

from __future__ import annotations

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.connection import Connection
from rollout_server.cli.failures import Exit, ServerRefused
from rollout_server.cli.refusals import refusal
from rollout_server.cli.target import Target
from tests.doubles.control_service import Refusal, ScriptedControl, serving


def refused(refusal: Refusal) -> ServerRefused:
    with serving(ScriptedControl().on("GetStatus", refusal)) as server:
        connection = Connection(Target(server, "rg_x"))
        with pytest.raises(ServerRefused) as caught:
            connection.ask(connection.stub.GetStatus, pb.GetStatusRequest())
        connection.close()
    return caught.value


def test_the_servers_hint_code_and_problems_come_through() -> None:
    problem = pb.Problem(origin="f.yaml:1", resource="flag/a", path="spec", code="c", message="m", hint="h")
    detail = pb.ErrorDetail(code="invalid_input", hint="mend it", problems=[problem])
    found = refused(Refusal(grpc.StatusCode.INVALID_ARGUMENT, "1 problem", detail))
    assert (found.what, found.hint, found.code) == ("1 problem", "mend it", "invalid_input")
    assert str(found.problems[0]) == "f.yaml:1: flag/a: spec: m (h)"


def test_a_thousand_problems_arrive() -> None:
    """The channel takes more than the 8 KiB of a default one."""
    problems = [pb.Problem(path=f"spec.rules[{number}]", message="x" * 50) for number in range(2_000)]
    found = refused(Refusal(grpc.StatusCode.INVALID_ARGUMENT, "many", pb.ErrorDetail(problems=problems)))
    assert len(found.problems) == 2_000


def test_a_bug_of_the_server_names_its_log_line() -> None:
    found = refused(Refusal(grpc.StatusCode.INTERNAL, "incident 4f1c", pb.ErrorDetail(incident_id="4f1c")))
    assert "met a bug (incident 4f1c)" in found.what
    assert "4f1c in the server's log" in found.hint


def test_a_store_that_is_away_is_not_a_server_that_is_away() -> None:
    detail = pb.ErrorDetail(code="unavailable", hint="nothing was changed; try again when it is back")
    found = refused(Refusal(grpc.StatusCode.UNAVAILABLE, "the store is away", detail))
    assert (found.what, found.exit_code) == ("the store is away", Exit.UNREACHABLE)
    assert found.hint.startswith("nothing was changed")


def test_what_the_system_said_is_told_without_grpcs_steps() -> None:
    said = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused"
    found = refused(Refusal(grpc.StatusCode.UNAVAILABLE, said))
    assert found.details == ("plaintext: ipv4:127.0.0.1:1: Connection refused",)


def test_whatever_speaks_no_rollout_guard_is_named_so() -> None:
    found = refused(Refusal(grpc.StatusCode.UNIMPLEMENTED, ""))
    assert "refused (unimplemented)" in found.what
    assert "no Rollout Guard server" in found.hint


def test_a_call_in_time_or_not() -> None:
    found = refused(Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    assert "did not answer in time" in found.what
    assert found.exit_code is Exit.UNREACHABLE


def test_a_detail_that_does_not_parse_is_left_out() -> None:
    detail = pb.ErrorDetail.FromString(b"")
    detail.MergeFromString(b"\x0a\x01x")
    broken = Refusal(grpc.StatusCode.NOT_FOUND, "none", detail)
    assert refused(broken).code == "x"


@pytest.mark.parametrize(
    ("reason", "hint"),
    [("Socket closed", "--tls"), ("Connection refused", "rollout doctor --server")],
)
def test_a_handshake_that_fails_says_which_option_to_add(reason: str, hint: str) -> None:
    assert hint in refused(Refusal(grpc.StatusCode.UNAVAILABLE, reason)).hint


class Unreached(grpc.RpcError):
    """What gRPC raises where no connection came about."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return f"failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: {self.reason}"

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate", "--tls-ca"),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired", "renewed"),
        ("Custom verification check failed: Hostname Verification Check failed.", "names other hosts"),
        ("Socket closed", "--tls-cert"),
    ],
)
def test_distrust_says_whose_certificate_is_to_be_mended(reason: str, hint: str) -> None:
    """Another authority, one that is over, another name, and one of this client that is asked for."""
    assert hint in refusal(Unreached(reason), Target("far:1", "", is_secure=True)).hint
