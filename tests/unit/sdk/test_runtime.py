"""What joins cache, stream, disk and overrides, driven by hand: no thread runs here."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout_sdk import hosts, lifecycle
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import FlagState, Reason
from rollout_sdk.preview import FLAGS_MIN
from rollout_sdk.readiness import Readiness
from rollout_sdk.runtime import Runtime, version
from rollout_sdk.settings import Settings
from rollout_sdk.status import Status
from rollout_sdk.wire.messages import Acknowledgement, Bookmark, Drain, Part, Reset, Resync
from rollout_sdk.wire.records import WireRecord
from rollout_sdk.wire.snapshot import pack, unpack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, broken, position

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
    assert runtime.front.now.decider.decide("a", USER).reason is Reason.NOT_READY
    runtime.receive(snapshot(1, A))
    assert not runtime.front.now.decider.decide("a", USER).stale
    runtime.expire()
    assert runtime.front.now.decider.decide("a", USER).stale
    assert runtime.status().stale
    assert runtime.receive(Bookmark(position(1), digest_of([A]))) is None
    assert not runtime.front.now.decider.decide("a", USER).stale


def test_every_decision_knows_the_age_of_its_rules() -> None:
    """Fresh or stale, and as of the moment it is asked: who keeps a decision keeps its ruleset's confirmation."""
    runtime = prepared()
    assert runtime.front.now.decider.decide("a", USER).confirmed_ms_ago is None
    runtime.receive(snapshot(1, A))
    first = runtime.front.now.decider.decide("a", USER)
    fresh_at_s = first.origin.confirmed_at_s
    assert fresh_at_s is not None
    runtime.receive(Bookmark(position(1), digest_of([A])))
    assert first.origin.confirmed_at_s is not None
    assert first.origin.confirmed_at_s > fresh_at_s
    runtime.expire()
    stale = runtime.front.now.decider.decide("a", USER)
    assert stale.origin.confirmed_at_s == first.origin.confirmed_at_s
    runtime.receive(snapshot(2, A))
    second = runtime.front.now.decider.decide("a", USER)
    assert second.origin.confirmed_at_s is not None
    assert second.origin.confirmed_at_s > first.origin.confirmed_at_s  # nobody confirms revision 1 any more
    assert second.confirmed_ms_ago is not None
    assert runtime.status().confirmed_ms_ago is not None


def test_a_refusal_is_told_until_a_server_answers() -> None:
    """With the server's words, for health checks; a server that is merely away refuses nobody."""
    runtime = prepared()
    assert runtime.status().refused == ""
    runtime.connected(is_connected=False, refused="UNAUTHENTICATED: no such token")
    assert (runtime.status().refused, runtime.status().connected) == ("UNAUTHENTICATED: no such token", False)
    runtime.connected(is_connected=True)
    assert runtime.status().refused == ""


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


MANY = tuple(record(boolean(f"flag-{number}"), 1) for number in range(FLAGS_MIN))
BAD = record(broken(boolean("bad")), 1)


class Halfway:
    """Stops a runtime's thread while it reads a first ruleset, after a slice of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        monkeypatch.setattr("rollout_sdk.runtime.Slices", lambda: self.breathe)

    def breathe(self) -> None:
        self.reached.set()
        assert self.go_on.wait(WAIT_S)


def test_a_first_ruleset_decides_before_it_is_read_and_is_acknowledged_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready, fresh, at its revision; a bad flag shows when it is asked for, and is acknowledged as such in any case."""
    halfway = Halfway(monkeypatch)
    runtime = prepared()
    answers: list[Acknowledgement | None] = []
    thread = threading.Thread(target=lambda: answers.append(runtime.receive(snapshot(3, *MANY, BAD))))
    thread.start()
    assert halfway.reached.wait(WAIT_S)
    assert runtime.wait_until_ready(0)
    assert runtime.status().revision == 3
    assert not runtime.status().stale
    assert runtime.flag("flag-2") == boolean("flag-2")
    assert runtime.front.now.decider.decide("flag-1", USER).variant == "on"
    assert runtime.status().quarantined == {}
    assert runtime.front.now.decider.decide("bad", USER).variant is None
    assert runtime.status().quarantined.keys() == {"bad"}
    assert not answers
    assert runtime.greet().held is None, "nothing is held yet"
    halfway.go_on.set()
    thread.join()
    assert [each and [bad.flag for bad in each.quarantined] for each in answers] == [["bad"]]
    assert runtime.greet().held == position(3)
    assert runtime.front.now.decider.decide("flag-1", USER).variant == "on"


