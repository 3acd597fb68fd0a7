"""A Redis is opened whole, or refused with the reason and left as it was."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rollout_server.adapters.redis_store import RedisOptions, open_redis, why_away
from rollout_server.errors import InvalidInput, NotFound, Refused, RolloutError, Unavailable
from tests.certificates import Authority
from tests.doubles.fake_clock import FakeClock
from tests.journal_world import draft, flag, redis_store
from tests.real_redis import SharedRedis, free_port, own_redis

META = "rollout:{production}:meta"


async def content(redis: SharedRedis, url: str) -> dict[str, bytes | None]:
    """Everything in a database, as it is stored."""
    client = redis.server.client(int(url.rpartition("=")[2]))
    found = {str(key): await client.dump(key) for key in await client.keys()}
    await client.aclose()
    return found


@pytest.mark.parametrize(
    ("command", "rule", "words"),
    [
        (("HSET", META, "format", "2"), "store-format", "later release"),
        (("HSET", META, "environment", "staging"), "store-environment", "'staging'"),
        (("HSET", META, "key", "0123456789abcdef"), "server-key", "another server key"),
        (("SET", "rollout:{production}:bodies", "x"), "store-foreign", "is a string of another program"),
        (("DEL", META), "store-foreign", "what belongs to it is not"),
    ],
)
async def test_what_is_not_ours_is_refused_and_left_alone(
    redis: SharedRedis, command: tuple[str, ...], rule: str, words: str
) -> None:
    """Newer data, another environment's, other servers', another program's: each with its own next step."""
    url = await redis.url()
    store = await redis_store(url)
    await store.journal("production").commit(draft(flag("a")))
    await store.link.command(*command)
    before = await content(redis, url)
    with pytest.raises(Refused, match=words) as refusal:
        await redis_store(url)
    assert (refusal.value.rule, bool(refusal.value.hint)) == (rule, True)
    assert await content(redis, url) == before
    await store.close()


async def test_a_foreign_key_in_the_place_of_ours_is_left_alone(redis: SharedRedis) -> None:
    """A hash of another program under our very name."""
    url = await redis.url()
    client = redis.server.client(int(url.rpartition("=")[2]))
    await client.hset(META, "theirs", "1")
    with pytest.raises(Refused, match="is there") as refusal:
        await redis_store(url)
    assert refusal.value.rule == "store-foreign"
    assert await client.hgetall(META) == {b"theirs": b"1"}
    await client.aclose()


async def test_environments_share_a_redis_and_nothing_else(redis: SharedRedis) -> None:
    """Each has its own history, epoch and keys; an unknown one is named."""
    store = await redis_store(await redis.url(), environments=("production", "staging"))
    await store.journal("production").commit(draft(flag("a"), idempotency_key="k", fingerprint="f"))
    here, there = [await store.journal(name).load() for name in ("production", "staging")]
    assert (here.position.revision, there.position.revision) == (1, 0)
    assert here.position.epoch != there.position.epoch
    assert await store.journal("staging").recall("k", "f") is None
    with pytest.raises(NotFound) as refusal:
        store.journal("moon")
    assert "production, staging" in refusal.value.hint
    assert store.journal("staging") is store.journal("staging")
    await store.journal("staging").close()
    await store.journal("production").commit(draft(flag("b")))
    await store.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [("redis://127.0.0.1:1", Unavailable), ("unix:///nowhere/redis.sock", Unavailable), ("http://x", InvalidInput)],
)
async def test_a_redis_that_is_not_there_is_told_with_its_place(url: str, kind: type[RolloutError]) -> None:
    """And no connection is left behind."""
    with pytest.raises(kind) as refusal:
        await redis_store(url)
    assert refusal.value.hint


async def test_it_is_asked_whether_it_is_there() -> None:
    """Away is worth waiting for; a Redis that answers, or says no for good, is to be opened and tells it then."""
    assert isinstance(await why_away(RedisOptions(f"redis://127.0.0.1:{free_port()}")), Unavailable)
    async with own_redis(requirepass="right") as server:
        assert await why_away(RedisOptions(server.url())) is None
        assert await why_away(RedisOptions(server.url().replace("unix://", "unix://:right@"))) is None
        server.kill()
        assert isinstance(await why_away(RedisOptions(server.url())), Unavailable)
    with pytest.raises(InvalidInput):
        await why_away(RedisOptions("http://x"))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}", "redis+sentinel://127.0.0.1:{port}/main"])
async def test_what_answers_and_is_no_redis_is_told_as_such(url: str) -> None:
    """A port of something else: no bug of ours, and not worth waiting for."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        options = RedisOptions(url.format(port=listening.sockets[0].getsockname()[1]))
        assert await why_away(options) is None
        with pytest.raises(Unavailable, match="is no Redis"):
            await redis_store(options.url)


@pytest.mark.parametrize(
    ("url", "words"), [("redis+sentinel://{at}/main", "no Sentinel"), ("redis://{at}/99", "no such")]
)
async def test_a_redis_that_is_meant_otherwise_is_told_as_such(url: str, words: str) -> None:
    """An address of Sentinels that names a Redis, and a database that it does not have."""
    async with own_redis(port=free_port()) as server:
        with pytest.raises(Unavailable, match=words):
            await redis_store(url.format(at=f"127.0.0.1:{server.port}"))


async def test_a_short_key_vouches_for_nothing() -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match="at least"):
        await open_redis(RedisOptions("redis://127.0.0.1:1"), ["production"], key=b"short", clock=FakeClock())


def test_options_are_shown_without_the_password() -> None:
    """They may be logged."""
    assert "s3cret" not in repr(RedisOptions("redis://:s3cret@example.com"))


async def test_tls_is_spoken_with_whoever_the_authority_signed(redis: SharedRedis, tmp_path: Path) -> None:
    """The right authority opens the store, another one and a wrong name do not, and the reason is said."""
    authority, stranger = Authority(), Authority("somebody else")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "other.pem").write_bytes(stranger.pem)
    url = await redis.url()
    db = int(url.rpartition("=")[2])
    async with tls_in_front_of(redis, authority.sign().write(tmp_path)) as port:
        store = await redis_store(f"rediss://127.0.0.1:{port}/{db}", tls_ca=tmp_path / "ca.pem")
        assert (await store.journal("production").commit(draft(flag("a")))).revision == 1
        await store.close()
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await redis_store(f"rediss://127.0.0.1:{port}/{db}", tls_ca=tmp_path / "other.pem")
    async with tls_in_front_of(redis, authority.sign("elsewhere").write(tmp_path)) as port:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await redis_store(f"rediss://127.0.0.1:{port}/{db}", tls_ca=tmp_path / "ca.pem")


@asynccontextmanager
async def tls_in_front_of(redis: SharedRedis, files: tuple[Path, Path]) -> AsyncIterator[int]:
    """What ends TLS for a redis-server that was built without it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    passing: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(redis.server.path)
        passing.update(asyncio.create_task(pass_on(*pair)) for pair in ((reader, back), (there, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*passing, return_exceptions=True)
