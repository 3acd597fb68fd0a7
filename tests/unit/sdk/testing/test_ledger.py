"""Who is connected to the server of a test."""

from rollout_sdk.engine.model import Arm, Position
from rollout_sdk.testing.ledger import Ledger, Process

WEB = Process("i-1", "web", "host", 7)


def test_a_process_is_known_from_its_hello_to_its_goodbye() -> None:
    """What it said last is what stands."""
    ledger, stream = Ledger(), object()
    ledger.greet(WEB, stream)
    ledger.acknowledge("i-1", Position("e", 3), [("a", "cannot read it")])
    ledger.say_goodbye("i-1")
    ledger.leave("i-1", stream)
    (process,) = ledger.processes
    assert (process.revision, process.quarantined) == (3, (("a", "cannot read it"),))
    assert (process.connected, process.said_goodbye) == (False, True)


def test_the_end_of_an_old_stream_does_not_disconnect_a_newer_one() -> None:
    """A process that dials again is connected, whichever end is noticed first."""
    ledger, old, new = Ledger(), object(), object()
    ledger.greet(WEB, old)
    ledger.greet(WEB, new)
    ledger.leave("i-1", old)
    assert ledger.processes[0].connected


def test_a_report_that_comes_twice_counts_once() -> None:
    """Its sequence says that it is the same."""
    ledger = Ledger()
    for _ in range(2):
        ledger.report("i-1", 1, {("errors", Arm.CANDIDATE): 2, ("errors", None): 1})
    ledger.report("i-1", 2, {("errors", Arm.CANDIDATE): 1})
    assert ledger.outcomes("errors") == {Arm.CANDIDATE: 3, None: 1}
    assert ledger.outcomes("other") == {}


def test_waiting_ends_when_it_holds_or_when_time_is_up() -> None:
    """Never for longer."""
    ledger = Ledger()
    assert not ledger.wait_for(bool, 0)
    ledger.greet(WEB, object())
    assert ledger.wait_for(bool, 0)
