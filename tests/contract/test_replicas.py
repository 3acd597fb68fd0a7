"""The promises of `ports.Replicas`, asked of every implementation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from rollout_server.domain.replicas import Replica, Roll, Spot, Word
from rollout_server.ports import Replicas
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_replicas import MemoryReplicas, SharedBoard
from tests.journal_world import redis_store
from tests.real_redis import SharedRedis


@dataclass(frozen=True)
class Stand:
    """A store that servers share."""

    server: Callable[[], Replicas]


@pytest.fixture(params=["memory", "redis"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    if request.param == "memory":
        board = SharedBoard(FakeClock())
        yield Stand(lambda: MemoryReplicas(board))
        return
    redis: SharedRedis = request.getfixturevalue("redis")
    store = await redis_store(await redis.url())
    yield Stand(lambda: store.replicas("production"))
    await store.close()


def the_other(roll: Roll) -> Replica:
    (other,) = roll.replicas
    return other


async def heard(listener: Replicas, id_: str, after: Spot = Spot()) -> tuple[Word, ...]:  # noqa: B008 - it is frozen
    async with asyncio.timeout(20):
        while not (words := await listener.hear({id_: after})):
            pass
    return words


async def test_a_server_alone_has_no_others(stand: Stand) -> None:
    """It is not one of the others itself."""
    alone = stand.server()
    assert (await alone.begin("a", b"1")).replicas == ()
    assert (await alone.tell(b"2")).replicas == ()


async def test_what_was_told_is_heard_in_order(stand: Stand) -> None:
    """By whoever comes later, too; each word once."""
    a, b = stand.server(), stand.server()
    begun = await a.begin("a", b"1")
    told = await a.tell(b"2", b"3")
    assert (told.own.run, told.own.number, told.is_whole) == (begun.own.run, 3, True)
    other = the_other(await b.begin("b", b"x"))
    assert (other.name, other.told, other.has_left) == ("a", told.own, False)
    words = await heard(b, other.id)
    assert [word.data for word in words] == [b"1", b"2", b"3"]
    assert [word.spot.number for word in words] == [1, 2, 3]
    assert words[0].spot.is_next(Spot())
    assert all(later.spot.is_next(word.spot) for word, later in itertools.pairwise(words))
    assert await b.hear({other.id: told.own}) == ()
    hearing = asyncio.create_task(heard(b, other.id, told.own))
    await a.tell(b"4")
    assert [word.data for word in await hearing] == [b"4"]


async def test_a_sign_of_life_is_no_word(stand: Stand) -> None:
    """It is counted, and it says who there is."""
    a, b = stand.server(), stand.server()
    await a.begin("a", b"1")
    first = the_other(await b.begin("b", b"x"))
    assert the_other(await a.tell()).name == "b"
    second = the_other(await b.tell())
    assert (second.beat, second.told) == (first.beat + 1, first.told)
    assert second.seen_ms_ago < 60_000


async def test_who_begins_anew_takes_back_what_was_told(stand: Stand) -> None:
    """Whoever is amid the old words comes to the new ones, and sees that they are new."""
    a, b = stand.server(), stand.server()
    await a.begin("a", b"1")
    await a.tell(b"2")
    other = the_other(await b.begin("b", b"x"))
    old = (await heard(b, other.id))[0].spot
    await a.begin("a", b"anew")
    for after in (old, Spot()):
        (word,) = await heard(b, other.id, after)
        assert (word.data, word.spot.number, word.spot.is_next(old)) == (b"anew", 1, True)
        assert the_other(await b.tell()).told == word.spot


async def test_who_leaves_is_not_waited_for_and_what_it_told_is_kept(stand: Stand) -> None:
    """Its processes count on; and it may come back."""
    a, b = stand.server(), stand.server()
    await a.leave()
    await a.begin("a", b"1")
    await a.leave()
    other = the_other(await b.begin("b", b"x"))
    assert other.has_left
    assert [word.data for word in await heard(b, other.id)] == [b"1"]
    await a.tell()
    assert not the_other(await b.tell()).has_left


async def test_servers_and_environments_do_not_mix(stand: Stand) -> None:
    a, b, c = (stand.server() for _ in range(3))
    for server, name in ((a, "a"), (b, "b")):
        await server.begin(name, name.encode())
    ids = {one.name: one.id for one in (await c.begin("c", b"c")).replicas}
    assert set(ids) == {"a", "b"}
    found: dict[str, bytes] = {}
    while len(found) < 2:
        found |= {word.replica: word.data for word in await c.hear(dict.fromkeys(ids.values(), Spot()))}
    assert found == {ids["a"]: b"a", ids["b"]: b"b"}
