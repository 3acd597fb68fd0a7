"""Stores, clocks, controllers, metrics and servers of metrics that go wrong, over the real controller: no advance."""

from __future__ import annotations

import asyncio

import pytest

from rollout_server.adapters.prometheus import open_prometheus
from rollout_server.app.apply import Apply, apply
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.machine import Phase
from rollout_server.domain.resources import Kind, ResourceId
from rollout_server.errors import InvalidInput
from tests.doubles.memory_journal import MemoryJournal
from tests.reporting_shop import BAD_TICKS, GOOD_TICKS, PIPELINE, RUN, STAGES, given, shop
from tests.rollout_room import ERRORS, MIA, TICK_MS, Room, documents, room
from tests.small_environment import delete, document, put

COUNTERS = {
    "measures": "proportion", "per": "event", "late": "2s", "source": "prometheus",
    "numerator": 'errors_total{arm="{arm}"}', "denominator": 'requests_total{arm="{arm}"}',
}  # fmt: skip


def journal_of(stand: Room) -> MemoryJournal:
    """The double itself, which a test makes fail."""
    journal = stand.environment.journal
    assert isinstance(journal, MemoryJournal)
    return journal


async def test_a_store_that_is_away_holds_and_then_rolls_back() -> None:
    """The sums cannot be read, the journal can be written: the way out is open."""
    async with shop() as one:
        one.stand.store.is_away = True
        run = await one.stand.tick(BAD_TICKS)
        assert run.phase is Phase.HELD
        assert one.verdict().reason is Reason.NO_STORE
        assert run.held is not None
        assert "the store that holds its sums is away" in run.held.sentence
        assert (await one.stand.tick(20)).phase is Phase.ROLLED_BACK


async def test_a_journal_that_is_away_neither_advances_nor_forgets() -> None:
    """What was learned meanwhile leads on when it is back, by one entry."""
    async with shop() as one:
        journal_of(one.stand).is_away = True
        await one.fine(GOOD_TICKS)
        assert one.stand.run().stage_name == "canary"
        journal_of(one.stand).is_away = False
        assert (await one.fine(2)).stage_name == "half"
        assert (await one.stand.actions()).count("advance") == 1


@pytest.mark.parametrize("by_ms", [86_400_000, -86_400_000, 30_000, -30_000])
async def test_a_clock_that_is_set_advances_nothing_and_loses_nothing(by_ms: int) -> None:
    """Not at the jump, nor by it: windows go by the monotonic clock, soak by clamped ticks."""
    async with shop(*documents({"name": "canary", "share": "20%", "soak": "20s"}, STAGES[1], pipeline=PIPELINE)) as one:
        before = one.seen()
        one.stand.clock.step(by_ms)
        run = await one.fine(10)
        assert (run.phase, run.stage_name) == (Phase.RUNNING, "canary")
        assert one.seen() >= before + 900
        assert (await one.fine(20)).stage_name == "half"


async def test_of_two_controllers_the_older_one_writes_nothing() -> None:
    """Neither an entry nor evidence: its fence is behind."""
    async with shop() as one:
        older, journal = one.stand.runs, journal_of(one.stand)
        older_fence = one.stand.fence
        one.stand.fence = journal.newest_fence = 2
        newer = one.stand.controller()
        await one.fine(3)
        kept, revision = await one.stand.store.checkpoint(RUN), one.stand.environment.position.revision
        one.stand.fence = older_fence
        for _ in range(GOOD_TICKS):
            await one.send(one.window((100, 90), (400, 40)))
            one.stand.clock.advance(TICK_MS)
            await older.tick()
        assert await one.stand.store.checkpoint(RUN) == kept
        assert one.stand.environment.position.revision == revision
        one.stand.fence = 2
        await newer.tick()
        assert one.stand.run().phase is Phase.ROLLED_BACK


