"""What joins cache, stream, disk and overrides, driven by hand: no thread runs here."""

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout_sdk import hosts, lifecycle
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Reason
from rollout_sdk.runtime import Runtime, version
from rollout_sdk.settings import Settings
from rollout_sdk.status import Status
from rollout_sdk.wire.messages import Bookmark, Drain, Part, Reset, Resync
from rollout_sdk.wire.records import WireRecord
from rollout_sdk.wire.snapshot import pack, unpack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, position

USER = Context("u")
WAIT_S = 20
A = record(boolean("a"), 1)


def never() -> bool:
    return False


def snapshot(revision: int, *records: WireRecord) -> Part:
    return Part(
        snapshot=True, base_revision=0, position=position(revision), ruleset_digest=digest_of(records), records=records
    )


def prepared(**given: str) -> Runtime:
    runtime = Runtime(replace(Settings(), **given))  # type: ignore[arg-type] # text settings only
    runtime.prepare(never)
    return runtime


def test_rules_come_into_force_fresh_and_go_stale() -> None:
    """`stale` is one swap: the same rules, another origin."""
    runtime = prepared()
    assert runtime.front.decider.decide("a", USER).reason is Reason.NOT_READY
    runtime.receive(snapshot(1, A))
    assert not runtime.front.decider.decide("a", USER).stale
    runtime.expire()
    assert runtime.front.decider.decide("a", USER).stale
    assert runtime.status().stale
    assert runtime.receive(Bookmark(position(1), digest_of([A]))) is None
    assert not runtime.front.decider.decide("a", USER).stale


def test_whoever_wants_to_know_hears_how_the_client_stands() -> None:
    """Rules, staleness and connection: each change is told, at the latest with the next."""
    runtime = prepared()
    told: queue.SimpleQueue[Status] = queue.SimpleQueue()
    end = runtime.subscribe_status(told.put)

    def wait_until(holds: Callable[[Status], bool]) -> None:
        while not holds(told.get(timeout=WAIT_S)):
            pass

    runtime.connected(is_connected=True)
    wait_until(lambda status: status.connected and not status.ready)
    runtime.receive(snapshot(1, A))
    wait_until(lambda status: status.ready and status.revision == 1 and not status.stale)
    runtime.expire()
    wait_until(lambda status: status.stale)
    runtime.connected(is_connected=False)
    wait_until(lambda status: not status.connected)
    end()


def test_a_flag_can_be_seen_as_it_is_in_force() -> None:
    """Its rules too, for whoever explains a decision; what is not here is None."""
    runtime = prepared()
    assert runtime.flag("a") is None
    runtime.receive(snapshot(1, A))
    assert runtime.flag("a") == boolean("a")
    assert runtime.flag("b") is None


def test_a_refused_message_does_not_freshen() -> None:
    """A server that disagrees has confirmed nothing."""
    runtime = prepared()
    runtime.receive(snapshot(2, A))
    runtime.expire()
    with pytest.raises(Resync):
        runtime.receive(snapshot(1, A))
    assert runtime.status().stale


def test_hints_change_no_rules() -> None:
    """Reset and drain only announce."""
    runtime = prepared()
    runtime.receive(snapshot(2, A))
    decider = runtime.front.decider
    assert runtime.receive(Reset("restored")) is None
    assert runtime.receive(Drain(5)) is None
    assert runtime.front.decider is decider


def test_greeting_says_what_is_held() -> None:
    """Version, capabilities, position."""
    runtime = prepared(service="shop")
    assert runtime.greet().held is None
    runtime.receive(snapshot(2, A))
    greeting = runtime.greet()
    assert (greeting.service, greeting.held, greeting.sdk_version) == ("shop", position(2), version())
    assert "law:1" in greeting.capabilities


def test_saving_never_replaces_newer_rules_of_another_process(tmp_path: Path) -> None:
    """Workers share a path: the file only rises within an epoch, and follows a new one."""
    path = tmp_path / "rules"
    runtime = prepared(snapshot_path=str(path))
    runtime.receive(snapshot(5, A))
    runtime._save()
    assert unpack(path.read_bytes()).position == position(5)
    newer = pack(position(9), [A], ())
    path.write_bytes(newer)
    runtime.receive(snapshot(7, A))
    runtime._save()
    assert path.read_bytes() == newer
    runtime.receive(replace(snapshot(1, A), position=position(1, "epoch-2")))
    runtime._save()
    assert unpack(path.read_bytes()).position == position(1, "epoch-2")


def test_a_child_is_somebody_else_with_the_same_rules() -> None:
    """Another identity, locks of its own, and the readiness it was born with."""
    runtime = prepared()
    runtime.receive(snapshot(1, A))
    runtime.close(0)
    before, lock, ready = runtime.instance_id, runtime._lock, runtime._readiness
    runtime.resume(in_child=True)
    assert runtime.instance_id != before
    assert runtime._lock is not lock
    assert runtime._readiness is not ready
    assert runtime.wait_until_ready(0)
    assert runtime.front.decider.decide("a", USER).value is True


def test_where_no_thread_starts_the_client_decides_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Too many threads, or the end of the process: said, and nothing is raised at whoever asks."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runtime = Runtime(Settings())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        runtime.start()
    assert runtime.front.decider.decide("a", USER, default=1).value == 1
    assert "gets no changes" in caplog.text
    runtime.close(0)


def test_nobody_waits_for_what_starts_after_a_fork(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a limit it would wait for ever, and the server would never fork."""
    monkeypatch.setattr(hosts, "awaits_fork", lambda: True)
    runtime = Runtime(Settings())
    runtime.start()
    assert runtime.wait_until_ready(None) is False
    assert "--lazy-apps" in caplog.text
    runtime.close(0)
    assert not lifecycle.awaits_fork(runtime)
