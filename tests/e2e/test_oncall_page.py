"""docs/oncall.md, followed as it is written: real commands, a real server, real processes, and real trouble."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, free_port

pytestmark = [pytest.mark.xdist_group("oncall"), pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "oncall.md"
SHOP = Path(__file__).with_name("night_child.py")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(host)?\$ (.*?)(?:   # (?:exits (\d+)|.*))?")
PACE = {"window_ms": 200, "report_every_ms": 200, "tick_ms": 200}
WITHIN_S = 60.0
PIPELINE = {
    "stages": [{"name": "canary", "share": "20%", "soak": "1h"}],
    "guardrails": [{"metric": "failed", "limit": "+50%", "action": "rollback"}],
}
MINE, BAD = "checkout-v2", "bad-search"


def documents() -> list[pb.Document]:
    """Two flags that are rolled out alike; the shop breaks whoever gets the second."""
    moves = {"from": "off", "to": "on", "pipeline": "careful"}
    return [
        document("Metric", "failed", {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}),
        document("Pipeline", "careful", PIPELINE),
        *(document("Flag", key, {"rules": [{"id": "launch", "rollout": key}]}) for key in (MINE, BAD)),
        *(document("Rollout", key, {**moves, "flag": key}) for key in (MINE, BAD)),
    ]


def flat(text: str) -> str:
    """What a terminal folds and pads is the same text."""
    return " ".join(text.split())


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again."""
    async with asyncio.timeout(WITHIN_S):
        while not await is_so():  # noqa: ASYNC110 - what is asked is in other processes
            await asyncio.sleep(0.05)


@dataclass
class Night:
    """A server, two copies of a shop with an overrides file on their host, and somebody who was woken.

    Attributes:
        exports: what was typed to set the shell up.
        said: by the last command.
    """

    home: Path
    server: ServerProcess
    admin: Person
    shop_token: str
    shops: list[asyncio.subprocess.Process] = field(default_factory=list)
    exports: str = "true"
    said: str = ""

    @property
    def overrides(self) -> Path:
        return self.home / "overrides.json"

    async def open_shop(self) -> None:
        self.shops.append(
            await asyncio.create_subprocess_exec(
                sys.executable, str(SHOP), self.server.address, self.shop_token, f"{MINE},{BAD}",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "ROLLOUT_OVERRIDES": str(self.overrides)},
            )
        )  # fmt: skip

    async def exposes(self, shop: asyncio.subprocess.Process) -> bool:
        """Whether a shop serves the new variant to anybody."""
        assert shop.stdin is not None
        assert shop.stdout is not None
        shop.stdin.write(b"\n")
        exposed: dict[str, int] = json.loads(await shop.stdout.readline())
        return exposed[MINE] > 0

    async def until_exposing(self, *, is_so: bool) -> None:
        """Wait until every living shop exposes, or none does."""
        living = [one for one in self.shops if one.returncode is None]

        async def is_there() -> bool:
            return {await self.exposes(shop) for shop in living} == {is_so}

        await until(is_there)

    async def start(self, key: str) -> None:
        await self.admin.stub.StartRollout(pb.StartRolloutRequest(rollout=key), metadata=self.admin.metadata)

    async def is_taken_back(self) -> bool:
        """Whether the engine caught the bad one."""
        answer = await self.admin.stub.GetRollout(pb.GetRolloutRequest(rollout=BAD), metadata=self.admin.metadata)
        return bool(answer.rollout.phase == "rolled back")

    async def is_serving(self) -> bool:
        """Whether the server is there, by its own command."""
        return await self.type("rollout health", is_on_host=False) == 0

    async def type(self, command: str, *, is_on_host: bool) -> int:
        """Type a command into the shell of whoever was woken, or of a shop's host."""
        command = command.replace("rollout.example.com:7070", self.server.address)
        host = {"ROLLOUT_OVERRIDES": str(self.overrides), "PID": str(self.shops[1].pid)}
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f"{self.exports}; {command} 2>&1", cwd=self.home, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}", "HOME": str(self.home), "COLUMNS": "200",
                **(host if is_on_host else {}),
            },
        )  # fmt: skip
        told, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        if command.startswith("export "):
            self.exports = command
        self.said = told.decode()
        assert process.returncode is not None
        return process.returncode


