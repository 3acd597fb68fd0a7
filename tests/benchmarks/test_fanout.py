"""That the fan-out benchmark measures what it says: its streams are streams, and nothing is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fanout import __main__ as fanout
from benchmarks.fanout.crowd import understand
from benchmarks.fanout.wire_stream import Reader, frame, message
from rollout_sdk.wire.v1 import delivery_pb2

SETTINGS, PING, RST_STREAM = 4, 6, 3


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_messages_are_read_however_their_bytes_come(bodies: list[bytes], at_once: int) -> None:
    """Between settings and pings, which are answered once each."""
    said = frame(SETTINGS, 0, 0) + b"".join(message(body) + frame(PING, 0, 0, b"12345678") for body in bodies)
    said += frame(SETTINGS, 1, 0)
    reader = Reader()
    heard = [body for at in range(0, len(said), at_once) for body in reader.feed(said[at : at + at_once])]
    assert heard == bodies
    assert reader.replies == frame(SETTINGS, 1, 0) + frame(PING, 1, 0, b"12345678") * len(bodies)
    assert not reader.is_ended
    assert list(reader.feed(frame(RST_STREAM, 0, 1, b"\0" * 4))) == []
    assert reader.is_ended


def test_what_changes_nothing_is_not_acknowledged() -> None:
    """A bookmark says how soon to come back, and that is all."""
    mark = delivery_pb2.WatchResponse(bookmark=delivery_pb2.Bookmark(reconnect_within_ms=400))
    assert understand(mark.SerializeToString()) == (None, 0, b"", 400)


def test_every_stream_gets_every_change_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the real protocol, against a real server that is killed."""
    monkeypatch.setattr(fanout, "SETTLED_S", 0.0)
    figures = fanout.measure(3, 2)
    assert len(figures.last_ms) == len(figures.answer_ms) == 2
    assert len(figures.each_ms) == 2 * 3
    assert all(lag_ms >= 0 for lag_ms in figures.each_ms)
    assert (figures.opened_lost, figures.returned_lost) == (0, 0)
    assert "| 3 |" in fanout.table([figures])
