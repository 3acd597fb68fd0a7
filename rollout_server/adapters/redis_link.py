"""Talking to Redis: what may be asked twice, what must be told once, and what is not known when no answer came."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis import exceptions
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import NoScriptError, ResponseError

from rollout_server.adapters.redis_refusals import LOST, REFUSED_BEFORE, refusal
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from redis.asyncio.connection import AbstractConnection, ConnectionPool

    from rollout_server.adapters.redis_scripts import Script

ANSWER_S = 5.0
"""How long a question or a commit may take."""

CONNECTED_S = 4.0
"""How long it may take until a connection can be used, Sentinels asked and password given."""

PING_S = 0.15
"""Once an answer did not come, Redis must first show within this time that it answers at all."""

AT_ONCE = 32


class InDoubt(Exception):
    """A script was sent and no answer came: it has run, or will run, or never will."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How many replicas must have what is acknowledged.

    Attributes:
        replicas: 0 asks none.
        ms: how long they are waited for.
    """

    replicas: int = 0
    ms: int = 1_000


class RedisLink:
    """Connections to one Redis. Lives on one event loop.

    Attributes:
        where: the address for people.
        wait: for replicas, after each commit.
    """

    def __init__(self, pool: ConnectionPool, where: str, wait: Wait) -> None:
        self.where = where
        self.wait = wait
        self._pool = pool
        self._room = asyncio.Semaphore(AT_ONCE)
        self._is_silent = False
        self._closing = asyncio.Event()

    @property
    def has_sentinels(self) -> bool:
        """Whether it fails over by itself: the primary is whoever the Sentinels name."""
        return isinstance(self._pool, SentinelConnectionPool)

    async def ask(self, script: Script, key: str, *arguments: Any) -> Any:  # noqa: ANN401 - as Redis answers
        """Run a script that may run twice: a connection that died meanwhile is replaced.

        Raises:
            Unavailable, Corrupt: as Redis says, or it is away.
        """
        return await self._twice(lambda connection: self._run(connection, script, key, arguments))

    async def command(self, *words: Any) -> Any:  # noqa: ANN401 - as Redis answers
        """Run a command that may run twice; raises as `ask`."""
        return await self._twice(lambda connection: self.speak(connection, *words))

    async def commands(self, batch: Sequence[Sequence[Any]]) -> None:
        """Run commands in one go, each of which may run twice; raises as `ask`, and says what the first refusal was."""

        async def work(connection: AbstractConnection) -> None:
            async with asyncio.timeout(ANSWER_S):
                await connection.send_packed_command(connection.pack_commands(batch))
                answers = [await _answer(connection) for _ in batch]
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer

        await self._twice(work)

    async def tell(
        self,
        script: Script,
        key: str,
        *arguments: Any,  # noqa: ANN401 - what Redis takes
        has_written: Callable[[Any], bool] = lambda _: False,
    ) -> tuple[Any, bool]:
        """Run a script at most once.

        Args:
            script: which.
            key: of the environment's "meta".
            arguments: what it takes.
            has_written: tells from the answer whether replicas are to be waited for.

        Returns:
            The answer, and whether the replicas that were waited for have it.

        Raises:
            InDoubt: it was sent, and no answer came.
            Unavailable, Corrupt: nothing was written.
        """
        await self._hear_it()
        async with self._room, self.connection() as connection:
            try:
                answer = await self._run(connection, script, key, arguments)
            except REFUSED_BEFORE as error:
                raise self.meaning(error) from error
            except LOST as error:
                self._is_silent = True
                raise InDoubt(str(error) or type(error).__name__) from error
            if self.wait.replicas == 0 or not has_written(answer):
                return answer, True
            try:
                async with asyncio.timeout(ANSWER_S + self.wait.ms / 1_000):
                    await connection.send_command("WAIT", self.wait.replicas, self.wait.ms)
                    acknowledged = await connection.read_response()
            except (*REFUSED_BEFORE, *LOST):
                await connection.disconnect(nowait=True)
                return answer, False
            return answer, int(acknowledged) >= self.wait.replicas

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection. One that was left in the middle of an answer is closed.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        if self._closing.is_set():
            raise Unavailable("redis", f"{self.where}: it was closed", "start the server again")
        try:
            async with asyncio.timeout(CONNECTED_S):  # with the answers to AUTH and SELECT, which the client waits for
                connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (*REFUSED_BEFORE, *LOST) as error:
            self._is_silent = self._is_silent or isinstance(error, TimeoutError | exceptions.TimeoutError)
            raise self.meaning(error) from error
        try:
            yield connection
        except ResponseError:
            raise  # an answer like any other
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            if self._closing.is_set():  # the client connects again by itself, when something is sent
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def speak(self, connection: AbstractConnection, *words: Any, within_s: float = 0) -> Any:  # noqa: ANN401
        """Send one command on a lent connection and return the answer; raises what the client raises."""
        async with asyncio.timeout(within_s or ANSWER_S):
            await connection.send_command(*words)
            return await connection.read_response()

    async def close(self) -> None:
        """Let go of every connection. May be called twice."""
        self._closing.set()
        await self._pool.disconnect()
        if isinstance(self._pool, SentinelConnectionPool):
            await self._pool.sentinel_manager.aclose()

    async def _twice(self, work: Callable[[AbstractConnection], Any]) -> Any:  # noqa: ANN401 - as Redis answers
        await self._hear_it()
        try:
            return await self._once(work)
        except LOST:
            try:
                return await self._once(work)
            except LOST as error:
                self._is_silent = True
                raise self.meaning(error) from error

    async def _once(self, work: Callable[[AbstractConnection], Any]) -> Any:  # noqa: ANN401 - as Redis answers
        async with self._room, self.connection() as connection:
            try:
                return await work(connection)
            except REFUSED_BEFORE as error:
                raise self.meaning(error) from error

    async def _hear_it(self) -> None:
        """After a silence: nobody waits long for a Redis that hangs, and nothing is sent that it may do later."""
        if not self._is_silent:
            return
        try:
            async with asyncio.timeout(PING_S), self.connection() as connection:
                await self.speak(connection, "PING")
        except (*REFUSED_BEFORE, *LOST) as error:
            raise self.meaning(error) from error
        self._is_silent = False

    async def _run(self, connection: AbstractConnection, script: Script, key: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
        try:
            return await self.speak(connection, "EVALSHA", script.sha, 1, key, *arguments)
        except NoScriptError:  # Redis has restarted, or is another one: it did nothing
            return await self.speak(connection, "EVAL", script.text, 1, key, *arguments)

    def meaning(self, error: Exception) -> Exception:
        """Return what to raise instead of an error of the client; bugs stay what they are."""
        return refusal(error, self.where) or error


async def _answer(connection: AbstractConnection) -> Any:  # noqa: ANN401 - as Redis answers
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
