"""The connection to a server: one thread that dials, greets, receives, acknowledges, and dials again.

A second thread only moves messages from gRPC into a queue, so that the first can wait for a message and for the clock
at once: a server that accepts and then says nothing is noticed like one that is not there.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from rollout_sdk.backoff import redial_ms
from rollout_sdk.channel import cast_anchor, dial, expect_threads, helpers, see_off, suit
from rollout_sdk.lifecycle import gate
from rollout_sdk.surroundings import is_patched
from rollout_sdk.wire.messages import Bookmark, Drain, Resync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_sdk.settings import Settings
    from rollout_sdk.wire.messages import Acknowledgement, Greeting, Message
    from rollout_sdk.wire.v1 import delivery_pb2

INBOX_MESSAGES_MAX: Final = 8
"""Messages that wait while one is worked on; beyond it HTTP/2 flow control holds the server back."""
DRAIN_WAIT_MAX_MS: Final = 300_000
PATIENCE_MAX_MS: Final = 60_000
"""How long a first message may take at most; a line that is slow rather than dead needs more with each attempt."""
THREADS: Final = 3
"""Of one connection: gRPC reads and writes the call in a thread each, and one moves what came into the inbox."""
GOODBYE_MS: Final = 250
"""How long a closing stream waits for the server to take note."""

_log = logging.getLogger("rollout_sdk")


class Receiver(Protocol):
    """Whom the stream serves. All methods are called from the stream's thread."""

    def prepare(self, is_stopping: Callable[[], bool]) -> None:
        """Called before each attempt: the place for what must not delay a constructor, once. Returns early to stop."""

    def greet(self) -> Greeting:
        """Return the hello of a new stream; parts that an earlier one left unfinished are forgotten."""

    def receive(self, message: Message) -> Acknowledgement | None:
        """Put a message in force.

        Raises:
            Resync: the stream is to be opened again.
        """

    def connected(self, *, is_connected: bool, refused: str = "") -> None:
        """The server answered, or is gone; `refused` says why it sends this client away."""

    def expire(self) -> None:
        """The server was not heard for `stale_after_ms`."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last item of a connection; `reason` is for people."""

    reason: str
    is_refusal: bool = False
    drain_ms: int | None = None
    fault: Exception | None = None


_Item: TypeAlias = "tuple[object, Message | _Ended | None]"
"""What came, and from which connection; (None, None) only wakes the thread."""


class Stream:
    """Keeps one connection alive from `start` to `stop`. Goes one way: after `stop` another is made."""

    def __init__(self, settings: Settings, receiver: Receiver) -> None:
        self._settings = settings
        self._receiver = receiver
        self._rng = random.Random()  # noqa: S311 - spreads load, guards nothing; seeded anew in every process
        self._inbox: queue.Queue[_Item] = queue.Queue(INBOX_MESSAGES_MAX)
        self._stopping = threading.Event()
        self._says_goodbye = False
        self._last_said = ""
        self._heard_at = time.monotonic()
        self._is_green = is_patched()
        self._return_within_ms = settings.backoff_base_ms
        self._thread: threading.Thread | None = None

    def start(self, delay_ms: float = 0, after: Stream | None = None) -> None:
        """Dial from a thread of its own.

        Args:
            delay_ms: wait so long first.
            after: a stopped stream whose thread must be gone first, so that one thread at a time serves the receiver.
        """
        predecessor = after._thread if after else None  # noqa: SLF001 - of the same class
        thread = threading.Thread(target=self._run, args=(delay_ms, predecessor), name="rollout-stream", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self, timeout_s: float, *, goodbye: bool) -> bool:
        """End the connection and the thread.

        Args:
            timeout_s: how long to wait for the thread.
            goodbye: tell the server that this process leaves on purpose.

        Returns:
            Whether the thread has ended in time.
        """
        self._says_goodbye = goodbye
        self._stopping.set()
        with contextlib.suppress(queue.Full):  # then the thread is busy, and sees the event before it waits again
            self._inbox.put_nowait((None, None))
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self, delay_ms: float, predecessor: threading.Thread | None) -> None:
        if predecessor is not None:
            predecessor.join()
        self._wait(delay_ms)
        attempt = 0
        while not self._stopping.is_set():
            began_at = time.monotonic()
            ended = self._attempt(attempt)
            if self._stopping.is_set():
                return
            self._receiver.connected(is_connected=False, refused=ended.reason if ended.is_refusal else "")
            self._say(ended)
            is_steady = (time.monotonic() - began_at) * 1000 >= self._settings.steady_after_ms
            attempt = 0 if is_steady else attempt
            wait_ms = redial_ms(attempt, self._return_within_ms, self._settings.backoff_max_ms, self._rng)
            if ended.drain_ms is not None:
                wait_ms = max(wait_ms, self._rng.uniform(0, min(ended.drain_ms, DRAIN_WAIT_MAX_MS)))
            attempt += 1
            self._wait(wait_ms)

    def _attempt(self, attempt: int) -> _Ended:
        """Have one connection from dialling to its end. Whatever goes wrong is the end of this one alone."""
        try:
            self._receiver.prepare(self._stopping.is_set)
            return self._converse(attempt)
        except Exception as error:  # noqa: BLE001 - told whole, once; no thread or file to be had is over some day
            return _Ended(f"{type(error).__name__}: {error}", fault=error)

    def _wait(self, wait_ms: float) -> None:
        """Sleep until time is up or `stop` is called; staleness is noticed meanwhile."""
        until = time.monotonic() + wait_ms / 1000
        while not self._stopping.is_set() and time.monotonic() < until:
            self._take(until)

    def _take(self, until: float) -> _Item | None:
        """Return the next item of the inbox; None when there is none before `until` (monotonic seconds)."""
        expires_at = self._heard_at + self._settings.stale_after_ms / 1000
        now = time.monotonic()
        if now >= expires_at:
            self._receiver.expire()
            expires_at = until
        try:
            return self._inbox.get(timeout=max(0.0, min(until, expires_at) - now))
        except queue.Empty:
            return None

    def _converse(self, attempt: int) -> _Ended:
        """Dial, greet, and receive until the connection ends for whatever reason."""
        try:
            with gate(self._stopping.is_set) as is_held:
                if not is_held or self._stopping.is_set():
                    return _Ended("stopping")
                suit(is_green=self._is_green)
                connection = _Connection(self._settings, self._receiver.greet(), self._inbox)
        except (OSError, ValueError) as error:
            return _Ended(f"cannot dial: {error}")
        try:
            return self._receive(connection, self._patience_ms(attempt))
        finally:
            connection.close(say_goodbye=self._says_goodbye)

    def _patience_ms(self, attempt: int) -> int:
        """Return how long this attempt waits for the first message."""
        own_ms = self._settings.connect_timeout_ms
        return max(own_ms, min(own_ms << min(attempt, 16), PATIENCE_MAX_MS))

    def _receive(self, connection: _Connection, timeout_ms: int) -> _Ended:
        is_connected = False
        deadline = time.monotonic() + timeout_ms / 1000
        while not self._stopping.is_set():
            if time.monotonic() >= deadline:
                return _Ended("no message in time")
            item = self._take(deadline)
            if item is None or item[0] is not connection or item[1] is None:
                continue
            message = item[1]
            if isinstance(message, _Ended):
                return message
            if not is_connected:
                is_connected = True
                timeout_ms = self._settings.silence_timeout_ms
                self._receiver.connected(is_connected=True)
            try:
                answer = self._receiver.receive(message)
            except Resync as resync:
                return _Ended(str(resync))
            if isinstance(message, Bookmark) and message.reconnect_within_ms:
                self._return_within_ms = message.reconnect_within_ms
            if isinstance(message, Drain):
                return _Ended("the server is going away", drain_ms=message.reconnect_within_ms)
            if answer is not None:
                connection.acknowledge(answer)
            self._heard_at = time.monotonic()
            self._last_said = ""
            deadline = self._heard_at + timeout_ms / 1000
        return _Ended("stopping")

    def _say(self, ended: _Ended) -> None:
        """Warn once for each kind of trouble, not once for each attempt."""
        if ended.drain_ms is not None or ended.reason == self._last_said:
            return
        self._last_said = ended.reason
        if ended.is_refusal:
            _log.error(
                "%s refuses this client: %s; check ROLLOUT_TOKEN and that its role is sdk. Decisions go on as they are",
                self._settings.target,
                ended.reason,
            )
        else:
            _log.warning(
                "no connection to %s: %s; decisions go on as they are, dialling again",
                self._settings.target,
                ended.reason,
                exc_info=ended.fault,
            )


