"""Channels; whether they reach anybody is asked in tests/e2e."""

import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from rollout_sdk import channel as module
from rollout_sdk import surroundings
from rollout_sdk.channel import cast_anchor, dial, expect_threads, suit
from rollout_sdk.settings import Settings


def test_one_anchor_holds_for_the_process() -> None:
    """The last channel of a process is never closed."""
    cast_anchor()
    (first,) = module._anchor.values()
    cast_anchor()
    assert list(module._anchor.values()) == [first]


def test_a_missing_certificate_is_said_at_the_dial(tmp_path: Path) -> None:
    """It may be there at the next one."""
    with pytest.raises(OSError, match="nowhere"):
        dial(Settings("example.com:443", tls_ca=str(tmp_path / "nowhere.pem")))
    dial(Settings("localhost:1")).close()


def test_under_eventlet_nobody_dials(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Said once; each attempt fails before gRPC is touched."""
    patcher = ModuleType("eventlet.patcher")
    patcher.__dict__["is_monkey_patched"] = {"thread": True}.get
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    monkeypatch.setattr(surroundings, "_said", set())
    for _ in range(2):
        with pytest.raises(OSError, match="eventlet"):
            suit(is_green=True)
    assert caplog.text.count("use gevent") == 1


def test_threads_are_tried_before_grpc_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them stays; where there are too few, it is an error like any other of the network."""
    before = threading.active_count()
    expect_threads(3)
    assert threading.active_count() == before
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if threading.active_count() >= before + 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    expect_threads(2)
    with pytest.raises(OSError, match="can't start new thread"):
        expect_threads(3)
    assert threading.active_count() == before
