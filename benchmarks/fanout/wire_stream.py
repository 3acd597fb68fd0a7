"""A Watch stream spoken byte by byte: HTTP/2 and gRPC, as little of them as one call needs.

A thousand Python SDKs on one machine measure themselves. This end costs some ten microseconds a message, so that what
is measured is the server. Sources: RFC 9113 (frames), RFC 7541 section 6.2.2 (literal headers), the gRPC over HTTP/2
protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAM: Final = 1
WINDOW_MAX: Final = 2**31 - 1
INITIAL_WINDOW = 65_535
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_HEAD = struct.Struct(">HBBBI")
_HEAD_BYTES = 9
_SETTING = struct.Struct(">HI")
_INITIAL_WINDOW_SIZE = 4
_LENGTH_MAX = 126  # one byte of HPACK


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one HTTP/2 frame."""
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def message(body: bytes) -> bytes:
    """Return a gRPC message on the stream."""
    return frame(_DATA, 0, STREAM, struct.pack(">BI", 0, len(body)) + body)


def opening(authority: str, path: str, token: str, window: int = WINDOW_MAX) -> bytes:
    """Return all that a client says before its first message.

    Args:
        authority: whom it means.
        path: of the method.
        token: what it comes with.
        window: bytes that the server may send ahead of what is read, 65,535 or more: as given, nothing holds it back.
    """
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
        "authorization": f"Bearer {token}",
    }
    settings = frame(_SETTINGS, 0, 0, _SETTING.pack(_INITIAL_WINDOW_SIZE, window))
    more = frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", window - INITIAL_WINDOW)) if window > INITIAL_WINDOW else b""
    block = b"".join(_literal(name, value) for name, value in headers.items())
    return PREFACE + settings + more + frame(_HEADERS, _END_HEADERS, STREAM, block)


def _literal(name: str, value: str) -> bytes:
    """A header that no table remembers, neither side's."""
    if max(len(name), len(value)) > _LENGTH_MAX:
        raise ValueError(f"header {name} is longer than {_LENGTH_MAX} bytes")
    return bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()


class Reader:
    """What a server says on one connection.

    Attributes:
        replies: what must be written back: acknowledged settings and pings.
        is_ended: the server ended the call or the connection.
    """

    __slots__ = ("_body", "_bytes", "is_ended", "replies")

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._bytes = b""
        self._body = b""
        self.replies = b""
        self.is_ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes as they came; yield each gRPC message that is complete with them."""
        self._bytes += data
        while len(self._bytes) >= _HEAD_BYTES:
            high, low, kind, flags, stream = _HEAD.unpack_from(self._bytes)
            end = _HEAD_BYTES + (high << 8 | low)
            if len(self._bytes) < end:
                return
            payload, self._bytes = self._bytes[_HEAD_BYTES:end], self._bytes[end:]
            if kind == _DATA:
                self._body += payload
                yield from self._messages()
            elif kind in {_SETTINGS, _PING} and not flags & _ACK:
                self.replies += frame(kind, _ACK, 0, payload if kind == _PING else b"")
            elif kind in {_RST_STREAM, _GOAWAY} or (kind == _HEADERS and flags & _END_STREAM and stream == STREAM):
                self.is_ended = True

    def _messages(self) -> Iterator[bytes]:
        while len(self._body) >= 5:  # noqa: PLR2004 - flag and length
            end = 5 + struct.unpack_from(">I", self._body, 1)[0]
            if len(self._body) < end:
                return
            body, self._body = self._body[5:end], self._body[end:]
            yield body
