"""Quiet or blind."""

from __future__ import annotations

from rollout_sdk.wire.messages import Greeting
from rollout_server.app.instances import Instance
from rollout_server.app.reporting import SILENT_NAMES_MAX, Reporting, report_name, who_reports


def instance(number: int, *, connected_at_ms: int = 0, is_connected: bool = True) -> Instance:
    greeting = Greeting(f"i-{number}", "1", (), "shop", f"h{number:03}", number, None, ())
    return Instance(greeting, "t", connected_at_ms, 0, 0, is_connected=is_connected)


def test_who_reported_by_the_watermark() -> None:
    """A process that is silent is named; one that just came, or is gone, is not expected."""
    everybody = [instance(1), instance(2), instance(3, connected_at_ms=99), instance(4, is_connected=False)]
    found = who_reports(everybody, {"t/i-1": 50, "t/i-2": 40}, since_ms=45, connected_by_ms=60)
    assert found == Reporting(2, 1, ("shop@h002 (pid 2)",))
    assert not found.is_blind


def test_blind_is_nobody_of_somebody() -> None:
    """Where nobody is expected, nobody is missed."""
    assert who_reports([instance(1)], {}, since_ms=0, connected_by_ms=0).is_blind
    assert not who_reports([], {}, since_ms=0, connected_by_ms=0).is_blind


def test_names_are_bounded() -> None:
    """A fleet that fell silent fits into a sentence."""
    found = who_reports([instance(number) for number in range(99)], {}, since_ms=0, connected_by_ms=0)
    assert (found.expected, len(found.silent)) == (99, SILENT_NAMES_MAX)
    assert report_name(instance(7)) == "t/i-7"
