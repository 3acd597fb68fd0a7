"""A relay's door: closed while nothing is known, and for commands always. Over real gRPC in tests/e2e/test_relay.py."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.relaying import TokenHash, Tokens
from rollout_server.api.calls import Calls
from rollout_server.api.forwarding import RelayDoor
from rollout_server.api.metrics import Metrics
from rollout_server.app.relayed import Relayed
from rollout_server.domain.tokens import token_hash
from rollout_server.errors import Forbidden, Refused, Unavailable
from tests.doubles.fake_clock import FakeClock

SECRET = f"rg_0a1b2c3d_{'x' * 43}"
WATCH = "/rollout.v1.DeliveryService/Watch"
BEARER = (("authorization", f"Bearer {SECRET}"),)


def door(relayed: Relayed) -> RelayDoor:
    metrics = Metrics(lambda: (), "", is_durable=False)
    return RelayDoor(relayed, Calls(10, 10), metrics, "far.example.com:7070")


def test_who_may_come_is_what_upstream_said() -> None:
    """Before it said anything nobody hears that their token is wrong, for nobody knows."""
    relayed = Relayed("production", FakeClock(), 10)
    guarded = door(relayed)
    with pytest.raises(Unavailable, match="knows no token"):
        guarded._admit(WATCH, BEARER)
    relayed.admit(Tokens("production", ()))
    with pytest.raises(Forbidden):
        guarded._admit(WATCH, BEARER)
    relayed.admit(Tokens("production", (TokenHash("0a1b2c3d", token_hash(SECRET), 1 << 50),)))
    caller = guarded._admit(WATCH, BEARER)
    assert caller is not None
    assert caller.environment is relayed
    with pytest.raises(Forbidden):
        guarded._admit("/rollout.v1.DeliveryService/Relay", BEARER)


def test_commands_are_told_where_to_go() -> None:
    with pytest.raises(Refused, match=r"far\.example\.com:7070") as caught:
        door(Relayed("production", FakeClock(), 10))._admit("/rollout.v1.ControlService/Kill", ())
    assert "--server far.example.com:7070" in caught.value.hint


def test_health_is_told_to_everybody() -> None:
    assert door(Relayed("production", FakeClock(), 10))._admit("/grpc.health.v1.Health/Check", ()) is None