async def test_a_metric_that_a_guardrail_needs_is_not_deleted() -> None:
    """`apply --prune` refuses it; one that is gone all the same is blind, by its own reason."""
    async with shop() as one:
        rest = tuple(given()[1:])
        with pytest.raises(InvalidInput):
            await apply(one.stand.environment, Apply(rest, prune=True), MIA, one.stand.instances)
        await delete(one.stand.environment, ResourceId(Kind.METRIC, "errors"))
        await one.fine(BAD_TICKS)
        run, verdict = one.stand.run(), one.verdict()
        assert (run.phase, run.stage_name) == (Phase.HELD, "canary")
        assert verdict.reason is Reason.NO_METRIC
        assert "the environment has no such metric any more" in verdict.sentence
        await put(one.stand.environment, ERRORS)
        assert (await one.fine(GOOD_TICKS)).stage_name == "half"


async def test_a_metric_that_is_edited_begins_its_evidence_anew() -> None:
    """Evidence for one meaning is none for another; the windows that were judged stay judged."""
    async with shop() as one:
        await one.fine(10)
        before, judged = one.seen(), one.stand.runs.memories[RUN].evidence.judged["errors"]
        edited = document("Metric", "errors", {"measures": "proportion", "per": "unit", "bad": "high", "late": "1s"})
        await apply(one.stand.environment, Apply((edited,)), MIA, one.stand.instances)
        await one.fine()
        assert one.seen() < before
        assert one.stand.runs.memories[RUN].evidence.judged["errors"] >= judged
        assert one.stand.run().stage_name == "canary"
        assert (await one.fine(GOOD_TICKS)).stage_name == "half"


def scraped(stand: Room, count: int, **failing: int) -> None:
    """Prometheus scrapes counters of a shop that served so many requests in each arm."""
    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for arm, failed in failing.items():
        counts["requests_total", (("arm", arm),)] = float(count)
        counts["errors_total", (("arm", arm),)] = float(failed * count // 100)
    stand.metrics.scrape(stand.clock.now_ms() - 200, "shop", counts)


async def test_a_counter_that_begins_again_costs_its_window() -> None:
    """A process of the shop was started anew: that window is left out and says so, the next one counts."""
    async with room(*given(COUNTERS)) as stand:
        await stand.start()
        reasons = set()
        for second in range(40):
            count = second * 100 if second < 10 else (second - 10) * 100
            scraped(stand, count, candidate=2, control=2)
            await stand.tick()
            verdict = dict(stand.runs.memories[RUN].verdicts)["errors"]
            reasons.add(verdict.reason)
            if verdict.reason is Reason.COUNTER_RESET:
                assert "a counter fell, so this window cannot be counted" in verdict.sentence
                assert stand.run().phase is Phase.HELD
        assert Reason.COUNTER_RESET in reasons
        assert (stand.run().phase, stand.run().stage_name) == (Phase.RUNNING, "canary")


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (None, Reason.SLOW, "the metrics server did not answer in time"),
        (b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n", Reason.FAILING, "the metrics server answers with errors"),
        (b"HTTP/1.1 200 ok\r\ncontent-length: 2\r\n\r\n[]", Reason.UNREADABLE, "cannot be read"),
    ],
)
async def test_a_prometheus_that_hangs_or_fails_holds(answer: bytes | None, reason: Reason, says: str) -> None:
    """Through the real adapter: a tick is not late for it, the run is held, and it goes on when somebody looks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    within_ms = 50 if answer is None else 30_000
    url = f"http://127.0.0.1:{port}"
    async with server, room(*given(COUNTERS)) as stand, open_prometheus(url, "", within_ms) as source:
        await stand.start()
        stand.metrics = source
        stand.controller()
        run = await stand.tick(4)
        verdict = dict(stand.runs.memories[RUN].verdicts)["errors"]
        assert (run.phase, run.stage_name, verdict.reason) == (Phase.HELD, "canary", reason)
        assert run.held is not None
        assert says in run.held.sentence
