"""Who holds the lease knows it; who may have lost it drives nothing."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from rollout_server.app import hold_lease
from rollout_server.app.hold_lease import HoldLease
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock


class ScriptedLease:
    """A lease that a test gives, takes, and puts out of reach."""

    def __init__(self, term_ms: int = 6_000) -> None:
        self.term_ms = term_ms
        self.token: int | None = 1
        self.is_away = False
        self.asked = asyncio.Event()
        self._held: int | None = None

    async def acquire(self) -> int | None:
        self._check()
        self._held = self.token
        return self.token

    async def renew(self) -> bool:
        self._check()
        return self._held is not None and self._held == self.token

    async def release(self) -> None:
        self._check()
        self._held = None

    def _check(self) -> None:
        self.asked.set()
        if self.is_away:
            raise Unavailable("redis", "away")


async def test_nobody_drives_before_it_is_held() -> None:
    """Not even for an instant."""
    assert HoldLease("production", ScriptedLease(), FakeClock()).fence() is None


async def test_who_drives_is_logged_with_the_fence() -> None:
    """Under a name that logs show: whatever is called a token is withheld."""
    structlog.reset_defaults()  # a level that somebody set shows less
    with capture_logs() as logs:
        await HoldLease("production", ScriptedLease(), FakeClock()).look()
    assert [(log["event"], log.get("fence")) for log in logs] == [("this server drives the rollouts", 1)]


async def test_it_drives_for_a_term_after_it_last_asked() -> None:
    """A store that is away does not take the lease away, and does not prolong it."""
    lease, clock = ScriptedLease(), FakeClock()
    held = HoldLease("production", lease, clock)
    await held.look()
    lease.is_away = True
    for _ in range(2):
        clock.advance(2_999)
        await held.look()
        assert held.fence() == 1
    clock.advance(2)
    assert held.fence() is None
    lease.is_away = False
    await held.look()
    assert held.fence() == 1


async def test_clock_steps_change_nothing() -> None:
    """It goes by monotonic time: an hour forwards ends no lease, an hour back prolongs none."""
    clock = FakeClock()
    held = HoldLease("production", ScriptedLease(), clock)
    await held.look()
    clock.step(3_600_000)
    assert held.fence() == 1
    clock.step(-7_200_000)
    clock.advance(6_000)
    assert held.fence() is None


async def test_it_is_taken_over_and_taken_back_under_another_token() -> None:
    """What was decided under the old one stays refused."""
    lease = ScriptedLease()
    held = HoldLease("production", lease, FakeClock())
    await held.look()
    lease.token = None
    await held.look()
    assert held.fence() is None
    lease.token = 3
    await held.look()
    assert held.fence() == 3


async def test_whoever_waits_looks_more_often_than_the_holder() -> None:
    """Three renewals a term are enough to keep it; to take it over soon after its end takes more looks."""
    lease = ScriptedLease(term_ms=3_000)
    held = HoldLease("production", lease, FakeClock())
    assert held.pause_ms == 300
    await held.look()
    assert held.pause_ms == 1_000
    lease.token = None
    await held.look()
    assert held.pause_ms == 300
    assert HoldLease("production", ScriptedLease(term_ms=0), FakeClock()).pause_ms == hold_lease.EVERY_MS


async def test_letting_go_ends_it_at_once() -> None:
    """Also where the store is away: then it ends with its term."""
    lease = ScriptedLease(term_ms=0)
    held = HoldLease("production", lease, FakeClock())
    await held.look()
    assert held.fence() == 1
    lease.is_away = True
    await held.release()
    assert held.fence() is None


async def test_it_is_looked_after_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times a term, whatever happens to the store."""
    monkeypatch.setattr(hold_lease, "EVERY_MS", 1)
    lease = ScriptedLease(term_ms=0)
    lease.is_away = True
    held = HoldLease("production", lease, FakeClock())
    task = asyncio.create_task(held.keep_holding())
    await lease.asked.wait()
    lease.is_away = False
    lease.asked.clear()
    await lease.asked.wait()
    await asyncio.sleep(0)
    assert held.fence() == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
