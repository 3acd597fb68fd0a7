"""A timed store is the store, and notes how long it took."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from rollout_server import ports
from rollout_server.app.environment import Environment
from rollout_server.app.time_store import (
    CALLS,
    JOURNAL,
    READ,
    TELEMETRY,
    WRITE,
    StoreTimes,
    TimedJournal,
    TimedTelemetry,
)
from rollout_server.errors import Conflict, Unavailable
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.small_environment import flag, put
from tests.small_server import http_get, world


class Ticking:
    """A clock on which each look takes a quarter of a second."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.25
        return self.now_s


@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_takes_is_noted_whether_it_ends_well_or_not(call: tuple[str, str]) -> None:
    times = StoreTimes("redis", Ticking())
    with times.timing(*call):
        pass
    with pytest.raises(Conflict), times.timing(*call):
        raise Conflict("journal", 1, 2)
    assert times.took[call].sum_s == 0.5
    assert times.failures[call] == 0


def test_a_store_that_is_away_is_counted() -> None:
    """Nothing else is: a conflict is an answer."""
    times = StoreTimes("redis")
    with pytest.raises(Unavailable), times.timing(TELEMETRY, READ):
        raise Unavailable("redis", "away", "wait")
    assert times.failures == {(TELEMETRY, READ): 1}


class Echo:
    """A store that answers each call with what it was asked."""

    def __getattr__(self, name: str) -> Any:
        async def answer(*given: object, **named: object) -> object:
            return name, given, named

        return answer


def calls_of(port: type) -> list[str]:
    return [name for name, member in vars(port).items() if not name.startswith("_") and callable(member)]


@pytest.mark.parametrize(
    ("timed", "port", "call"),
    [
        (timed, port, call)
        for timed, port in ((TimedJournal, ports.Journal), (TimedTelemetry, ports.TelemetryStore))
        for call in calls_of(port)
    ],
)
async def test_every_call_is_handed_on_with_all_that_it_was_given(timed: Any, port: Any, call: str) -> None:
    """So that a timed store keeps every promise of the one inside."""
    signature = inspect.signature(getattr(port, call))
    assert inspect.signature(getattr(timed, call)) == signature
    parameters = [each for name, each in signature.parameters.items() if name != "self"]
    given = tuple(object() for each in parameters if each.kind is not each.KEYWORD_ONLY)
    named = {each.name: object() for each in parameters if each.kind is each.KEYWORD_ONLY}
    answer = await getattr(timed(Echo(), StoreTimes("x")), call)(*given, **named)
    assert answer == (None if signature.return_annotation == "None" else (call, given, named))


async def test_commits_and_reads_of_an_environment_are_told_apart() -> None:
    times, journal = StoreTimes("sqlite"), MemoryJournal(clock=FakeClock())
    environment = Environment(TimedJournal(journal, times), FakeClock())
    await environment.start()
    await put(environment, flag("checkout"))
    await environment.close()
    assert times.took[JOURNAL, WRITE].count == 1
    assert times.took[JOURNAL, READ].count >= 1
    assert TimedTelemetry(MemoryTelemetry(window_ms=7), times).window_ms == 7


async def test_a_server_tells_what_its_store_takes(tmp_path: Path) -> None:
    """By store, part and direction, and by nothing that people name."""
    async with world(tmp_path, http_listen="127.0.0.1:0") as around:
        _, body = await http_get(around.running.http_address, "/metrics")
    assert 'rollout_store_seconds_bucket{le="+Inf",operation="write",part="journal",store="sqlite"}' in body
    assert 'rollout_store_failures_total{operation="read",part="telemetry",store="sqlite"} 0.0' in body