def test_of_a_first_ruleset_is_told_once_when_it_begins_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks to be told after that hears nothing of it: when it is read, no decision changes."""
    halfway = Halfway(monkeypatch)
    runtime = prepared()
    told: queue.Queue[tuple[str, frozenset[str]]] = queue.Queue()
    runtime.subscribe(lambda flags: told.put(("early", flags)))
    thread = threading.Thread(target=runtime.receive, args=[snapshot(3, *MANY)])
    thread.start()
    assert halfway.reached.wait(WAIT_S)
    assert told.get(timeout=WAIT_S) == ("early", frozenset(each.key for each in MANY))
    runtime.subscribe(lambda flags: told.put(("late", flags)))
    halfway.go_on.set()
    thread.join()
    runtime.receive(snapshot(4, *MANY[1:]))
    assert {told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)} == {
        ("early", frozenset({MANY[0].key})),
        ("late", frozenset({MANY[0].key})),
    }
    assert told.empty()


def test_what_comes_meanwhile_follows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill that came while a first ruleset was read is in force right after it."""
    halfway = Halfway(monkeypatch)
    runtime = prepared()
    kill = record(FlagState("flag-1", killed=True), 4)
    delta = replace(snapshot(4, kill), snapshot=False, base_revision=3, ruleset_digest=digest_of([*MANY, kill]))

    def receive() -> None:
        runtime.receive(snapshot(3, *MANY))
        runtime.receive(delta)

    thread = threading.Thread(target=receive)
    thread.start()
    assert halfway.reached.wait(WAIT_S)
    assert runtime.front.now.decider.decide("flag-1", USER).variant == "on"
    halfway.go_on.set()
    thread.join()
    assert runtime.front.now.decider.decide("flag-1", USER).reason is Reason.KILLED


def test_overrides_and_staleness_act_while_a_first_ruleset_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both are swaps, whatever decides."""
    halfway = Halfway(monkeypatch)
    path = tmp_path / "overrides"
    runtime = prepared(overrides_path=str(path))
    thread = threading.Thread(target=runtime.receive, args=[snapshot(3, *MANY)])
    thread.start()
    assert halfway.reached.wait(WAIT_S)
    path.write_text("flag-1: off")
    runtime._look()
    assert runtime.front.now.decider.decide("flag-1", USER).reason is Reason.OVERRIDE
    runtime.expire()
    assert runtime.front.now.decider.decide("flag-2", USER).stale
    halfway.go_on.set()
    thread.join()
    assert runtime.front.now.decider.decide("flag-1", USER).reason is Reason.OVERRIDE
    assert not runtime.front.now.decider.decide("flag-2", USER).stale


def test_rules_from_disk_decide_before_they_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stale, not ready, and the constructor waits no longer."""
    path = tmp_path / "rules"
    path.write_bytes(pack(position(9), MANY, ()))
    path.chmod(0o600)
    halfway = Halfway(monkeypatch)
    runtime = Runtime(replace(Settings(), snapshot_path=str(path)))
    thread = threading.Thread(target=runtime.prepare, args=[never])
    thread.start()
    assert runtime._loaded.wait(WAIT_S)
    decision = runtime.front.now.decider.decide("flag-1", USER)
    assert (decision.variant, decision.revision, decision.stale) == ("on", 9, True)
    assert not runtime.wait_until_ready(0)
    halfway.go_on.set()
    thread.join()
    assert runtime.greet().held == position(9)


def test_a_child_that_was_forked_while_a_first_ruleset_was_read_decides_and_asks_for_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fork waits two seconds for the thread; what a slower one has shown is kept, and nothing older follows."""
    halfway = Halfway(monkeypatch)
    runtime = prepared()
    thread = threading.Thread(target=runtime.receive, args=[snapshot(3, *MANY)])
    thread.start()
    assert halfway.reached.wait(WAIT_S)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            runtime._lock, runtime._readiness = threading.Lock(), Readiness(is_ready=True)
            halfway.go_on = threading.Event()
            halfway.go_on.set()
            decides = runtime.front.now.decider.decide("flag-1", USER).variant == "on"
            asks = runtime.greet().held is None
            with pytest.raises(Resync):
                runtime.receive(snapshot(2, *MANY))
            acknowledged = runtime.receive(snapshot(3, *MANY)) is not None
            os._exit(0 if decides and asks and acknowledged else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    halfway.go_on.set()
    thread.join()


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
    decider = runtime.front.now.decider
    assert runtime.receive(Reset("restored")) is None
    assert runtime.receive(Drain(5)) is None
    assert runtime.front.now.decider is decider


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
    assert runtime.front.now.decider.decide("a", USER).value is True


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
    assert runtime.front.now.decider.decide("a", USER, default=1).value == 1
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
