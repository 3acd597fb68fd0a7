"""Questions: what was asked before is answered at once, and all else is the decider's."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_sdk.engine.asking import Asking, Now
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Decision, Origin, Reason, ValueType
from tests.evaluation_worlds import seeded
from tests.odd_values import odd_value

USER = Context("u-1")
ON = Decision("f", value=True, reason=Reason.DEFAULT, variant="on", origin=Origin())
TEXT = Decision("t", value="blue", reason=Reason.DEFAULT, variant="blue", origin=Origin())


class Slowly:
    """A decider that notes what it is asked."""

    origin = Origin()

    def __init__(self) -> None:
        self.asked: list[tuple[object, object, object]] = []

    def decide(self, flag_key: Any, context: Any, default: Any = None, type: ValueType | None = None) -> Decision:  # noqa: A002 - as the engine has it
        self.asked.append((flag_key, default, type))
        return Decision("slow", default, Reason.ERROR, None, self.origin)

    def decide_all(self, context: Context) -> dict[str, Decision]:
        return {}


def standing(*, evaluate: Any = lambda _context: 1, on: Decision | None = ON) -> tuple[Slowly, Asking]:
    decider = Slowly()
    now = Now(decider)
    compiled: Any = None
    now.bound = {
        "f": (evaluate, [None, on], ValueType.BOOLEAN, compiled),
        "t": (lambda _context: 0, [TEXT], ValueType.STRING, compiled),
    }
    return decider, Asking(now)


def test_what_was_asked_before_asks_nobody() -> None:
    decider, asking = standing()
    assert asking.decide("f", USER) is ON
    assert asking.enabled("f", USER) is True
    assert asking.decide("t", USER) is TEXT
    assert decider.asked == []


@pytest.mark.parametrize("context", [None, "u-1", object(), 7])
def test_a_context_that_is_none_is_the_deciders(context: Any) -> None:
    """Its code is a stranger's, and must not run."""
    decider, asking = standing(evaluate=lambda stranger: stranger.attributes["x"])
    assert asking.decide("f", context, 5).value == 5
    assert asking.enabled("f", context, default=True) is True
    assert decider.asked == [("f", 5, None), ("f", True, ValueType.BOOLEAN)]


def test_whatever_is_not_so_simple_is_the_deciders() -> None:
    """Asked for the first time, of another type, not there, odd, or failing."""
    decider, asking = standing(on=None)
    asking.decide("f", USER)
    asking.enabled("f", USER)
    asking.enabled("t", USER)
    asking.decide("absent", USER)
    assert [key for key, _, _ in decider.asked] == ["f", "f", "t", "absent"]
    failing, asking = standing(evaluate=lambda _context: 1 // 0)
    assert asking.decide("f", USER, "mine").value == "mine"
    random = seeded(3)
    keys = [odd_value(random) for _ in range(200)]
    for key in keys:
        default = odd_value(random)
        assert asking.decide(key, USER, default).value is default
        assert asking.enabled(key, USER, default) is default
    assert len(failing.asked) == 1 + 2 * len(keys)


def test_what_decides_now_is_read_by_every_question() -> None:
    """A swap is one assignment, and nobody is handed what was before."""
    decider, asking = standing()
    now = Now(decider)
    asking = Asking(now)
    assert asking.decide("f", USER).flag == "slow"
    now.bound = {"f": (lambda _context: 0, [ON], ValueType.BOOLEAN, None)}  # type: ignore[dict-item] # not asked for
    assert asking.decide("f", USER) is ON
