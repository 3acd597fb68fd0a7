"""What callers do without end costs memory with an end: unit keys, attributes, outcomes, callbacks, odd objects."""

# ruff: noqa: S311 - a seed that fails must fail again
from __future__ import annotations

import threading
import tracemalloc
from random import Random
from typing import Any

import pytest

from rollout_sdk import Client, Context
from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import Reach, Ruleset
from rollout_sdk.engine.sample import SAMPLE_UNITS_MAX
from rollout_sdk.outbox import CELLS_MAX, REPORT_CELLS_MAX, REPORT_UNITS_MAX, UNITS_MAX, WINDOWS_MAX, Outbox
from rollout_sdk.sums import Window
from rollout_sdk.tally import STRATA_MAX
from rollout_sdk.testing import RulesetClient
from tests.odd_values import odd_value
from tests.small_rules import boolean, by_rollout, position, rollout

WAIT_S = 20
REPORT_EVERY_S = 5
STATE = rollout("launch", "checkout", Reach("canary", 500_000))
METRICS = {
    "errors": MetricDeclaration("errors", Measures.PROPORTION, Per.EVENT),
    "latency": MetricDeclaration("latency", Measures.QUANTILE, Per.EVENT),
    "orders": MetricDeclaration("orders", Measures.PROPORTION, Per.UNIT),
}


def serving() -> Client:
    """A client that counts and has nobody to report to."""
    flags = {"a": boolean("a"), "checkout": by_rollout("checkout", "launch")}
    return RulesetClient(Ruleset(position(1), flags, {}, {}, {}, {"launch": STATE}, METRICS))


def visit(client: Client, number: int, random: Random) -> None:
    """One request of one user, with attributes that nobody has seen before."""
    user = Context(f"user-{number}", **{f"attribute-{number}": number, "plan": f"plan-{number}", "x": random.random()})
    client.enabled("a", user)
    with client.scope(user) as scope:
        scope.enabled("checkout")
        scope.record("errors", number % 9 == 0)
        scope.record("latency", random.random())
        scope.record("orders", True)
    client.record("errors", user, False)


@pytest.mark.parametrize("visits", [6_000, pytest.param(100_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(3_600)
def test_users_and_attributes_without_end(visits: int) -> None:
    """Twice as many cost no more than a trifle above the samples' bound: nothing is kept by key or attribute."""
    client, random = serving(), Random(1)
    counting = client._runtime.counting
    outbox = Outbox()
    kept: list[int] = []
    tracemalloc.start()
    try:
        for number in range(2 * visits):
            visit(client, number, random)
            if number % 1_000 == 0:
                outbox.put(counting.rotate())
            if number in (visits - 1, 2 * visits - 1):
                kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    samples = counting.telemetry.tally._samples.values()
    assert all(sample.count <= SAMPLE_UNITS_MAX for sample in samples)
    assert kept[-1] < 64 * 2**20
    assert visits < 2 * SAMPLE_UNITS_MAX or kept[1] - kept[0] < 8 * 2**20


def test_strata_without_end_are_the_rest() -> None:
    """An attribute with a value for each user makes 64 strata and one for all others."""
    state = rollout("launch", "checkout", Reach("canary", 1_000_000))
    flags = {"checkout": by_rollout("checkout", "launch")}
    stratified = Ruleset(position(1), flags, {}, {}, {}, {"launch": _with_strata(state)}, METRICS)
    client = RulesetClient(stratified)
    for number in range(2_000):
        with client.scope(Context(f"user-{number}", plan=f"plan-{number}")) as scope:
            scope.enabled("checkout")
            scope.record("errors", True)
    window = client._runtime.counting.rotate()
    assert {len(arms) for arms in window.runs.values()} == {STRATA_MAX + 1}


def _with_strata(state: Any) -> Any:
    from dataclasses import replace

    return replace(state, strata=("plan",))


def delivered(window: Window, metric: str) -> int:
    return sum(
        sums.events[metric].n.total()
        for arms in window.runs.values()
        for sums in arms.values()
        if metric in sums.events
    )


def test_an_hour_without_a_server() -> None:
    """By a simulated clock: bounded all the time, nothing is lost that fits, and the reports that follow are small."""
    client, random, outbox = serving(), Random(2), Outbox()
    counting = client._runtime.counting
    number = 0
    for now_s in range(0, 3_600, REPORT_EVERY_S):
        for _ in range(20):
            number += 1
            visit(client, number, random)
        window = counting.rotate()
        window.closed_at_s = float(now_s)
        outbox.put(window)
        assert len(outbox._waiting) <= WINDOWS_MAX
        assert sum(each.cells for each in outbox._waiting) <= CELLS_MAX
        assert sum(each.units for each in outbox._waiting) <= UNITS_MAX
        outbox.next_report(is_wanted=True)  # tried, and never acknowledged
    found = losses = reports = 0
    while (report := outbox.next_report(is_wanted=False)) is not None:
        assert sum(each.cells for each in report.windows) <= 2 * REPORT_CELLS_MAX
        assert sum(each.units for each in report.windows) <= 2 * REPORT_UNITS_MAX
        found += sum(delivered(each, "latency") for each in report.windows)
        losses += sum(count for _, count in report.losses)
        reports += 1
        outbox.acknowledge(report.sequence)
    assert (found, losses) == (number, 0)
    assert outbox.is_empty
    assert reports < 20


def test_callbacks_that_hang_or_raise_cost_one_thread_and_no_memory() -> None:
    """What happens meanwhile is one set of keys; the next callback is told of everything."""
    from rollout_sdk.testing import fixed

    client = fixed({"a": True, "b": True})
    started, let_go, told = threading.Event(), threading.Event(), list[frozenset[str]]()
    heard = threading.Event()

    def hang(flags: frozenset[str]) -> None:
        told.append(flags)
        if len(told) == 1:
            started.set()
            let_go.wait(WAIT_S)
        else:
            heard.set()

    client.on_change(hang)
    client.on_change(lambda flags: 1 / 0 if flags else None)
    client.set({"a": False})
    assert started.wait(WAIT_S)
    threads = threading.active_count()
    for number in range(500):
        client.set({"b": number % 2 == 0})
    assert threading.active_count() == threads
    assert client.enabled("b", Context("u")) is False
    let_go.set()
    assert heard.wait(WAIT_S)
    assert len(told) == 2
    client.close()


@pytest.mark.parametrize("values", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_odd_objects_in_every_place_of_every_call(values: int) -> None:
    """Contexts, keys, defaults, outcomes and tokens of any kind: a default or nothing, and never an exception."""
    client, random = serving(), Random(3)
    for _ in range(values):
        flag, context, default, metric, value, token = (odd_value(random) for _ in range(6))
        calls: Any = client
        assert calls.enabled(flag, context, default) is default or isinstance(flag, str)
        for ask in (calls.string, calls.integer, calls.number, calls.json, calls.decide):
            ask(flag, context, default)
            ask("checkout", context, default)
        calls.decide_all(context)
        calls.record(metric, context, value)
        calls.record("errors", context, value)
        with calls.scope(context) as scope:
            scope.enabled("checkout")
            scope.record(metric, value)
            scope.record("latency", value)
            scope.carry()
        calls.resume(token, context).record("errors", value)
    assert client.enabled("a", Context("u")) is True
