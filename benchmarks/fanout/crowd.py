"""A process full of Watch streams on sockets of their own: they note when bytes come, acknowledge, and dial again."""

from __future__ import annotations

import errno
import heapq
import os
import random
import selectors
import socket
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.fanout.wire_stream import Reader, message, opening
from rollout_sdk.backoff import redial_ms
from rollout_sdk.engine.model import Position
from rollout_sdk.settings import Settings
from rollout_sdk.wire.delivery import read_response, write_acknowledgement, write_greeting
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Greeting, Part, Reset
from rollout_sdk.wire.v1 import delivery_pb2

PATH = "/rollout.v1.DeliveryService/Watch"
RECEIVE_BYTES = 256 * 1024
_UNDERSTOOD_MAX = 64
_RESET = struct.pack("ii", 1, 0)


class Understood(NamedTuple):
    """A message of the server, read once for all streams that get the same bytes.

    Attributes:
        position: in force after it; None where it changes nothing.
        committed_at_ms: by the server's clock; 0 where it carries no revision.
        answer: what to write back.
        within_ms: over how long to come back; 0 says nothing of it.
    """

    position: Position | None
    committed_at_ms: int
    answer: bytes
    within_ms: int


@dataclass(slots=True, eq=False)
class Line:
    """One stream.

    Attributes:
        attempt: dials in vain in a row.
        dialled_at: monotonic seconds.
        is_open: the connection was accepted.
        has_heard: something was said on it.
    """

    name: str
    socket: socket.socket | None = None
    reader: Reader = field(default_factory=Reader)
    held: Position | None = None
    attempt: int = 0
    is_open: bool = False
    has_heard: bool = False


class Crowd:
    """Many streams in one loop."""

    def __init__(self, port: int, token: str, names: list[str]) -> None:
        """Dial all of them at once, which no crowd of SDKs does."""
        self._port = port
        self._opening = opening("localhost", PATH, token)
        self._selector = selectors.EpollSelector()
        self._rng = random.Random()
        self._understood: dict[bytes, Understood] = {}
        self._due: list[tuple[float, int, Line]] = []
        self._lines = [Line(name) for name in names]
        self._within_ms = Settings().backoff_base_ms
        self._lags_ms: defaultdict[int, list[float]] = defaultdict(list)
        self.lost = 0
        for line in self._lines:
            self._dial(line)

    def run(self, orders: Connection) -> None:
        """Live until told to end; see `benchmarks.fanout.__main__` for the orders."""
        self._selector.register(orders.fileno(), selectors.EVENT_READ, None)
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, events in self._selector.select(wait_s):
                if isinstance(key.data, Line):
                    self._serve(key.data, events)
                elif not self._answer(orders):
                    return
            while self._due and self._due[0][0] <= time.monotonic():
                self._dial(heapq.heappop(self._due)[2])

    def _answer(self, orders: Connection) -> bool:
        match orders.recv():
            case ["heard"]:
                orders.send((sum(line.has_heard for line in self._lines), self.lost))
            case ["arrived", int(revision)]:
                orders.send(self._lags_ms[revision])
            case _:
                return False
        return True

    def _dial(self, line: Line) -> None:
        line.socket = made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        line.reader, line.is_open, line.has_heard = Reader(), False, False
        if made.connect_ex(("127.0.0.1", self._port)) not in {0, errno.EINPROGRESS}:
            self._lose(line)
            return
        self._selector.register(made, selectors.EVENT_WRITE, line)

    def _serve(self, line: Line, events: int) -> None:
        if line.socket is None:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._greet(line, line.socket)
                return
            data = line.socket.recv(RECEIVE_BYTES)
            now_ms = time.time() * 1_000
            answers = b"".join(self._take(line, body, now_ms) for body in line.reader.feed(data))
            answers += line.reader.replies
            line.reader.replies = b""
            if answers:
                line.socket.sendall(answers)  # some bytes on loopback: they fit
        except OSError:
            data = b""
        if not data or line.reader.is_ended:
            self._lose(line)

    def _greet(self, line: Line, made: socket.socket) -> None:
        """The connection stands, or never will.

        Raises:
            OSError: it does not.
        """
        failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))
        line.is_open = True
        about = ("1", ("rollout:1", "type:boolean", "law:1"), "bench", "loopback", os.getpid())
        hello = write_greeting(Greeting(line.name, *about, held=line.held)).SerializeToString()
        made.sendall(self._opening + message(hello))
        self._selector.modify(made, selectors.EVENT_READ, line)

    def _take(self, line: Line, body: bytes, now_ms: float) -> bytes:
        said = self._understood.get(body)
        if said is None:
            if len(self._understood) >= _UNDERSTOOD_MAX:
                self._understood.clear()
            said = self._understood[body] = understand(body)
        line.has_heard, line.attempt = True, 0
        self._within_ms = said.within_ms or self._within_ms
        if said.position is not None:
            line.held = said.position
            if said.committed_at_ms:
                self._lags_ms[said.position.revision].append(now_ms - said.committed_at_ms)
        return said.answer

    def _lose(self, line: Line) -> None:
        """Dial again as the SDK does; one that was taken and never spoken to is counted as lost."""
        self.lost += line.is_open and not line.has_heard
        if line.socket is not None:
            if line.socket.fileno() in self._selector.get_map():
                self._selector.unregister(line.socket)
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # else ports run out
            line.socket.close()
            line.socket = None
        line.has_heard = line.is_open = False
        wait_ms = redial_ms(line.attempt, self._within_ms, Settings().backoff_max_ms, self._rng)
        line.attempt += 1
        heapq.heappush(self._due, (time.monotonic() + wait_ms / 1_000, id(line), line))


def understand(body: bytes) -> Understood:
    """Read what a server said."""
    response = delivery_pb2.WatchResponse.FromString(body)
    match read_response(response):
        case Part() as part if not part.more:
            digest = part.ruleset_digest
            answer = write_acknowledgement(Acknowledgement(part.position, digest, ())).SerializeToString()
            return Understood(part.position, response.update.committed_at_ms, message(answer), 0)
        case Bookmark() as mark:
            return Understood(None, 0, b"", mark.reconnect_within_ms)
        case Part() | Reset() | _:
            return Understood(None, 0, b"", 0)


def serve(port: int, token: str, names: list[str], orders: Connection) -> None:
    """Hold these streams until told to end: the body of a process."""
    Crowd(port, token, names).run(orders)
