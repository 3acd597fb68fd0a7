"""The thread that tells the server what was counted: one report at a time, again until it is acknowledged.

Decisions and outcomes never wait for it. While the server is away, windows wait in an `Outbox` of bounded room.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from rollout_sdk.backoff import backoff_ms
from rollout_sdk.channel import cast_anchor, dial, expect_threads, helpers, see_off, suit
from rollout_sdk.lifecycle import gate
from rollout_sdk.outbox import Outbox
from rollout_sdk.surroundings import is_patched

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from rollout_sdk.outbox import Report
    from rollout_sdk.settings import Settings
    from rollout_sdk.sums import Window
    from rollout_sdk.wire.telemetry import Answer
    from rollout_sdk.wire.v1 import telemetry_pb2

REPORT_EVERY_MIN_MS: Final = 100
REPORT_EVERY_MAX_MS: Final = 60_000
BACKOFF_BASE_MS: Final = 250
BACKOFF_MAX_MS: Final = 10_000
"""Shorter than a stream's: a guardrail waits for it."""

_log = logging.getLogger("rollout_sdk")


class Source(Protocol):
    """Whose sums are reported. Called from the reporter's thread."""

    def rotate(self) -> Window:
        """Close the window that is open."""

    @property
    def is_active(self) -> bool:
        """Whether the server wants to hear of this process although there is nothing to say."""

    @property
    def instance_id(self) -> str:
        """How the server knows this process."""


class Away(Exception):
    """The server did not take the report; it is sent again."""


class RefusedReport(Exception):
    """The server cannot read this report, and never will."""


class Reporter:
    """Reports from `start` to `stop`. Goes one way: after `stop` another is made, which takes over the outbox."""

    def __init__(self, settings: Settings, source: Source, outbox: Outbox) -> None:
        self._settings = settings
        self._source = source
        self._outbox = outbox
        self._every_s = settings.report_every_ms / 1_000
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing; seeded anew in every process
        self._changed = threading.Condition()
        self._is_stopping = False
        self._wanted = 0
        self._done = 0
        self._says_all = False
        self._last_said = ""
        self._connection: _Connection | None = None
        self._is_green = is_patched()
        self._thread: threading.Thread | None = None

    def start(self, after: Reporter | None = None) -> None:
        """Report from a thread of its own.

        Args:
            after: a stopped reporter whose thread must be gone first, for both have one outbox.
        """
        predecessor = after._thread if after else None  # noqa: SLF001 - of the same class
        thread = threading.Thread(target=self._run, args=(predecessor,), name="rollout-reporter", daemon=True)
        thread.start()
        self._thread = thread

    def ask_to_stop(self, *, says_all: bool) -> None:
        """End soon; returns at once.

        Args:
            says_all: try once to deliver everything first.
        """
        with self._changed:
            self._says_all = says_all
            self._is_stopping = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Return whether the thread has ended in time."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def flush(self, timeout_s: float) -> bool:
        """Close the window, send what there is, and return whether the server acknowledged all of it in time."""
        with self._changed:
            if self._thread is None:
                return True
            self._wanted += 1
            wanted = self._wanted
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= wanted or self._is_stopping, timeout_s)
            return self._done >= wanted

    # --------------------------------------------------------------------------------------------------- the thread

    def _run(self, predecessor: threading.Thread | None) -> None:
        try:
            if predecessor is not None:
                predecessor.join()
            self._work()
        except Exception:  # noqa: BLE001 - logged whole, see below
            _log.exception("reports to %s stopped for good; decisions go on as they are", self._settings.target)
        finally:
            self._hang_up()

    def _work(self) -> None:
        attempt = 0
        # Processes that started together should not report together.
        due_s = time.monotonic() + self._every_s * self._rng.random()
        retry_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_stopping or self._wanted > self._done, max(0.0, due_s - time.monotonic())
                )
                is_stopping, wanted = self._is_stopping, self._wanted
            if is_stopping and not self._says_all:
                return
            is_due = time.monotonic() >= due_s
            self._outbox.put(self._source.rotate())
            if is_due:
                due_s = max(due_s + self._every_s, time.monotonic())
            if is_stopping or wanted > self._done or time.monotonic() >= retry_s:
                try:
                    self._send_all(is_heartbeat=is_due)
                except Away as away:
                    self._say(away)
                    base_ms = min(self._settings.backoff_base_ms, BACKOFF_BASE_MS)
                    wait_ms = backoff_ms(attempt, base_ms, BACKOFF_MAX_MS, self._rng)
                    attempt, retry_s = attempt + 1, time.monotonic() + wait_ms / 1_000
                    due_s = min(due_s, max(retry_s, time.monotonic())) if wanted > self._done else due_s
                else:
                    attempt, retry_s, self._last_said = 0, 0.0, ""
                    due_s = min(due_s, time.monotonic() + self._every_s)  # as the answer asks, from now on
                    with self._changed:
                        self._done = max(self._done, wanted)
                        self._changed.notify_all()
            if is_stopping:
                return
            if wanted > self._done:  # somebody waits for a server that is away
                self._rest(max(0.0, retry_s - time.monotonic()))

    def _rest(self, wait_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, wait_s)

    def _send_all(self, *, is_heartbeat: bool) -> None:
        """Deliver everything that waits, one report after the other.

        Raises:
            Away: the server did not take one of them.
        """
        while (report := self._outbox.next_report(is_wanted=is_heartbeat and self._source.is_active)) is not None:
            is_heartbeat = False
            try:
                answer = self._deliver(report)
            except RefusedReport as refused:
                _log.error("%s cannot read a report, which is lost: %s", self._settings.target, refused)
                self._outbox.refuse(report.sequence)
                return
            except Away:
                raise
            except Exception as error:  # told whole, once: no thread or file to be had is over some day
                self._drop_connection()
                raise Away(f"{type(error).__name__}: {error}") from error
            self._outbox.acknowledge(report.sequence)
            every_ms = min(max(answer.report_every_ms, REPORT_EVERY_MIN_MS), REPORT_EVERY_MAX_MS)
            self._every_s = (every_ms if answer.report_every_ms else self._settings.report_every_ms) / 1_000

    def _deliver(self, report: Report) -> Answer:
        from rollout_sdk.wire.telemetry import write_report

        connection = self._connected()
        request = write_report(
            self._source.instance_id, report.sequence, report.windows, report.losses, time.monotonic()
        )
        return connection.send(request, self._must_hang_up)

    def _must_hang_up(self) -> bool:
        return self._is_stopping and not self._says_all

    def _connected(self) -> _Connection:
        try:
            expect_threads(1)
        except OSError as error:
            raise Away(str(error)) from None
        if self._connection is None:
            with gate(self._must_hang_up) as is_held:
                if not is_held:
                    raise Away("stopping")
                try:
                    suit(is_green=self._is_green)
                    self._connection = _Connection(self._settings)
                except (OSError, ValueError) as error:
                    raise Away(f"cannot dial: {error}") from None
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _hang_up(self) -> None:
        self._drop_connection()
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def _say(self, away: Away) -> None:
        """Warn once for each kind of trouble, not once for each attempt; a report given up for a fork is none."""
        reason = str(away)
        if reason != self._last_said and not self._must_hang_up():
            self._last_said = reason
            _log.warning(
                "no report to %s: %s; what is counted waits, sending again",
                self._settings.target,
                reason,
                exc_info=away.__cause__,
            )


