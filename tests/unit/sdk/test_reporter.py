"""The reporter against a scripted server: real gRPC on loopback, no sleeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from rollout_sdk.engine.model import Arm
from rollout_sdk.outbox import Outbox
from rollout_sdk.reporter import Reporter
from rollout_sdk.settings import Settings
from rollout_sdk.sums import ArmKey, ArmSums, EventSums, LossReason, RunKey, Window
from rollout_sdk.wire.v1 import telemetry_pb2
from tests.doubles.telemetry_server import TelemetryServer

WAIT_S = 20.0
RUN = RunKey("launch", 1)


class Source:
    """Counts one event whenever a test says so."""

    instance_id = "instance-1"

    def __init__(self) -> None:
        self.is_active = False
        self.counts = 0
        self.rotated = 0

    def rotate(self) -> Window:
        window, counts = Window(float(self.rotated)), self.counts
        self.rotated += 1
        if counts:
            self.counts -= counts
            events = EventSums()
            for _ in range(counts):
                events.add(0, 1.0, None)
            window.runs[RUN] = {ArmKey(1, 1, "", Arm.CONTROL): ArmSums({"errors": events})}
        return window


@pytest.fixture
def server() -> Iterator[TelemetryServer]:
    with TelemetryServer() as server:
        yield server


@pytest.fixture
def start(server: TelemetryServer) -> Iterator[Callable[..., Reporter]]:
    made: list[Reporter] = []

    def start(source: Source, outbox: Outbox | None = None, after: Reporter | None = None, **given: Any) -> Reporter:
        settings = Settings(server.target, token="rg_secret", backoff_base_ms=1, report_every_ms=60_000)
        reporter = Reporter(replace(settings, **given), source, outbox or Outbox())
        reporter.start(after)
        made.append(reporter)
        return reporter

    yield start
    for reporter in made:
        reporter.ask_to_stop(says_all=False)
        assert reporter.join(WAIT_S)


def events(requests: Iterable[telemetry_pb2.ReportRequest]) -> int:
    return sum(
        sum(sums.bucket_n)
        for request in requests
        for window in request.windows
        for run in window.runs
        for arm in run.arms
        for sums in arm.events
    )


def test_flush_waits_for_delivery(server: TelemetryServer, start: Callable[..., Reporter]) -> None:
    """What was counted before it is acknowledged after it."""
    source = Source()
    reporter = start(source)
    source.counts = 3
    assert reporter.flush(WAIT_S)
    assert events(server.taken) == 3
    assert [(request.instance_id, request.sequence) for request in server.taken] == [("instance-1", 1)]
    assert reporter.flush(WAIT_S)
    assert len(server.taken) == 1


def test_a_report_is_sent_again_until_it_is_acknowledged(
    server: TelemetryServer, start: Callable[..., Reporter]
) -> None:
    """Word for word, under the same sequence, whether the server failed or only its answer was lost."""
    source = Source()
    server.loses_answers = True
    reporter = start(source)
    source.counts = 2
    assert not reporter.flush(0)
    server.wait(2)
    source.counts = 5
    server.answer = grpc.StatusCode.UNAVAILABLE
    server.wait(4)
    server.answer, server.loses_answers = None, False
    assert reporter.flush(WAIT_S)
    by_sequence = {request.sequence: request for request in server.taken}
    assert sorted(by_sequence) == list(range(1, len(by_sequence) + 1))
    assert events(list(by_sequence.values())) == 7
    assert all(events([each]) == events([by_sequence[each.sequence]]) for each in server.requests)


def test_a_living_process_says_so_only_while_somebody_is_exposed(
    server: TelemetryServer, start: Callable[..., Reporter]
) -> None:
    """Empty reports tell a quiet night from blindness; without a rollout there are none."""
    idle, active = Source(), Source()
    active.is_active = True
    active.instance_id = "instance-2"
    start(idle, report_every_ms=1)
    start(active, report_every_ms=1)
    server.report_every_ms = 1
    server.wait(3)
    assert {request.instance_id for request in server.requests} == {"instance-2"}
    assert [len(request.windows) for request in server.requests[:3]] == [0, 0, 0]


def test_a_report_that_cannot_be_read_is_lost_and_the_next_goes_on(
    server: TelemetryServer, start: Callable[..., Reporter], caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and said."""
    source = Source()
    reporter = start(source)
    server.answer = grpc.StatusCode.INVALID_ARGUMENT
    source.counts = 2
    with caplog.at_level(logging.ERROR):
        reporter.flush(WAIT_S)
    server.answer = None
    source.counts = 1
    assert reporter.flush(WAIT_S)
    assert events(server.taken) == 1
    assert [(int(loss.reason), loss.count) for loss in server.taken[0].losses] == [(LossReason.REFUSED, 2)]
    assert "cannot read a report" in caplog.text


def test_stopping_for_a_fork_keeps_what_waits_and_the_next_sends_it(
    server: TelemetryServer, start: Callable[..., Reporter]
) -> None:
    """The parent goes on with the same outbox, and the same sequence."""
    source, outbox = Source(), Outbox()
    server.answer = grpc.StatusCode.UNAVAILABLE
    first = start(source, outbox)
    source.counts = 4
    assert not first.flush(0)
    server.wait(1)
    first.ask_to_stop(says_all=False)
    assert first.join(WAIT_S)
    server.answer = None
    second = start(source, outbox, first)
    source.counts = 1
    assert second.flush(WAIT_S)
    assert events(server.taken) == 5
    assert [request.sequence for request in server.taken] == [1, 2]


def test_a_report_given_up_for_a_fork_is_no_trouble(
    server: TelemetryServer, start: Callable[..., Reporter], caplog: pytest.LogCaptureFixture
) -> None:
    """The next reporter sends it; whoever forks under load is not alarmed."""
    source, outbox = Source(), Outbox()
    server.may_answer.clear()
    first = start(source, outbox)
    source.counts = 4
    assert not first.flush(0)
    server.wait(1)
    first.ask_to_stop(says_all=False)
    assert first.join(WAIT_S)
    server.may_answer.set()
    assert start(source, outbox, first).flush(WAIT_S)
    assert caplog.text == ""


def test_the_end_of_the_process_says_all(server: TelemetryServer, start: Callable[..., Reporter]) -> None:
    """What was counted in the last moment, too."""
    source = Source()
    reporter = start(source)
    source.counts = 2
    reporter.ask_to_stop(says_all=True)
    assert reporter.join(WAIT_S)
    assert events(server.taken) == 2


def test_the_end_of_the_process_does_not_wait_for_a_server_that_is_away() -> None:
    """It is tried once, and the rest is lost with the process."""
    with TelemetryServer() as gone:
        target = gone.target
    source = Source()
    reporter = Reporter(Settings(target, connect_timeout_ms=2_000), source, Outbox())
    reporter.start()
    source.counts = 2
    reporter.ask_to_stop(says_all=True)
    assert reporter.join(WAIT_S)
    assert not reporter.flush(0)


def test_a_reporter_that_never_started_stops() -> None:
    """An offline client's."""
    reporter = Reporter(Settings(), Source(), Outbox())
    reporter.ask_to_stop(says_all=True)
    assert reporter.join(0)
    assert reporter.flush(0)
