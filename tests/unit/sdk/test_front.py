"""What decisions read, and who is told of them."""

import logging
import threading
from collections.abc import Callable

import pytest

from rollout_sdk import Context, Decision, Reason
from rollout_sdk.engine.asking import Decides
from rollout_sdk.front import Front, Observed
from rollout_sdk.overrides import NotReady, Overridden
from rollout_sdk.testing import fixed

USER = Context("u")


def test_nobody_who_does_not_observe_pays() -> None:
    """Without observers the decider itself stands there; the last one to end leaves it as it was."""
    front = Front()
    assert front.now.decider is front.inner
    end = front.observe(lambda *_: None)
    assert front.now.decider is not front.inner
    end()
    end()
    assert front.now.decider is front.inner


def test_whoever_begins_to_observe_while_rules_change_does_not_bring_the_old_ones_back() -> None:
    """Many threads at once; in the end the last rules decide, and every observer is there."""
    front, rules = Front(), [NotReady() for _ in range(200)]
    ends: list[Callable[[], None]] = []

    def observe() -> None:
        ends.extend(front.observe(lambda *_: None) for _ in range(200))

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for each in rules:
        front.put(each)
    for thread in threads:
        thread.join()
    observed = front.now.decider
    assert isinstance(observed, Observed)
    assert observed._inner is front.inner is rules[-1]
    assert len(observed._observers) == len(ends) == 800
    for end in ends:
        end()
    assert front.now.decider == rules[-1]


class _Written:
    """Stands where `Now` stands, and tells of each assignment, as another thread would meet it."""

    decider: Decides
    bound: dict[object, object]

    def __init__(self, decider: Decides, then: Callable[[str], None]) -> None:
        self.__dict__ |= {"decider": decider, "bound": {}}
        self._then = then

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in ("bound", "decider"):
            self._then(name)


def _rules(*, value: bool) -> Decides:
    """Rules by which somebody was asked about flag "a"."""
    rules = fixed({"a": value})._front.inner
    rules.decide("a", USER)
    return rules


def test_no_moment_mixes_what_decides_with_flags_bound_by_other_rules() -> None:
    """An override, an observer and newer rules hold for every decision from the moment they hold for one."""
    front, first, second = Front(), _rules(value=True), _rules(value=False)
    seen: list[str] = []

    def look(name: str) -> None:
        seen.append(name)
        assert not front.now.bound or front.now.bound is getattr(front.now.decider, "bound", None)

    front.now = _Written(first, look)  # type: ignore[assignment] # it stands there all the same
    for each in (first, second, Overridden(second, {}, {"a": "off"}), first):
        front.put(each)
    front.observe(lambda *_: None)
    assert seen.count("decider") == 5


def test_whoever_begins_to_observe_in_the_midst_of_a_change_is_told() -> None:
    """A signal handler, say, between two steps of a change of rules."""
    front, told = Front(), list[object]()

    def interrupt(name: str) -> None:
        if name == "decider" and not front._observers:
            front.observe(lambda decision, _: told.append(decision.value))

    front.now = _Written(front.inner, interrupt)  # type: ignore[assignment] # as above
    front.put(_rules(value=True))
    assert not front.now.bound
    assert front.now.decider.decide("a", USER).value is True
    assert told == [True]


def test_every_decision_is_told_with_whom_it_is_for() -> None:
    """In the order of the calls, in the caller's thread; looking at all flags is no use of any."""
    client = fixed({"a": True, "b": 3})
    told: list[tuple[Decision, Context]] = []
    end = client.on_decision(lambda decision, context: told.append((decision, context)))
    assert client.enabled("a", USER)
    assert client.integer("b", USER) == 3
    assert client.string("b", USER, default="x") == "x"
    client.decide_all(USER)
    assert [(decision.flag, decision.reason) for decision, _ in told] == [
        ("a", Reason.DEFAULT),
        ("b", Reason.DEFAULT),
        ("b", Reason.WRONG_TYPE),
    ]
    assert {context for _, context in told} == {USER}
    end()
    client.enabled("a", USER)
    assert len(told) == 3


def test_observers_stay_when_the_rules_change() -> None:
    """A new revision is another decider, observed as the one before."""
    client = fixed({"a": True})
    told: list[object] = []
    client.on_decision(lambda decision, _: told.append(decision.value))
    client.enabled("a", USER)
    client.set({"a": False})
    client.enabled("a", USER)
    assert told == [True, False]


def test_an_observer_that_raises_harms_no_decision_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The decision stands, other observers are told, one traceback is enough."""
    client = fixed({"a": True})
    told: list[object] = []

    def raising(_decision: Decision, _context: Context) -> None:
        raise ValueError("mine")

    client.on_decision(raising)
    client.on_decision(lambda decision, _: told.append(decision.value))
    with caplog.at_level(logging.ERROR, logger="rollout_sdk"):
        assert client.enabled("a", USER)
        assert client.enabled("a", USER)
    assert told == [True, True]
    assert len(caplog.records) == 1


def test_an_observer_is_given_a_context_whatever_the_caller_gave() -> None:
    """What is no context counts as an empty one, here too."""
    client = fixed({"a": True})
    told: list[Context] = []
    client.on_decision(lambda _, context: told.append(context))
    client.enabled("a", "u-1")  # type: ignore[arg-type] # a mistake of a caller
    assert isinstance(told[0], Context)
    assert told[0].units == {}
