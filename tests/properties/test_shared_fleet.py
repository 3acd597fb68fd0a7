"""Nothing false is proven whatever happens to processes and servers, and in the end every server knows the same.

In whatever order things are told and heard, and whoever was away meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_fleet import Server, Store

FIRST = 5
SERVERS, PROCESSES = 3, 4

Act: TypeAlias = "tuple[str, int, int]"

ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("join",) * 5,
                *("tell",) * 5,
                *("hear",) * 5,
                *("deliver",) * 3,
                *("follow",) * 3,
                *("commit", "break", "notice", "leave", "pass") * 2,
                *("die", "start", "lose", "anew", "wait"),
            )
        ),
        st.integers(0, SERVERS - 1),
        st.integers(0, PROCESSES - 1),
    ),
    max_size=60,
)


@dataclass
class Process:
    """What is true of one.

    Attributes:
        held: the revision that it decides with; it never goes back.
        at: the server that it is connected to.
        open: streams that servers have not noticed the end of, the newest last.
    """

    name: str
    held: int = 0
    at: Server | None = None
    has_left: bool = False
    open: list[tuple[Server, object]] = field(default_factory=list)


class World:
    """Servers on one store, of which some die, and processes that move between them."""

    def __init__(self) -> None:
        self.store = Store()
        self.head = FIRST
        self.servers: list[Server | None] = [self.store.server("s0"), self.store.server("s1"), None]
        self.dead: list[Server] = []
        self.processes = [Process(f"p{number}") for number in range(PROCESSES)]

    @property
    def living(self) -> list[Server]:
        return [one for one in self.servers if one is not None]

    async def act(self, act: Act) -> None:
        what, where, who = act
        server, process = self.servers[where], self.processes[who]
        if what == "start" and server is None:
            await self._start(where)
        elif server is not None and what in {"join", "tell", "hear", "deliver", "follow", "commit", "die", "anew"}:
            await self._at(what, where, server, process)
        elif what == "break":
            process.at = None
        elif what == "notice":
            self._notice(process)
        elif what == "leave" and process.at is not None:
            process.at.roster.leave(process.open.pop()[1])
            process.at, process.has_left = None, True
        elif what in {"pass", "wait"}:
            await self._pass(1_000 if what == "pass" else 9_000)
        elif what == "lose" and not self.dead:
            self.store.board.lose()

    async def _at(self, what: str, where: int, server: Server, process: Process) -> None:
        match what:
            case "join" if not process.has_left:
                self._tick(700)
                stream = server.join(process.name, held=process.held)
                process.open.append((server, stream))
                process.at, process.held = server, max(process.held, server.position.revision)
                server.acknowledge(stream, process.held)
            case "tell":
                await server.tell()
            case "hear":
                await server.hear()
            case "deliver":
                self._deliver(server)
            case "follow":
                if server.position.revision < self.head:
                    server.commit(self.head)
            case "commit":
                self.head += 1
                server.commit(self.head)
            case "anew":
                server.begin_anew()
            case "die" if len(self.living) > 1:
                await server.tell()  # whoever came in the last moment before is nobody's to know (docs/adr/0022)
                self.servers[where] = None
                self.dead.append(server)
                for one in self.processes:
                    one.open = [each for each in one.open if each[0] is not server]
                    if one.at is server:
                        one.at = None

    async def _start(self, where: int) -> None:
        server = self.store.server(f"s{where}")
        await server.tell()
        server.commit(self.head)
        self.servers[where] = server

    def _deliver(self, server: Server) -> None:
        for process in self.processes:
            if process.at is server and process.held < server.position.revision:
                process.held = server.position.revision
                server.acknowledge(process.open[-1][1], process.held)

    def _notice(self, process: Process) -> None:
        """Of the streams that are over, the servers learn that they are."""
        stays = process.open[-1:] if process.at is not None else []
        for server, stream in process.open[: len(process.open) - len(stays)]:
            server.roster.disconnect(stream)
        process.open = stays

    def _tick(self, ms: int) -> None:
        for clock in (self.store.clock, *(one.clock for one in self.store.servers)):
            clock.advance(ms)

    async def _pass(self, ms: int) -> None:
        unborn = [one for one in self.store.servers if one not in self.living]
        await self.store.pass_time(ms, *unborn)

    def check(self) -> None:
        """Whoever proves something is right."""
        for server in self.living:
            revision = server.position.revision
            if server.fleet.certificate(revision).is_complete:
                behind = [one.name for one in self.processes if one.at is not None and one.held < revision]
                lost = [one.name for one in self.processes if one.open and one.held < revision and not one.has_left]
                assert not behind + lost, f"{server.name} proves {revision}, and {behind or lost} decide with another"

    async def settle(self) -> None:
        """Let everything be noticed, told and heard; then all servers agree with the truth."""
        for process in self.processes:
            self._notice(process)
        for server in self.living:
            server.commit(self.head)
            self._deliver(server)
        await self._pass(9_000)
        self.check()
        for server in self.living:
            known = {one.greeting.instance_id: one for one in server.fleet.known()}
            for process in self.processes:
                one = known.get(process.name)
                where = (one.replica or server.name) if one is not None and one.is_connected else None
                assert where == (process.at.name if process.at is not None else None), (server.name, process.name)
                assert not (process.has_left and one is not None), f"{process.name} said goodbye"
            is_anybody_away = any(not one.is_connected for one in known.values())
            assert server.fleet.certificate(self.head).is_complete is not is_anybody_away
            mine = {one.greeting.instance_id for one in server.fleet.mine()}
            assert {one.name for one in self.processes if one.at is server} <= mine
        names = [{one.greeting.instance_id for one in server.fleet.known()} for server in self.living]
        assert all(each == names[0] for each in names)
        counted = [one.greeting.instance_id for server in self.living for one in server.fleet.mine()]
        assert len(counted) == len(set(counted)), "each process belongs to one server"


async def play(acts: list[Act]) -> None:
    world = World()
    await world._pass(9_000)
    for act in acts:
        await world.act(act)
        world.check()
    await world.settle()


@settings(max_examples=60)
@given(ACTS)
def test_nothing_false_is_proven_and_all_agree_in_the_end(acts: list[Act]) -> None:
    """Processes move, break and leave; servers lag, die and start; words are told late and heard in any order."""
    asyncio.run(play(acts))


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@settings(max_examples=5_000)
@given(ACTS)
def test_nothing_false_is_proven_in_thousands_of_worlds(acts: list[Act]) -> None:
    """The same, for longer."""
    asyncio.run(play(acts))