class _Connection:
    """One call on one channel of its own."""

    def __init__(self, settings: Settings, greeting: Greeting, inbox: queue.Queue[_Item]) -> None:
        import grpc

        from rollout_sdk.wire import delivery
        from rollout_sdk.wire.v1 import delivery_pb2_grpc

        self._grpc = grpc
        self._wire = delivery
        self._inbox = inbox
        self._is_closed = threading.Event()
        self._outbox: queue.SimpleQueue[delivery_pb2.WatchRequest | None] = queue.SimpleQueue()
        self._outbox.put(delivery.write_greeting(greeting))
        expect_threads(THREADS)
        cast_anchor()
        self._channel = dial(settings)
        before = helpers()
        metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else None
        self._call = delivery_pb2_grpc.DeliveryServiceStub(self._channel).Watch(self._requests(), metadata=metadata)
        self._helpers = helpers() - before
        self._reader = threading.Thread(target=self._read, name="rollout-reader", daemon=True)
        self._reader.start()

    def _requests(self) -> Iterator[delivery_pb2.WatchRequest]:
        while (request := self._outbox.get()) is not None:
            yield request

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Queue an answer for the server."""
        self._outbox.put(self._wire.write_acknowledgement(acknowledgement))

    def close(self, *, say_goodbye: bool) -> None:
        """End the call, free the channel, and see both threads off."""
        if say_goodbye:
            self._outbox.put(self._wire.write_goodbye("closed"))
        self._outbox.put(None)
        if say_goodbye:
            self._reader.join(GOODBYE_MS / 1000)
        self._is_closed.set()
        self._call.cancel()
        self._channel.close()
        self._reader.join(1)
        see_off(self._helpers)

    def _read(self) -> None:
        try:
            for response in self._call:
                message = self._wire.read_response(response)
                if message is not None:
                    self._put(message)
            self._put(_Ended("the server ended the stream"))
        except self._grpc.RpcError:
            code = self._call.code()
            refusals = (
                self._grpc.StatusCode.UNAUTHENTICATED,
                self._grpc.StatusCode.PERMISSION_DENIED,
                self._grpc.StatusCode.UNIMPLEMENTED,
            )
            self._put(_Ended(f"{code.name}: {self._call.details()}", is_refusal=code in refusals))
        except Exception as error:  # noqa: BLE001 - whatever one message does, the connection is opened again
            self._put(_Ended(f"{type(error).__name__} while reading"))

    def _put(self, item: Message | _Ended) -> None:
        while not self._is_closed.is_set():
            try:
                self._inbox.put((self, item), timeout=0.2)
            except queue.Full:
                continue
            return
