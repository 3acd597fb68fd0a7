"""A context that a function of the caller makes."""

import logging
import threading
from functools import partial

import pytest

from rollout_sdk import Context
from rollout_sdk.engine.context import EMPTY
from rollout_sdk.lazy_context import LazyContext
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset

USER = Context("u-1")


def test_the_function_is_called_once_and_only_when_needed() -> None:
    """By the first decision, whichever thread makes it."""
    calls: list[int] = []

    def make() -> Context:
        calls.append(1)
        return USER

    lazy = LazyContext(make)
    assert calls == []
    threads = [threading.Thread(target=lazy.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lazy.get() is USER
    assert calls == [1]


def test_a_scope_calls_it_with_the_first_decision_in_it() -> None:
    """A request that decides nothing costs no look-up of its user."""
    client, calls = RulesetClient(launch_ruleset()), []

    def make() -> Context:
        calls.append(1)
        return USER

    with client.scope(make):
        assert calls == []
    with client.scope(make) as scope:
        scope.enabled("checkout")
        scope.enabled("checkout")
        assert calls == [1]
        assert scope.context is USER
    with client.resume("", make) as scope:
        scope.decide("checkout")
    assert calls == [1, 1]


def test_one_that_raises_leaves_the_context_empty_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Made anew for each request, as by `partial` or a lambda, it is one function to the log."""

    def make(request: str) -> Context:
        raise LookupError(request)

    with caplog.at_level(logging.ERROR, logger="rollout_sdk"):
        for number in range(3):
            assert LazyContext(partial(make, f"request {number}")).get() is EMPTY
        for _ in range(3):
            assert LazyContext(lambda: Context(str(int("no number")))).get() is EMPTY
    assert len(caplog.records) == 2


def test_what_is_no_context_is_an_empty_one_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """An asynchronous function most of all, which nobody could await; None is nobody, on purpose."""

    async def make() -> Context:
        return USER

    with caplog.at_level(logging.ERROR, logger="rollout_sdk"):
        assert LazyContext(make).get() is EMPTY
        assert LazyContext(lambda: "u-1").get() is EMPTY
        assert LazyContext(lambda: None).get() is EMPTY
    assert ["coroutine" in record.message for record in caplog.records] == [True, False]


def test_one_that_decides_flags_itself_does_not_go_round_in_circles() -> None:
    """While it runs, the scope around it has no context yet."""
    client = RulesetClient(launch_ruleset())
    calls: list[int] = []

    def make() -> Context:
        calls.append(1)
        client.enabled("checkout", USER)
        return USER

    with client.scope(make) as scope:
        scope.enabled("checkout")
        assert scope.context is USER
    assert calls == [1]
