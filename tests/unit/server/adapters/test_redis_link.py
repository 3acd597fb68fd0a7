"""Redis is asked twice, told once, and never waited for long."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from rollout_server.adapters import redis_link
from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_address import make_pool, read_address
from rollout_server.adapters.redis_link import InDoubt, RedisLink, Wait
from rollout_server.adapters.redis_rows import meta_key
from rollout_server.adapters.redis_scripts import Script
from rollout_server.errors import Corrupt, Unavailable
from tests.real_redis import RealRedis, own_redis

COUNT = Script("count", b"return redis.call('INCR', KEYS[1])", "c0")
BROKEN = Script("broken", b"return redis.call('INCR', KEYS[1] .. KEYS[2])", "c1")


@pytest.fixture
async def server() -> AsyncIterator[RealRedis]:
    async with own_redis() as server:
        yield server


@pytest.fixture
async def link(server: RealRedis) -> AsyncIterator[RedisLink]:
    address = read_address(server.url())
    link = RedisLink(make_pool(address, None), address.where, Wait())
    yield link
    await link.close()


async def test_a_script_that_redis_does_not_know_is_sent_whole(link: RedisLink, server: RealRedis) -> None:
    """After a restart, a failover or SCRIPT FLUSH nothing needs to be loaded first."""
    assert await link.tell(COUNT, "n") == (1, True)
    await link.command("SCRIPT", "FLUSH")
    assert await link.tell(COUNT, "n") == (2, True)


async def test_a_question_survives_a_restart(link: RedisLink, server: RealRedis) -> None:
    """Connections that died with the old process are replaced without a word."""
    await link.command("SET", "a", "1")
    server.kill()
    server.start()
    await server.ready()
    assert await link.command("GET", "a") == b"1"


async def test_a_redis_that_is_not_there_is_told_at_once(link: RedisLink, server: RealRedis) -> None:
    """A refused connection is no doubt: nothing was sent."""
    server.kill()
    with pytest.raises(Unavailable, match="does not answer") as refusal:
        await link.tell(COUNT, "n")
    assert "nothing was changed" in refusal.value.hint
    with pytest.raises(Unavailable):
        await link.command("GET", "n")


async def test_a_redis_that_hangs_is_waited_for_once(
    link: RedisLink, server: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is in doubt; from then on nothing is sent to it until it has shown that it answers."""
    monkeypatch.setattr(redis_link, "ANSWER_S", 0.2)
    await link.tell(COUNT, "n")
    server.send(signal.SIGSTOP)
    with pytest.raises(InDoubt):
        await link.tell(COUNT, "n")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await link.tell(COUNT, "n")
        with pytest.raises(Unavailable):
            await link.command("GET", "n")
    server.send(signal.SIGCONT)
    assert (await link.tell(COUNT, "n"))[0] in {2, 3}  # the doubtful one ran or did not; the refused ones never do


async def test_a_redis_that_hangs_while_one_connects_is_not_waited_for(
    server: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes the connection, and nobody answers SELECT: nothing was written."""
    monkeypatch.setattr(redis_link, "CONNECTED_S", 0.1)
    address = read_address(server.url(1))
    fresh = RedisLink(make_pool(address, None), address.where, Wait())
    server.send(signal.SIGSTOP)
    with pytest.raises(Unavailable, match="does not answer"):
        await fresh.tell(COUNT, "n")
    server.send(signal.SIGCONT)
    assert await fresh.tell(COUNT, "n") == (1, True)
    await fresh.close()


async def test_what_redis_refuses_is_no_doubt(link: RedisLink) -> None:
    """An answer is an answer, and the connection that brought it is used again."""
    await link.command("HSET", "n", "a", "b")
    with pytest.raises(Corrupt):
        await link.tell(COUNT, "n")
    with pytest.raises(ResponseError, match="nil value"):
        await link.tell(BROKEN, "n")
    assert await link.command("PING") == b"PONG"


async def test_replicas_that_do_not_confirm_are_told(link: RedisLink) -> None:
    """The answer stands, and is not confirmed."""
    link.wait = Wait(1, 10)
    assert await link.tell(COUNT, "n", has_written=lambda _: True) == (1, False)
    assert await link.tell(COUNT, "n", has_written=lambda _: False) == (2, True)


async def test_commands_in_one_go_say_what_was_refused(link: RedisLink) -> None:
    """All are run, and the first refusal is raised."""
    await link.commands([("SET", "a", n) for n in range(1_000)])
    with pytest.raises(Corrupt):
        await link.commands([("SET", "a", "x"), ("HSET", "a", "b", "c"), ("SET", "a", "y")])
    assert await link.command("GET", "a") == b"y"


async def test_a_closed_link_says_so(link: RedisLink) -> None:
    """Nothing hangs on it, and closing twice is fine."""
    await link.close()
    await link.close()
    with pytest.raises(Unavailable, match="closed"):
        await link.ask(scripts.STANDING, meta_key("production"))
