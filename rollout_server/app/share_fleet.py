"""Share the processes of an environment with the other servers on its store: tell of one's own, hear of theirs.

Both go on for as long as the server lives. Where the store is away both are tried again, and nobody here takes what was
heard last for how things are.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from rollout_sdk.wire.fleet import FleetWord, write_fleet_word
from rollout_sdk.wire.relaying import News
from rollout_server.errors import RolloutError
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_server.app.environment import Environment
    from rollout_server.app.record_feed import RecordFeed
    from rollout_server.app.roster import Roster
    from rollout_server.app.shared_fleet import SharedFleet
    from rollout_server.ports import Replicas

TELL_EVERY_S: Final = 0.02
"""A certificate waits for it; what ten thousand processes say within it becomes one word."""

BEAT_EVERY_S: Final = 1.0
"""A server that has nothing to tell says so this often."""

RETRY_S: Final = 0.25
END_WITHIN_S: Final = 2.0
AT_ONCE: Final = 500
"""Acknowledgements that are noted before other work gets its turn."""

WORDS_AT_ONCE: Final = 16
"""Told in one go: to a Redis that syncs each write, ten thousand processes are one write."""

ANEW_AFTER_BYTES: Final = 1024 * 1024
ANEW_AFTER_TIMES: Final = 4
ANEW_AFTER_WORDS: Final = 10_000
"""When what was told is so much more than what there is to say that it is begun anew: bounds what the store keeps."""


class ShareFleet:
    """One environment's voice and ears."""

    def __init__(
        self,
        environment: Environment,
        own: Roster,
        fleet: SharedFleet,
        feed: RecordFeed,
        replicas: Replicas,
        name: str,
    ) -> None:
        """Say nothing yet.

        Args:
            environment: whose processes.
            own: those of this server.
            fleet: what hears of the others'.
            feed: where the streams of this server are led.
            replicas: the way through the store.
            name: of this server, for people.
        """
        own.tell_every_s = TELL_EVERY_S
        self._environment = environment
        self._own = own
        self._fleet = fleet
        self._feed = feed
        self._replicas = replicas
        self._name = name
        self._is_silent = False
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()

    async def begin(self) -> None:
        """Be one of the servers, and stand where the store stood then; before anybody is served here.

        So that whoever asks the store after a commit hears of every server that may serve what was before it.

        Raises:
            Corrupt, Unavailable: the store cannot be used now.
        """
        asked = self._feed.position
        self._fleet.look(await self._replicas.begin(self._name, write_fleet_word(FleetWord(News()))), asked)
        await self._environment.catch_up()

    async def keep_sharing(self) -> None:
        """Tell and hear until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._keep_telling(), self._keep_ringing(), self._keep_hearing()):
                group.create_task(work)

    async def end(self) -> None:
        """Tell the last news, and say goodbye; for not much longer than a moment."""
        self._ending.set()
        self._own.ring()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await self._ended.wait()

    async def _keep_telling(self) -> None:
        while not self._ended.is_set():
            try:
                await self._tell_run()
                await asyncio.sleep(TELL_EVERY_S)
            except RolloutError as error:
                self._say(error)
                await asyncio.sleep(RETRY_S)
        await asyncio.Event().wait()

    async def _tell_run(self) -> None:
        """Tell of everybody, then what is new; return when it is time to begin anew, or the end."""
        is_begun, told, whole_bytes, words = False, _Told(), 0, list[bytes]()
        self._own.ring()
        news = self._own.tell()
        async with aclosing(news):  # type: ignore[type-var] # a generator
            async for piece in news:
                position = self._feed.position
                word = FleetWord(piece, position if self._own.is_told else None, self._own.forgotten)
                words += told.worth_saying(word)
                if is_begun and word.position is None and len(words) < WORDS_AT_ONCE:
                    await asyncio.sleep(0)  # a thousand processes were looked at
                    continue
                roll = await (self._replicas.tell(*words) if is_begun else self._replicas.begin(self._name, *words))
                self._fleet.look(roll, position)
                is_begun, self._is_silent, words = True, False, []
                if not roll.is_whole:
                    return
                if word.position is None:
                    continue
                whole_bytes = whole_bytes or told.size_bytes
                if self._ending.is_set():
                    await self._replicas.leave()
                    self._ended.set()
                    return
                if told.is_too_much(whole_bytes):
                    return

    async def _keep_ringing(self) -> None:
        """Let something be said whenever this server stands elsewhere, and once in a while."""
        while True:
            position = self._feed.position
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_EVERY_S):
                    await self._feed.moved_from(position)
            self._own.ring()
            if self._feed.is_draining:
                await asyncio.sleep(BEAT_EVERY_S)  # by then nobody is led elsewhere

    async def _keep_hearing(self) -> None:
        while True:
            try:
                await self._hear()
            except RolloutError as error:
                self._say(error)
                await asyncio.sleep(RETRY_S)

    async def _hear(self) -> None:
        """Hear words until there are others to be heard, or there is something to be told apart."""
        after = self._fleet.to_hear()
        if not after:
            await self._fleet.others_than(())
            return
        hearing = asyncio.create_task(self._replicas.hear(after))
        changing = asyncio.create_task(self._fleet.others_than(after))
        try:
            await asyncio.wait({hearing, changing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (hearing, changing):
                task.cancel()
            await asyncio.gather(hearing, changing, return_exceptions=True)
        if hearing.cancelled():
            return
        for number, _ in enumerate(self._fleet.take(hearing.result()), start=1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _say(self, error: RolloutError) -> None:
        """Say why, once until it goes on."""
        if not self._is_silent:
            get_logger().warning(
                "the processes of other servers cannot be heard of; no certificate is complete until they are",
                environment=self._environment.name,
                why=str(error),
                hint=error.hint,
            )
        self._is_silent = True


class _Told:
    """What was told in one run."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._count = 0
        self._position: Position | None = None
        self._forgotten = -1

    def worth_saying(self, word: FleetWord) -> tuple[bytes, ...]:
        """Return the word as it is kept; nothing where it tells nothing new."""
        if self._count and word == FleetWord(News(), self._position, self._forgotten):
            return ()
        data = write_fleet_word(word)
        self._position, self._forgotten = word.position, word.forgotten
        self._count += 1
        self.size_bytes += len(data)
        return (data,)

    def is_too_much(self, whole_bytes: int) -> bool:
        """Whether it is time to begin anew; `whole_bytes` is what it took to tell everything."""
        bound = max(ANEW_AFTER_BYTES, ANEW_AFTER_TIMES * whole_bytes)
        return self.size_bytes > bound or self._count > ANEW_AFTER_WORDS + whole_bytes // 100
