"""Diagnose: everything that will hurt later."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from rollout_server.app.diagnose import TOKEN_WARN_MS, Check, Surroundings, diagnose
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import Fleet, FleetSummary, NoFleet
from rollout_server.app.tokens import CreateToken, RevokeToken, create_token, revoke_token
from rollout_server.domain.journal import State
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, cohort, document, flag, opened, put

FINE = Surroundings("SQLite, WAL, synchronous=FULL", is_durable=True, disk_free_bytes=10**12)


class SickFleet(NoFleet):
    def summary(self) -> FleetSummary:
        return FleetSummary(5, 2, ("web@host-1 (pid 7): a",), tuple(f"web@host-{number}" for number in range(9)))


async def wrong(
    environment: Environment, fleet: Fleet | None = None, surroundings: Surroundings = FINE
) -> dict[str, Check]:
    checks = await diagnose(environment, fleet or NoFleet(), surroundings)
    assert len({check.name for check in checks}) == len(checks) == 10
    assert all(bool(check.hint) is not check.ok and check.detail for check in checks)
    return {check.name: check for check in checks if not check.ok}


async def test_a_healthy_environment_is_told_so() -> None:
    """Every check is ok, has a detail, and asks for nothing."""
    async with opened() as environment:
        await put(environment, flag("a", never=["beta"]), cohort("beta", "u-1"))
        assert await wrong(environment) == {}
        assert await wrong(environment, None, Surroundings("memory", is_durable=True)) == {}


async def test_a_store_that_can_lose_writes_and_a_full_disk_are_found() -> None:
    """Before the power goes, and before a kill cannot be written."""
    async with opened() as environment:
        found = await wrong(environment, None, Surroundings("Redis, everysec", is_durable=False, disk_free_bytes=5))
        assert set(found) == {"durability", "disk"}


async def test_what_a_failover_may_lose_is_found() -> None:
    """Said wherever there is one, with the cure where it loses something."""
    async with opened() as environment:
        safe = Surroundings("Redis", is_durable=True, failover="loses nothing")
        unsafe = replace(safe, failover="may lose the last moment", failover_cure="wait for a replica")
        told = [(await diagnose(environment, NoFleet(), one))[1] for one in (safe, unsafe)]
        assert told[0] == Check("failover", ok=True, detail="loses nothing")
        assert told[1] == Check("failover", ok=False, detail="may lose the last moment", hint="wait for a replica")


async def test_processes_that_do_not_follow_are_found() -> None:
    """Behind, quarantined, unreachable: counted, and named as far as a line goes."""
    async with opened() as environment:
        found = await wrong(environment, SickFleet())
        assert set(found) == {"sdks behind", "sdks quarantined", "sdks unreachable"}
        assert found["sdks unreachable"].detail.endswith("and 4 more")


async def test_what_is_about_to_end_is_found() -> None:
    """Flags whose day has come and tokens within a month of theirs; revoked and ended tokens are nobody's worry."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        await put(environment, document("Flag", "old", {}, expires="2026-01-01"))
        soon = START_MS + TOKEN_WARN_MS - 1
        ending = await create_token(environment, CreateToken("sdk", "shop", soon), MIA)
        revoked = await create_token(environment, CreateToken("sdk", "gone", soon), MIA)
        await create_token(environment, CreateToken("sdk", "long", soon + 10_000), MIA)
        await revoke_token(environment, RevokeToken(revoked.token.id), MIA)
        found = await wrong(environment)
        assert set(found) == {"flags expired", "tokens ending"}
        assert found["tokens ending"].detail == f"within 30 days: {ending.token.id} (sdk, shop)"


async def test_a_store_that_is_away_spoils_one_check_only() -> None:
    """The others are made from memory."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        journal.is_away = True
        assert set(await wrong(environment)) == {"journal"}


async def test_a_memory_that_differs_from_the_store_is_found() -> None:
    """The server must not answer from something that is not stored."""
    async with opened() as environment:
        await put(environment, flag("a"))
        state = environment.state
        environment._moments.restart(State(state.position, MappingProxyType({}), state.at_ms))
        assert set(await wrong(environment)) == {"journal"}


async def test_a_clock_that_went_back_is_found() -> None:
    """Behind the newest entry by more than a moment."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        await put(environment, flag("a"))
        clock.step(-4_000)
        assert await wrong(environment) == {}
        clock.step(-4_000)
        assert set(await wrong(environment)) == {"clock"}


async def test_rules_that_no_sdk_can_run_are_found() -> None:
    """Committed past every check, by a later release or by hand: the flag is named."""
    async with opened() as environment:
        await put(environment, flag("a", never=["nobody"]))
        found = await wrong(environment)
        assert found["rules"].detail == "a"
