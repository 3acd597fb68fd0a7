"""The server that drives rollouts is stopped for three leases, and wakes: it writes nothing that it decided before.

Two real servers whose clocks are stepped by an hour, three rollouts whose stages last half a second, and Redis's
own account of every commit: under which token each entry of the engine was written, and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import grpc
import pytest
from redis.asyncio import Redis

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.adapters import redis_scripts
from rollout_server.adapters.redis_rows import meta_key
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.app.run_rollouts import ENGINE
from rollout_server.domain.journal import Entry
from rollout_server.stores import KEY_FILE, open_stores
from tests.journal_judge import JournalJudge
from tests.real_redis import RealRedis, own_redis
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, free_port, http_get, settings

KEYS = ("north", "south", "west")
STAGES = [{"name": f"stage-{number}", "share": f"{number * 10}%", "soak": "500ms"} for number in range(1, 9)]
PIPELINE = {"stages": STAGES, "finish": {"share": "100%", "watch": "500ms"}}
PACE = {"tick_ms": 100, "window_ms": 200, "report_every_ms": 200}
STEPS = (signal.SIGUSR1, signal.SIGUSR2)
LONG_S = 60
META = meta_key("production")
SLACK_MS = 300
"""What Redis may see less of a soak than the server: a tick, and the way on a busy machine."""


@dataclass
class Commits:
    """What Redis was asked to commit, by the digest of the entry.

    Attributes:
        tokens: under which token it was written; 0 for people.
        at_ms: by the clock of Redis, when it was asked for last.
    """

    tokens: dict[bytes, int] = field(default_factory=dict)
    at_ms: dict[bytes, int] = field(default_factory=dict)

    async def watch(self, server: RealRedis, begun: asyncio.Event) -> None:
        """Read MONITOR until cancelled."""
        reader, writer = await asyncio.open_unix_connection(str(server.path), limit=1 << 26)
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"
        begun.set()
        try:
            while line := await reader.readline():
                self._take(line)
        finally:
            writer.close()

    def _take(self, line: bytes) -> None:
        words = [_plain(word) for word in re.findall(rb'"((?:[^"\\]|\\.)*)"', line)]
        if len(words) > 16 and words[0] in {b"EVALSHA", b"EVAL"} and words[1] in _COMMIT and words[3] == META.encode():
            # As commit.lua has it: 4 the token, 11 the digest; the script, the number of keys and the key come before.
            token, digest = int(words[3 + 4]), words[3 + 11]
            self.tokens[digest] = token
            self.at_ms[digest] = int(float(line[1:].split(b" ", 1)[0]) * 1_000)


_COMMIT = {redis_scripts.COMMIT.sha.encode(), redis_scripts.COMMIT.text}
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def _plain(word: bytes) -> bytes:
    """Undo what MONITOR escapes."""

    def one(found: re.Match[bytes]) -> bytes:
        what = found[1]
        return bytes([int(what[1:], 16)]) if len(what) == 3 else _ESCAPED.get(what, what)

    return re.sub(rb"\\(x[0-9a-f]{2}|.)", one, word)


@dataclass
class Server:
    """One of two."""

    process: ServerProcess
    http: str
    person: Person

    async def is_leading(self) -> bool:
        _, said = await http_get(self.http, "/metrics")
        return 'rollout_lease_held{environment="production"} 1.0' in said

    async def end_of_lead(self) -> None:
        """Wait until it knows that another drives."""
        while await self.is_leading():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


async def keep_moving(servers: list[Server], held: list[asyncio.Event]) -> None:
    """Start what is over and take back what is complete, at whichever server is not stopped."""
    while True:
        for key in KEYS:
            person = next(one.person for one, up in zip(servers, held, strict=True) if up.is_set())
            with contextlib.suppress(grpc.aio.AioRpcError):
                found = await person.stub.GetRollout(
                    pb.GetRolloutRequest(rollout=key), metadata=person.metadata, timeout=1
                )
                if found.rollout.phase in {"", "rolled back"}:
                    await person.stub.StartRollout(
                        pb.StartRolloutRequest(rollout=key), metadata=person.metadata, timeout=1
                    )
                elif found.rollout.phase == "completed":
                    await person.stub.Rollback(pb.RollbackRequest(rollout=key), metadata=person.metadata, timeout=1)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def two_servers(tmp_path: Path, url: str, lease_ms: int) -> AsyncIterator[list[Server]]:
    """Servers on one Redis, each on a machine of its own as far as its clock goes."""
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for name in ("a", "b"):
            data, http = tmp_path / name, f"127.0.0.1:{free_port()}"
            if servers:
                data.mkdir()
                (data / KEY_FILE).write_bytes((tmp_path / "a" / KEY_FILE).read_bytes())
                (data / KEY_FILE).chmod(0o600)
            options = {"log_level": "error", "redis_url": url, "lease_ms": lease_ms, "http_listen": http, **PACE}
            process = await stack.enter_async_context(ServerProcess(data, free_port(), **options))
            process.program = ("-m", "tests.stepped_server")
            await process.start()
            channel = await stack.enter_async_context(channel_to(process.address))
            if servers:
                await asyncio.wait_for(channel.channel_ready(), LONG_S)
                person = Person(channel, servers[0].person.metadata)
            else:
                person = await admin_of(data, channel)
            servers.append(Server(process, http, person))
        yield servers
        for server in servers:
            code, said = await server.process.end(kill=False)
            assert (code, re.findall(r'"event": "([^"]+)"', said)) == (0, []), "nobody logs an error"


async def leader_of(servers: list[Server]) -> int:
    """Wait until one says that it drives; return which."""
    while True:
        leading = [await each.is_leading() for each in servers]
        if any(leading):
            return leading.index(True)
        await asyncio.sleep(0.02)


async def took_over(client: Redis, old: object) -> None:
    """Wait until the lease has changed hands."""
    while await client.hget(META, "fence") == old:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.002)


async def pause_leaders(tmp_path: Path, pauses: int, lease_ms: int, say: Callable[[str], None]) -> None:
    """The whole of it; `say` is told how far it is."""
    chance = random.Random(pauses)  # noqa: S311 - when to stop whom, no secret
    took_ms: list[float] = []
    commits, begun = Commits(), asyncio.Event()
    async with own_redis() as redis, two_servers(tmp_path, redis.url(), lease_ms) as servers, redis.client() as client:
        await servers[0].person.apply(
            document("Pipeline", "brisk", PIPELINE),
            *(document("Flag", key, {"rules": [{"id": "launch", "rollout": key}]}) for key in KEYS),
            *(document("Rollout", key, {"flag": key, "from": "off", "to": "on", "pipeline": "brisk"}) for key in KEYS),
        )
        up = [asyncio.Event() for _ in servers]
        for each in up:
            each.set()
        watching = asyncio.create_task(commits.watch(redis, begun))
        await begun.wait()
        moving = asyncio.create_task(keep_moving(servers, up))
        for number in range(1, pauses + 1):
            async with asyncio.timeout(LONG_S):
                at = await leader_of(servers)
                await asyncio.sleep(chance.uniform(0, 0.3))
                token = await client.hget(META, "fence")
                up[at].clear()
                servers[at].process.send(signal.SIGSTOP)
                stopped = monotonic()
                await took_over(client, token)
                took_ms.append((monotonic() - stopped) * 1_000)
                servers[chance.choice((at, 1 - at))].process.send(STEPS[number % 2])
                await asyncio.sleep(3 * lease_ms / 1_000)  # the pause is what this is about
                servers[at].process.send(signal.SIGCONT)
                await servers[at].end_of_lead()
                up[at].set()
            if number % 10 == 0:
                say(f"{number} pauses, {len(commits.tokens)} commits, takeover after at most {max(took_ms):.0f} ms")
        moving.cancel()
        await asyncio.wait([moving])
        entries = await log_of(tmp_path / "a", redis.url())
        watching.cancel()
        await asyncio.wait([watching])
    judge_all(entries, commits, pauses)
    tokens = [commits.tokens[one.digest] for one in entries if one.actor == ENGINE]
    say(
        f"{pauses} pauses; {len(tokens)} entries of the engine under {len(set(tokens))} tokens, 0 under an old one; "
        f"takeover, of a lease of {lease_ms} ms: p50 {statistics.median(took_ms):.0f}, "
        f"p95 {sorted(took_ms)[pauses * 95 // 100]:.0f}, max {max(took_ms):.0f} ms"
    )


async def log_of(data: Path, url: str) -> list[Entry]:
    stores = await open_stores(settings(data, redis_url=url), SystemClock())
    try:
        journal = stores.journal("production")
        head = (await journal.load()).position.revision
        assert (await journal.verify(None)).intact
        log: list[Entry] = []
        while len(log) < head:
            log += await journal.entries(len(log), 1_000)
        return log
    finally:
        await stores.close()


def judge_all(entries: list[Entry], commits: Commits, pauses: int) -> None:
    """Tokens only rise, and whoever wrote, the machine's laws hold: no stage is skipped, repeated or cut short."""
    judge, newest = JournalJudge(SLACK_MS), 0
    for entry in entries:
        judge.follow([entry], commits.at_ms.get(entry.digest))
        if entry.actor == ENGINE:
            token = commits.tokens[entry.digest]
            assert token, "the engine writes under its token"
            assert token >= newest, f"revision {entry.revision} was written under an old token"
            newest = token
    assert len({token for token in commits.tokens.values() if token}) >= pauses
    assert Counter(one.entry.action for one in judge.passages)["advance"] >= pauses, "rollouts went on"


async def test_a_leader_that_was_stopped_writes_nothing_when_it_wakes(tmp_path: Path) -> None:
    """Two pauses of three leases each, a clock stepped by an hour in each: every entry is under the newest token."""
    await pause_leaders(tmp_path, 2, 400, lambda _: None)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_200_stopped_leaders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 9, and 19 for the clocks of servers."""

    def say(what: str) -> None:
        with capsys.disabled():
            print(what, flush=True)  # noqa: T201 - somebody waits for this for minutes

    await pause_leaders(tmp_path, 200, 600, say)
