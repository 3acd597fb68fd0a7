"""Clients for tests of code that uses flags."""

import queue
import threading
from pathlib import Path

import pytest

from rollout_sdk import Arm, Context, Reason
from rollout_sdk.engine.model import FlagState, Ruleset
from rollout_sdk.testing import RulesetClient, fixed, from_files
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
    assert told.get(timeout=WAIT_S) == {"a"}
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


EXAMPLES = Path(__file__).parents[4] / "examples"


def test_a_value_that_is_no_json_or_a_key_of_no_flag_is_refused_and_nothing_changes() -> None:
    """A test that is wrong is told so where it is wrong."""
    client = fixed({"a": True})
    for values, why in (
        ({"a": {1, 2}}, "no JSON"),
        ({"a": float("nan")}, "no JSON"),
        ({"A b": 1}, "cannot name a flag"),
    ):
        with pytest.raises(ValueError, match=why):
            client.set(values)  # type: ignore[arg-type] # on purpose
    assert client.decide("a", USER).value is True
    client.set({"b": 2})
    assert client.integer("b", USER) == 2


def test_a_kill_serves_off_until_it_is_lifted() -> None:
    """Every type has an `off`; so a test can see what its code does then."""
    client = fixed({"a": True, "n": 3, "s": "x"})
    for key in ("a", "n", "s"):
        client.kill(key)
        assert client.decide(key, USER).reason is Reason.KILLED
    assert not client.enabled("a", USER)
    assert (client.integer("n", USER, 9), client.string("s", USER, "d")) == (0, "")
    client.unkill("n")
    assert client.integer("n", USER, 9) == 3
    with pytest.raises(LookupError, match="there is: a, n, s"):
        client.kill("gone")


def test_what_is_removed_is_unknown() -> None:
    """As where nobody has applied it yet."""
    client = fixed({"a": True, "b": True})
    client.remove("a", "gone")
    assert client.decide("a", USER).reason is Reason.UNKNOWN_FLAG
    assert client.enabled("b", USER)


def test_files_decide_as_they_would_after_apply() -> None:
    """The very files of production: rules, cohorts, splits."""
    client = from_files(EXAMPLES / "flags")
    staff = client.decide("checkout-v2", Context("user-7", email="me@example.com"), default=False)
    assert (staff.reason, staff.value) == (Reason.RULE, True)
    client.set({"page-limit": 99})
    assert client.integer("page-limit", USER) == 99


def test_a_rollout_of_a_file_exposes_whom_a_test_wants() -> None:
    """Nobody before; then a share, in a scope with its arm; a rollback takes it back."""
    client = from_files(EXAMPLES / "flags")
    client.set({"new-cart": True})
    client.apply(EXAMPLES / "rollouts")
    assert client.enabled("new-cart", USER)
    before = client.decide("checkout-v2", USER, default=False)
    assert (before.reason, before.arm, before.value) == (Reason.ROLLOUT, None, False)
    client.expose("checkout-v2-launch")
    exposed = client.decide("checkout-v2", USER, default=False)
    assert (exposed.arm, exposed.value, exposed.stage, exposed.run) == (Arm.CANDIDATE, True, "test", 1)
    client.expose("checkout-v2-launch", 1, stage="canary")
    assert client.decide("checkout-v2", USER, default=False).arm is Arm.CONTROL
    client.expose("checkout-v2-launch", 0)
    assert client.decide("checkout-v2", USER, default=False).value is False
    with pytest.raises(ValueError, match="0 to 1,000,000"):
        client.expose("checkout-v2-launch", 1_000_001)
    with pytest.raises(LookupError, match="checkout-v2-launch"):
        client.expose("launch")
