"""`rollout token`."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.token import ROLES
from rollout_server.domain.rights import Role
from tests.doubles.command_line import NOW_MS, CommandLine
from tests.doubles.control_service import ScriptedControl

TOKEN = pb.Token(id="45ca", role="sdk", person="shop", created_at_ms=NOW_MS - 60_000, expires_at_ms=NOW_MS + 86_400_000)
CREATED = pb.CreateTokenResponse(secret="rg_secret", token=TOKEN, entry=pb.Entry(revision=5))


def test_the_secret_is_alone_on_stdout(rollout: CommandLine, control: ScriptedControl) -> None:
    """`TOKEN=$(rollout token create ...)` holds the secret and nothing else."""
    control.on("CreateToken", CREATED)
    outcome = rollout("token", "create", "--role", "sdk", "--person", "shop", "--expires", "30d")
    assert outcome.out == "rg_secret\n"
    assert "rg_secret" not in outcome.err
    assert "undo: rollout token revoke 45ca" in outcome.err
    (request,) = control.requests("CreateToken")
    assert (request.role, request.person) == ("sdk", "shop")
    assert request.expires_at_ms == NOW_MS + 30 * 86_400_000
    assert request.intent.idempotency_key


def test_without_a_lifetime_the_server_decides(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("CreateToken", CREATED)
    data = rollout("token", "create", "--role", "sdk", "--person", "shop", "-o", "json").data
    assert control.requests("CreateToken")[0].expires_at_ms == 0
    assert (data["secret"], data["revision"], data["token"]["id"]) == ("rg_secret", 5, "45ca")


def test_a_repeated_call_cannot_show_the_secret_again(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("CreateToken", pb.CreateTokenResponse(token=TOKEN, entry=pb.Entry(revision=5)))
    outcome = rollout("token", "create", "--role", "sdk", "--person", "shop", "--idempotency-key", "k")
    assert outcome.out == ""
    assert "its secret was shown then" in outcome.err


def test_the_list(rollout: CommandLine, control: ScriptedControl) -> None:
    revoked = pb.Token(id="aa", role="admin", person="jo", created_at_ms=NOW_MS, revoked_at_ms=NOW_MS - 60_000)
    expired = pb.Token(id="bb", role="viewer", person="mia", created_at_ms=NOW_MS, expires_at_ms=NOW_MS)
    control.on("ListTokens", pb.ListTokensResponse(tokens=[TOKEN, revoked, expired]))
    outcome = rollout("token", "list")
    assert outcome.err == "production · 3 tokens\n"
    assert outcome.out == (
        "ID    ROLE    STATE             PERSON  CREATED   EXPIRES\n"
        "45ca  sdk     ✔ valid           shop    1m ago    2026-11-19 11:06:40Z\n"
        "aa    admin   ✘ revoked 1m ago  jo      just now  -\n"
        "bb    viewer  ✘ expired         mia     just now  2026-11-18 11:06:40Z\n"
    )


def test_no_tokens(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("ListTokens", pb.ListTokensResponse())
    assert "rollout token create" in rollout("token", "list").out


def test_revoking(rollout: CommandLine, control: ScriptedControl) -> None:
    control.on("RevokeToken", pb.RevokeTokenResponse(entry=pb.Entry(revision=6)), pb.RevokeTokenResponse())
    assert "token 45ca is revoked (revision 6)" in rollout("token", "revoke", "45ca").out
    assert "was revoked already" in rollout("token", "revoke", "45ca").out


def test_the_roles_are_those_of_the_rights_table() -> None:
    assert set(ROLES) == {role.value for role in Role}


def test_a_lifetime_that_is_none_is_usage(rollout: CommandLine, control: ScriptedControl) -> None:
    assert rollout("token", "create", "--role", "sdk", "--person", "x", "--expires", "soon").code == 2
    assert rollout("token", "creat").err.endswith("did you mean create?\n")
    assert control.calls == []
