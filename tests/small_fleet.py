"""Servers on one store in memory, each with processes of its own; no loops run, the test lets them tell and hear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.fleet import FleetWord, write_fleet_word
from rollout_sdk.wire.messages import Acknowledgement, Greeting
from rollout_sdk.wire.relaying import News
from rollout_server.app.record_log import Mark
from rollout_server.app.roster import Roster
from rollout_server.app.shared_fleet import SharedFleet
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_replicas import MemoryReplicas, SharedBoard

TOKEN = "t-1"


@dataclass
class Store:
    """What servers share: time, though their clocks differ, and what they tell."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.board = SharedBoard(self.clock)
        self.servers: list[Server] = []

    def server(self, name: str, skew_ms: int = 0) -> Server:
        server = Server(self, name, skew_ms)
        self.servers.append(server)
        return server

    async def talk(self, *without: Server) -> None:
        """Let everybody tell what is new, then hear; until everybody has seen that all others live."""
        living = [server for server in self.servers if server not in without]
        for _ in range(3):
            for server in living:
                await server.tell()
            for server in living:
                await server.hear()

    async def pass_time(self, ms: int, *without: Server) -> None:
        """Let time pass, in which all but these give signs of life."""
        for _ in range(ms // 1_000):
            self.clock.advance(1_000)
            for server in self.servers:
                server.clock.advance(1_000)
            await self.talk(*without)


class Server:
    """One server.

    Attributes:
        clock: stands elsewhere than the others'.
    """

    def __init__(self, store: Store, name: str, skew_ms: int = 0) -> None:
        self.name = name
        self.clock = FakeClock()
        self.clock.step(skew_ms)
        self.position = Position("e1", 5, b"d5")
        self.marks: dict[int, Mark] = {}
        self.replicas = MemoryReplicas(store.board)
        self.roster = Roster(self.clock, lambda: self.position, self.marks.get)
        self.roster.tell_every_s = 0
        self.fleet = SharedFleet(self.roster, self.clock)
        self._store = store
        self._news: AsyncIterator[News] | None = None

    def commit(self, revision: int) -> None:
        """Stand at a revision that was committed now."""
        self.position = replace(self.position, revision=revision)
        self.marks[revision] = Mark(b"", b"records", self.clock.now_ms())

    def join(self, instance_id: str = "p", behind: str = "", connected_ms_ago: int = 0, held: int = 0) -> object:
        position = replace(self.position, revision=held) if held else None
        greeting = Greeting(instance_id, "1.0", ("op:in",), "web", instance_id, 7, position)
        return self.roster.join(greeting, TOKEN, behind, connected_ms_ago)

    def acknowledge(self, stream: object, revision: int = 0) -> None:
        held = replace(self.position, revision=revision or self.position.revision)
        self.roster.acknowledge(stream, Acknowledgement(held, b"records"))

    async def tell(self) -> None:
        """What is new, or all of it where that was lost."""
        self.roster.ring()
        if self._news is None:
            self._news = self.roster.tell()
            roll = await self.replicas.begin(self.name, write_fleet_word(FleetWord(News())))
            self.fleet.look(roll, self.position)
        news = await anext(self._news)
        word = FleetWord(news, self.position if self.roster.is_told else None, self.roster.forgotten)
        asked = self.position
        roll = await self.replicas.tell(write_fleet_word(word))
        self.fleet.look(roll, asked)
        if not roll.is_whole:
            self._news = None
            await self.tell()

    def begin_anew(self) -> None:
        """Tell everything again, the next time."""
        self._news = None

    async def hear(self) -> None:
        """Everything that was told."""
        while after := {id_: spot for id_, spot in self.fleet.to_hear().items() if self._is_behind(id_)}:
            for _ in self.fleet.take(await self.replicas.hear(after)):
                pass

    def _is_behind(self, id_: str) -> bool:
        words = self._store.board.words.get(id_, [])
        return bool(words) and not self._store.board.is_deaf and words[-1][0] > self.fleet.to_hear()[id_]