class _Connection:
    """One channel."""

    def __init__(self, settings: Settings) -> None:
        import grpc

        from rollout_sdk.wire.v1 import telemetry_pb2_grpc

        self._grpc = grpc
        cast_anchor()
        self._channel: grpc.Channel = dial(settings)
        self._stub = telemetry_pb2_grpc.TelemetryServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else None
        self._timeout_s = settings.connect_timeout_ms / 1_000
        self._helpers: set[threading.Thread] = set()

    def send(self, request: telemetry_pb2.ReportRequest, must_hang_up: Callable[[], bool]) -> Answer:
        """Send one report.

        Raises:
            Away: it was not acknowledged.
            RefusedReport: it never will be.
        """
        from rollout_sdk.wire.telemetry import read_answer

        before = helpers()
        call = self._stub.Report.future(request, timeout=self._timeout_s, metadata=self._metadata)
        self._helpers = {helper for helper in self._helpers if helper.is_alive()} | (helpers() - before)
        ended = threading.Event()
        call.add_done_callback(lambda _: ended.set())
        while not ended.wait(_POLL_S):
            if must_hang_up():
                call.cancel()
        try:
            return read_answer(call.result())
        except self._grpc.RpcError as error:
            code = error.code()
            if code is self._grpc.StatusCode.INVALID_ARGUMENT:
                raise RefusedReport(error.details()) from None
            raise Away(f"{code.name}: {error.details()}") from None
        except self._grpc.FutureCancelledError:
            raise Away("stopping") from None

    def close(self) -> None:
        """Free the channel."""
        self._channel.close()
        see_off(self._helpers)


_POLL_S: Final = 0.05
