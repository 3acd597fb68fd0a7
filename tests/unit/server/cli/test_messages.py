"""The stable shape of `-o json`."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli import messages


@pytest.mark.parametrize(
    ("action", "key", "expected"),
    [
        ("apply", "cart", "rollout revert 9"),
        ("revert", "cart", "rollout revert 9"),
        ("kill", "cart", "rollout unkill cart"),
        ("unkill", "cart", "rollout kill cart"),
        ("create token", "rg_1", "rollout token revoke rg_1"),
        ("start", "launch", "rollout rollback launch"),
        ("advance", "launch", ""),  # by the engine, often: the rollout's own line says how it is undone
        ("finish", "cart", "rollout rollback cart"),
        ("pause", "launch", "rollout resume launch"),
        ("resume", "launch", "rollout pause launch"),
        ("cancel", "launch", "rollout start launch"),
        ("rollback", "launch", ""),
        ("freeze", "lunch", "rollout thaw lunch"),
        ("thaw", "lunch", "rollout revert 9"),
        ("revoke token", "rg_1", ""),
        ("something later", "x", ""),
    ],
)
def test_every_action_has_its_undo(action: str, key: str, expected: str) -> None:
    entry = pb.Entry(revision=9, action=action, changes=[pb.ResourceChange(kind="Flag", key=key)])
    assert messages.undo(entry) == expected


def test_an_entry() -> None:
    change = pb.ResourceChange(
        kind="Flag",
        key="cart",
        operation=pb.OPERATION_CREATE,
        version_after=9,
        fields=[pb.FieldChange(path="spec.default", after_json='{"a": [1, 2.5, null]}')],
    )
    same = pb.ResourceChange(kind="Flag", key="same", operation=pb.OPERATION_UNCHANGED)
    entry = pb.Entry(
        revision=9, at_ms=5, actor="jo (rg_1)", action="apply", reason="why", changes=[change, same], digest=b"\x0f"
    )
    assert messages.entry(entry) == {
        "revision": 9,
        "at_ms": 5,
        "actor": "jo (rg_1)",
        "action": "apply",
        "reason": "why",
        "changes": [
            {
                "resource": "flag/cart",
                "operation": "create",
                "version_before": 0,
                "version_after": 9,
                "fields": [{"path": "spec.default", "before": None, "after": {"a": [1, 2.5, None]}}],
            }
        ],
        "digest": "0f",
        "undo": "rollout revert 9",
    }


def test_a_resource_is_its_document_and_what_stands_beside_it() -> None:
    message = pb.Resource(
        document=pb.Document(kind="Flag", key="cart", json='{"kind": "Flag", "metadata": {"key": "cart"}}'),
        status_json='{"killed": true}',
        version=4,
        dependents=["flag/a"],
    )
    assert messages.resource(message) == {
        "kind": "Flag",
        "metadata": {"key": "cart"},
        "status": {"killed": True},
        "version": 4,
        "dependents": ["flag/a"],
    }


def test_a_token_never_carries_a_secret() -> None:
    assert messages.token(pb.Token(id="rg_1", role="sdk", person="shop", created_at_ms=1)) == {
        "id": "rg_1",
        "role": "sdk",
        "person": "shop",
        "created_at_ms": 1,
        "expires_at_ms": None,
        "revoked_at_ms": None,
    }


def test_a_number_larger_than_a_double_survives() -> None:
    assert messages.parsed("9007199254740993") == 2**53 + 1


@pytest.mark.parametrize(("text", "expected"), [("", None), ("null", None), ("{", "{"), ("[" * 100_000, "[" * 100_000)])
def test_what_is_no_json_is_shown_as_it_is(text: str, expected: object) -> None:
    assert messages.parsed(text) == expected


def test_people() -> None:
    assert messages.person("mia@example.com (a1b2)") == "mia@example.com"
    assert messages.person("rollout-server") == "rollout-server"
    assert messages.person("(odd)") == "(odd)"


def test_numbers_of_a_later_release_have_a_word() -> None:
    change = pb.ResourceChange.FromString(b"\x18\x63")  # field 3, an operation nobody knows yet
    assert messages.change(change)["operation"] == "unknown"
