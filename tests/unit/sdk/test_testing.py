"""Clients for tests of code that uses flags."""

import queue
import threading

from rollout_sdk import Context, Reason
from rollout_sdk.engine.model import FlagState, Ruleset
from rollout_sdk.testing import RulesetClient, fixed
from tests.small_rules import boolean, position

USER = Context("u")
WAIT_S = 20


def test_fixed_values_keep_their_types() -> None:
    """Asked for another type the default is served, as in production."""
    client = fixed({"on": True, "off": False, "n": 20, "x": 0.5, "s": "blue", "j": {"a": [1]}, "nothing": None})
    assert client.enabled("on", USER) is True
    assert client.enabled("off", USER, default=True) is False
    assert client.integer("n", USER) == 20
    assert repr(client.number("n", USER)) == "20.0"
    assert client.number("x", USER) == 0.5
    assert client.string("s", USER) == "blue"
    assert client.json("j", USER) == {"a": [1]}
    assert client.json("nothing", USER, default=1) is None
    assert client.string("n", USER, default="few") == "few"
    assert client.decide("gone", USER).reason is Reason.UNKNOWN_FLAG
    assert client.decide_all(USER).keys() == {"on", "off", "n", "x", "s", "j", "nothing"}


def test_set_changes_and_tells() -> None:
    """A test can flip a flag while the code runs."""
    client = fixed({"a": True, "b": 1})
    told: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
    client.on_change(told.put)
    client.set({"a": False})
    assert client.enabled("a", USER, default=True) is False
    assert client.integer("b", USER) == 1
    assert "a" in told.get(timeout=WAIT_S)
    client.close()


def test_there_are_no_threads_and_nothing_to_wait_for() -> None:
    """Ready at once, and quick to make by the hundred."""
    before = set(threading.enumerate())
    with fixed({"a": True}) as client:
        assert client.wait_until_ready(0)
        assert set(threading.enumerate()) == before


def test_a_ruleset_made_in_a_test_decides() -> None:
    """All of the engine, without a file."""
    flag = boolean("a")
    client = RulesetClient(Ruleset(position(3), {"a": flag}, {}, {"a": FlagState("a", killed=True)}))
    assert client.decide("a", USER).reason is Reason.KILLED
    assert client.status().revision == 3
