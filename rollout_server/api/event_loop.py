"""The event loop of a server: gRPC wakes it once for many of its events, and not once for each.

gRPC's own thread puts an event into a queue, and a byte into a pair of sockets whose other end the loop reads. What is
called then empties the queue, but takes one byte: after a burst of 2,000 events the loop turns 2,000 times, and nearly
always finds nothing. Here the bytes are taken together (docs/adr/0024).
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from functools import partial
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import FileDescriptorLike

_QUEUE = "PollerCompletionQueue"
"""gRPC's class whose method empties the queue; where a later release names it otherwise, all is as gRPC made it."""

_Given = TypeVarTuple("_Given")
_COUNT = struct.Struct("i")


class ServerLoop(asyncio.SelectorEventLoop):
    """A selector loop that takes all of gRPC's wake-ups at once."""

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[Unpack[_Given]], object], *args: *_Given) -> None:
        """Call this when there is something to read."""
        if isinstance(fd, socket.socket) and _is_of_grpc(callback):
            super().add_reader(fd, _take_all_but_one, fd, partial(callback, *args))
        else:
            super().add_reader(fd, callback, *args)


def _is_of_grpc(callback: Callable[..., object]) -> bool:
    inner = callback.func if isinstance(callback, partial) else callback
    return type(getattr(inner, "__self__", None)).__name__ == _QUEUE


def _take_all_but_one(wakes: socket.socket, callback: Callable[[], object]) -> None:
    """Leave the one byte that `callback` takes; each byte's event was in the queue before it."""
    (waiting,) = _COUNT.unpack(fcntl.ioctl(wakes, termios.FIONREAD, bytes(_COUNT.size)))
    if waiting > 1:
        wakes.recv(waiting - 1)
    callback()
