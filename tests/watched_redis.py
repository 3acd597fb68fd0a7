"""A Redis that fails over: a primary, a replica, and a real Sentinel that promotes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tests.real_redis import RealRedis, free_port, own_redis, redis_directory, redis_program

SERVICE = "main"
LINKED_WITHIN_S = 90
PROMOTED_WITHIN_S = 60
DOWN_AFTER_MS = 4_000
"""Less, and on a busy machine the Sentinel takes a healthy server for dead."""


@dataclass
class WatchedRedis:
    """Two servers that take turns.

    Attributes:
        servers: both.
        sentinel_port: where the Sentinel answers.
        log: of the Sentinel.
        graves: a directory for each server that was killed as primary, with its data as it was at that moment.
    """

    servers: list[RealRedis]
    sentinel_port: int
    log: Path
    graves: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel_port}/{SERVICE}"

    def sentinel(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.sentinel_port, protocol=2)

    async def linked(self) -> RealRedis:
        """Wait until a replica, which the Sentinel knows, is in step with whoever it names primary; return that one."""
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(LINKED_WITHIN_S), self.sentinel() as sentinel:
                while True:
                    with suppress(RedisError):
                        answer: Any = await sentinel.sentinel_masters()
                        primary = next(each for each in self.servers if each.port == answer[SERVICE]["port"])
                        async with primary.client() as client:
                            seen = await client.info("replication")
                        heard: Any = await sentinel.sentinel_slaves(SERVICE)
                        is_known = any(not one["is_sdown"] and one["master-link-status"] == "ok" for one in heard)
                        if is_known and seen["role"] == "master" and seen.get("slave0", {}).get("state") == "online":
                            return primary
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no replica came: {seen}") from None

    async def fail_over(self, *, is_told: bool = True) -> None:
        """Kill the primary, wait until the replica is promoted, and attach the other one anew, empty.

        Args:
            is_told: the Sentinel is told to promote, and does not wait until it finds the primary dead.
        """
        primary = await self._named()
        (replica,) = (each for each in self.servers if each is not primary)
        primary.kill()
        grave = primary.directory / f"grave-{len(self.graves)}"
        grave.mkdir()
        (primary.directory / "appendonlydir").rename(grave / "appendonlydir")
        self.graves.append(grave)
        if is_told:
            await self._told()
        await self.promoted(replica)
        primary.options["replicaof"] = f"127.0.0.1 {replica.port}"
        primary.start()

    async def cut_off(self, primary: RealRedis) -> None:
        """Have its replica hear nothing more of it, from now on."""
        (replica,) = (each for each in self.servers if each is not primary)
        async with replica.client() as client:
            await client.replicaof("127.0.0.1", str(free_port()))  # nobody is there

    async def promoted(self, replica: RealRedis) -> None:
        """Wait until the Sentinel has made it the primary, and says so: before that it may still change its mind."""
        named, role = 0, ""
        async with asyncio.timeout(PROMOTED_WITHIN_S), self.sentinel() as sentinel, replica.client() as client:
            while named != replica.port or role != "master":
                with suppress(RedisError):
                    answer: Any = await sentinel.sentinel_masters()
                    named, role = answer[SERVICE]["port"], (await client.info("replication"))["role"]
                await asyncio.sleep(0.02)

    def failovers(self) -> int:
        """How often the Sentinel has promoted one, by its log: epochs count attempts that came to nothing, too."""
        return self.log.read_text(encoding="utf-8").count("+switch-master")

    async def _told(self) -> None:
        async with asyncio.timeout(PROMOTED_WITHIN_S), self.sentinel() as sentinel:
            while True:
                try:
                    await sentinel.sentinel_failover(SERVICE)
                except ResponseError as error:
                    if "INPROG" in str(error):
                        return
                    await asyncio.sleep(0.05)  # it has not heard of the replica for a moment
                else:
                    return

    async def _named(self) -> RealRedis:
        async with self.sentinel() as sentinel:
            answer: Any = await sentinel.sentinel_masters()
            return next(each for each in self.servers if each.port == answer[SERVICE]["port"])


@asynccontextmanager
async def risen(grave: Path) -> AsyncIterator[RealRedis]:
    """The server of a grave, by itself, to be read."""
    server = RealRedis(grave)
    server.start()
    try:
        await server.ready()
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def watched_redis(**options: str) -> AsyncIterator[WatchedRedis]:
    """Two linked servers with these options, and a Sentinel; all of it is gone afterwards."""
    ports, sentinel_port = [free_port() for _ in range(2)], free_port()
    common = {"repl_ping_replica_period": "1", "repl_timeout": "2", **options}
    async with (
        own_redis(port=ports[0], **common) as primary,
        own_redis(port=ports[1], replicaof=f"127.0.0.1 {ports[0]}", **common) as replica,
    ):
        with redis_directory() as directory:
            config = directory / "sentinel.conf"
            config.write_text(
                f"port {sentinel_port}\nbind 127.0.0.1\ndir {directory}\nlogfile {directory}/sentinel.log\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {ports[0]} 1\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 3000\nsentinel parallel-syncs {SERVICE} 1\n",
                encoding="ascii",
            )
            sentinel = await asyncio.create_subprocess_exec(
                redis_program(), str(config), "--sentinel", stdout=asyncio.subprocess.DEVNULL
            )
            try:
                redis = WatchedRedis([primary, replica], sentinel_port, directory / "sentinel.log")
                await _hurry(redis)
                await redis.linked()
                yield redis
            finally:
                sentinel.kill()
                await sentinel.wait()


async def _hurry(redis: WatchedRedis) -> None:
    """Have the Sentinel listen to servers more often than every ten seconds: it promotes only what it has heard of."""
    words = ("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "500")
    async with asyncio.timeout(LINKED_WITHIN_S), redis.sentinel() as sentinel:
        while True:
            with suppress(RedisError):
                await sentinel.execute_command(*words)  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(0.02)