@asynccontextmanager
async def night(home: Path) -> AsyncIterator[Night]:
    """Both flags are rolled out to a fifth; the bad one was taken back by the engine before anybody typed a word."""
    options = {name: str(value) for name, value in PACE.items()}
    async with ServerProcess(home / "data", free_port(), **options) as server, channel_to(server.address) as channel:
        await server.start()
        admin = await admin_of(home / "data", channel)
        await admin.apply(*documents())
        (home / ".rollout-token").write_text((await admin.token("operator")).secret, encoding="ascii")
        (home / ".rollout-token").chmod(0o600)
        (home / "bin").mkdir()
        command = home / "bin" / "rollout"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rollout_server "$@"\n', encoding="ascii")
        command.chmod(0o700)
        it = Night(home, server, admin, (await admin.token("sdk")).secret)
        try:
            await it.open_shop()
            await it.open_shop()
            for shop in it.shops:
                await it.exposes(shop)
            await it.start(BAD)
            await until(it.is_taken_back)
            await it.start(MINE)
            await it.until_exposing(is_so=True)
            yield it
        finally:
            for shop in it.shops:
                if shop.returncode is None:
                    shop.kill()
                await shop.wait()


async def the_server_goes(it: Night) -> None:
    """Whoever is on call lifted the kill, and the next run exposes; then the server dies."""
    await it.admin.unkill(MINE)
    await it.start(MINE)
    await it.until_exposing(is_so=True)
    await it.server.end(kill=True)


async def the_server_returns(it: Night) -> None:
    """Until then nobody was exposed, by the overrides file alone."""
    assert it.overrides.exists()
    await it.until_exposing(is_so=False)
    await it.server.start()
    await until(it.is_serving)


async def one_hangs(it: Night) -> None:
    """The file is gone, the next run exposes, and a process stops answering."""
    assert not it.overrides.exists()
    await it.start(MINE)
    await it.until_exposing(is_so=True)
    it.shops[1].send_signal(signal.SIGSTOP)


BEFORE = {"exits 9": the_server_goes, "run 2 is rolled back": the_server_returns, "exits 5": one_hangs}
"""What happens before the block that holds these words."""


async def test_the_page_is_true(tmp_path: Path) -> None:
    """Every command ends as the page says, and says what the page shows; "..." stands for what differs each time."""
    page = PAGE.read_text(encoding="utf-8")
    text = re.sub(r"^\|.*$", "", page, flags=re.MULTILINE)
    async with night(tmp_path) as it:
        count = 0
        for block in BLOCK.findall(text):
            for words, happens in BEFORE.items():
                if words in block:
                    await happens(it)
            for line in block.splitlines():
                command = COMMAND.fullmatch(line)
                if command is None:
                    pattern = ".*".join(re.escape(flat(part)) for part in line.split("..."))
                    assert re.search(pattern, flat(it.said)), f"{line!r} is not in:\n{it.said}"
                    continue
                host, typed, code = command.groups()
                assert await it.type(typed, is_on_host=bool(host)) == int(code or 0), it.said
                count += 1
        assert count == 14
        assert await asyncio.wait_for(it.shops[1].wait(), WITHIN_S) == -signal.SIGKILL
        assert await it.type("rollout rollback checkout-v2 --timeout 0s", is_on_host=False) == 5
        assert "unreachable" in it.said
        await it.until_exposing(is_so=False)


def test_it_is_one_page() -> None:
    """It fits on two screens, and the first command is on the first."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 140
    assert lines.index("$ rollout") < 20
    assert lines.index("$ rollout rollback checkout-v2") < 32
