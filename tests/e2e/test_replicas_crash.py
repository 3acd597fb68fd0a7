"""kill -9 of servers, of Redis and of both, under writers, readers and SDKs on two replicas; the history is judged.

Everybody notes what they asked and what they were told. In the end the log says what happened, and
`tests/history_judge.py` whether the two agree: promises 6 and 8, and 4 for SDKs that move between replicas.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.history_judge import judge
from tests.real_redis import RealRedis, own_redis
from tests.replica_stand import Stand, at_work, last_look, standing, whole_log

VICTIMS = ("server", "redis", "both")
EXPECTED = {
    "waiting for Redis: nothing is served before it answers",
    "what was told to whom cannot be read; nobody is told until it can",
    "the journal cannot be read; memory answers on",
    "compaction failed, to be tried again",
    "changes that are over could not be ended, to be tried again",
}


async def kill(stand: Stand, redis: RealRedis, victim: str) -> None:
    """Kill somebody as soon as a few more changes were acknowledged."""
    await stand.more(stand.chance.randint(2, 10))
    if victim != "redis":
        # Rather one that answers: to kill who is still starting is rarely of interest.
        stand.chance.choice([each for each in stand.replicas if each.answers] or stand.replicas).kill()
    if victim != "server":
        redis.kill()
        await asyncio.sleep(stand.chance.choice((0, 0, 0.05, 0.3)))
        redis.start()
        await redis.ready()


async def kill_and_judge(tmp_path: Path, kills: int, say: Callable[[str], None]) -> None:
    """The whole of it; `say` is told how far it is."""
    killed: Counter[str] = Counter()
    chance = random.Random(kills)  # noqa: S311 - whom to kill when, no secret
    async with own_redis(appendfsync="always") as redis, standing(tmp_path, chance, redis.url()) as (stand, clients):
        async with at_work(stand, clients):
            for number in range(1, kills + 1):
                victim = VICTIMS[number - 1] if number <= len(VICTIMS) else chance.choice(VICTIMS)
                await kill(stand, redis, victim)
                killed[victim] += 1
                if number % 10 == 0:
                    say(f"{number} kills {dict(killed)}, {stand.acknowledged} changes acknowledged")
        await stand.settle(await whole_log(tmp_path / "a", redis.url()))
        await last_look(stand, clients)
        log = await whole_log(tmp_path / "a", redis.url())
    verdict = judge(stand.history, log)
    counted = Counter(one.outcome.value for one in stand.history.writes)
    events = sum((one.events for one in stand.replicas), Counter[str]())
    say(
        f"{dict(killed)}; writes {dict(counted)}; {len(stand.history.reads)} reads, {len(stand.history.sightings)} "
        f"revisions at SDKs; log {len(log)}; settled by the log {verdict.settled}, undecided {len(verdict.undecided)}, "
        f"violations {len(verdict.violations)}; servers logged {dict(events)}"
    )
    for violation in verdict.violations[:20]:
        say(str(violation))
    assert verdict.violations == ()
    assert verdict.undecided == ()
    assert stand.odd == []
    for replica in stand.replicas:
        assert all("redis" in said for code, said in replica.ends if code), "a start fails for want of Redis alone"
        assert replica.ends[-1][0] == 0
        assert replica.events.keys() <= EXPECTED


async def test_replicas_and_redis_killed_at_any_moment_agree_with_their_log(tmp_path: Path) -> None:
    """Each is killed once: no acknowledged write is lost, and one order of writes explains all answers."""
    await kill_and_judge(tmp_path, len(VICTIMS), lambda _: None)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
async def test_500_kills_of_replicas_and_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Promises 6 and 8, the first "done" of many replicas on Redis."""

    def say(what: str) -> None:
        with capsys.disabled():
            print(what, flush=True)  # noqa: T201 - somebody waits for this for half an hour

    await kill_and_judge(tmp_path, 500, say)
