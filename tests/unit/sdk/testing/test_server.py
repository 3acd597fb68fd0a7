"""A server for integration tests, with real clients."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rollout_sdk import Arm, Client, Context, Reason
from rollout_sdk.testing import Server

WAIT_S = 20
USER = Context("u-1")
EXAMPLES = Path(__file__).parents[4] / "examples"


def test_a_change_and_a_kill_are_in_force_when_they_are_acknowledged() -> None:
    """No sleeps in the user's test: it waits for the proof."""
    with Server({"a": True}) as server, server.client("web") as client:
        assert client.wait_until_ready(WAIT_S)
        assert client.enabled("a", USER)
        server.set({"a": False, "n": 3})
        assert server.wait_until_in_force()
        assert not client.enabled("a", USER, default=True)
        assert client.integer("n", USER) == 3
        revision = server.kill("n")
        assert server.wait_until_in_force()
        assert client.decide("n", USER).reason is Reason.KILLED
        (process,) = server.processes
        assert (process.service, process.revision, process.connected) == ("web", revision, True)
        server.unkill("n")
        server.remove("a")
        assert server.wait_until_in_force()
        assert client.integer("n", USER) == 3
        assert client.decide("a", USER).reason is Reason.UNKNOWN_FLAG


def test_nobody_in_force_is_said_when_nobody_is_there() -> None:
    """A test that waits for a process that never came learns it."""
    with Server({"a": True}) as server:
        assert not server.wait_until_in_force(timeout=0)


def test_a_client_from_the_environment_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code under test needs no change."""
    with Server({"a": True}) as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        with Client.from_env() as client:
            assert client.wait_until_ready(WAIT_S)
            assert client.enabled("a", USER)


def test_an_outage_leaves_the_rules_and_ends_where_it_began() -> None:
    """`stop` and `start`: the client goes on, resumes on the same port, and misses nothing."""
    with Server({"a": True}) as server, server.client() as client:
        assert client.wait_until_ready(WAIT_S)
        came_back = threading.Event()
        client.on_change(lambda flags: came_back.set() if "b" in flags else None)
        server.stop()
        assert client.enabled("a", USER)
        server.set({"b": 1})
        server.start()
        assert came_back.wait(WAIT_S)
        assert client.integer("b", USER) == 1


def test_a_goodbye_is_told() -> None:
    """A process that ends on purpose is not counted as lost."""
    with Server({"a": True}) as server:
        client = server.client()
        assert client.wait_until_ready(WAIT_S)
        client.close()
        assert server._ledger.wait_for(lambda all_: all_[0].said_goodbye and not all_[0].connected, WAIT_S)


def test_outcomes_of_a_scope_arrive_with_their_arm() -> None:
    """What code under test records can be asserted."""
    with Server() as server, server.client() as client:
        server.apply(EXAMPLES / "flags")
        server.apply(EXAMPLES / "rollouts")
        server.set({"new-cart": True})
        server.expose("checkout-v2-launch")
        assert client.wait_until_ready(WAIT_S)
        assert server.wait_until_in_force()
        with client.scope(USER) as scope:
            assert scope.enabled("checkout-v2")
            scope.record("checkout.error_rate", value=False)
            scope.record("checkout.latency", 0.1)
            scope.record("checkout.latency", 0.2)
        assert client.flush(WAIT_S)
        assert server.outcomes("checkout.latency") == {Arm.CANDIDATE: 2}
        assert server.outcomes("checkout.error_rate") == {Arm.CANDIDATE: 1}


def test_a_server_that_was_not_started_says_so() -> None:
    """Instead of a port nobody listens on."""
    with pytest.raises(RuntimeError, match="start it"):
        _ = Server().target


def test_a_wrong_token_gets_no_rules() -> None:
    """The client decides by defaults, as with a revoked one."""
    with Server({"a": True}) as server, Client(server.target, token="rg_other") as client:
        assert not client.wait_until_ready(0.2)
        assert client.decide("a", USER, default=False).reason is Reason.NOT_READY
