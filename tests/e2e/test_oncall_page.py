"""docs/oncall.md, followed as it is written: real commands, a real server, real processes, and real trouble."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.eventually import WITHIN_S, until
from tests.small_server import Person, ServerProcess, admin_of, channel_to, document, free_port

pytestmark = [pytest.mark.xdist_group("oncall"), pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "oncall.md"
SHOP = Path(__file__).with_name("night_child.py")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(host|server|you)\$ (.*?)(?:   # exits (\d+))?")
PACE = {"window_ms": 500, "report_every_ms": 200, "tick_ms": 200}
PIPELINE = {
    "stages": [{"name": "quarter", "share": "25%", "soak": "1h"}],
    "guardrails": [{"metric": "failed", "limit": "+50%", "action": "rollback"}],
}
FLAG, LAUNCH = "checkout-v2", "checkout-v2-launch"


def documents() -> list[pb.Document]:
    """A flag, and how it is rolled out."""
    spec = {"flag": FLAG, "from": "off", "to": "on", "pipeline": "careful"}
    launch = {"kind": "Rollout", "metadata": {"key": LAUNCH, "owner": "payments"}, "spec": spec}
    return [
        document("Metric", "failed", {"measures": "proportion", "per": "unit", "bad": "high", "late": "3s"}),
        document("Pipeline", "careful", PIPELINE),
        document("Flag", FLAG, {"rules": [{"id": "launch", "rollout": LAUNCH}]}),
        pb.Document(kind="Rollout", key=LAUNCH, json=json.dumps(launch), origin="launch.yaml:1"),
    ]


def flat(text: str) -> str:
    """What a terminal folds and pads is the same text."""
    return " ".join(text.split())


@dataclass
class Night:
    """A server, two copies of a shop with an overrides file on their host, and somebody who was woken.

    Attributes:
        said: by the last command.
    """

    home: Path
    server: ServerProcess
    admin: Person
    token: str
    shop_token: str
    shops: list[asyncio.subprocess.Process] = field(default_factory=list)
    said: str = ""

    @property
    def overrides(self) -> Path:
        return self.home / "overrides.json"

    @property
    def bug(self) -> Path:
        """While it exists, the new variant breaks whoever gets it."""
        return self.home / "bug"

    async def open_shop(self) -> None:
        self.shops.append(
            await asyncio.create_subprocess_exec(
                sys.executable, str(SHOP), self.server.address, self.shop_token, FLAG, str(self.bug),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "ROLLOUT_OVERRIDES": str(self.overrides)},
            )
        )  # fmt: skip

    async def exposes(self, shop: asyncio.subprocess.Process) -> bool:
        """Whether a shop serves the new variant to anybody."""
        assert shop.stdin is not None
        assert shop.stdout is not None
        shop.stdin.write(b"\n")
        return int(await shop.stdout.readline()) > 0

    async def until_exposing(self, *, is_so: bool) -> None:
        """Wait until every living shop exposes, or none does."""
        living = [one for one in self.shops if one.returncode is None]

        async def is_there() -> bool:
            return {await self.exposes(shop) for shop in living} == {is_so}

        await until(is_there)

    async def start(self) -> None:
        """Open the next run."""
        await self.admin.stub.StartRollout(pb.StartRolloutRequest(rollout=LAUNCH), metadata=self.admin.metadata)
        await self.until_exposing(is_so=True)

    async def phase(self) -> str:
        answer = await self.admin.stub.GetRollout(pb.GetRolloutRequest(rollout=LAUNCH), metadata=self.admin.metadata)
        return str(answer.rollout.phase)

    async def is_running(self) -> bool:
        return await self.phase() == "running"

    async def is_taken_back(self) -> bool:
        return await self.phase() == "rolled back"

    async def misses_one(self) -> bool:
        """Whether a process is known to be gone without a goodbye."""
        await self.type("rollout rollback checkout-v2 --timeout 0s")
        return "unreachable" in self.said

    async def is_serving(self) -> bool:
        """Whether the server is there, by its own command."""
        return await self.type("rollout health") == 0

    async def type(self, command: str, *, at: str = "you") -> int:
        """Type a command into the shell of whoever was woken, of a shop's host, or of the server's machine."""
        place = {
            "you": {"ROLLOUT_SERVER": self.server.address, "ROLLOUT_TOKEN": self.token},
            "host": {"ROLLOUT_OVERRIDES": str(self.overrides)},
            "server": {"ROLLOUT_DATA": str(self.home / "data")},
        }[at]
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f"({command}) 2>&1", cwd=self.home, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}", "HOME": str(self.home), "COLUMNS": "200", **place,
            },
        )  # fmt: skip
        told, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        self.said = told.decode()
        assert process.returncode is not None
        return process.returncode


@asynccontextmanager
async def night(home: Path) -> AsyncIterator[Night]:
    """A flag is rolled out to a quarter, and two copies of a shop serve it."""
    options = {name: str(value) for name, value in PACE.items()}
    async with ServerProcess(home / "data", free_port(), **options) as server, channel_to(server.address) as channel:
        await server.start()
        admin = await admin_of(home / "data", channel)
        await admin.apply(*documents())
        (home / "bin").mkdir()
        command = home / "bin" / "rollout"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rollout_server "$@"\n', encoding="ascii")
        command.chmod(0o700)
        it = Night(home, server, admin, (await admin.token("operator")).secret, (await admin.token("sdk")).secret)
        try:
            await it.open_shop()
            await it.open_shop()
            for shop in it.shops:
                await it.exposes(shop)
            await it.start()
            await until(it.is_running)
            yield it
        finally:
            for shop in it.shops:
                if shop.returncode is None:
                    shop.kill()
                await shop.wait()


async def one_hangs(it: Night) -> None:
    """Whoever is on call lifted the kill, the next run exposes, and a process stops answering."""
    await it.admin.unkill(FLAG)
    await it.start()
    it.shops[1].send_signal(signal.SIGSTOP)


async def it_wakes_up(it: Night) -> None:
    """The process goes on, with the overrides file on its host."""
    assert it.overrides.exists()
    it.shops[1].send_signal(signal.SIGCONT)
    await it.until_exposing(is_so=False)


async def the_server_goes(it: Night) -> None:
    """The file is gone, the next run exposes, and the server dies."""
    it.overrides.unlink()
    await it.start()
    await it.server.end(kill=True)


async def the_server_returns(it: Night) -> None:
    """Until then nobody was exposed, by the overrides file alone."""
    await it.until_exposing(is_so=False)
    await it.server.start()
    await until(it.is_serving)


async def no_server_is_left(it: Night) -> None:
    """The next run exposes, and the server dies for good."""
    assert not it.overrides.exists()
    await it.start()
    await it.server.end(kill=True)


async def a_server_starts(it: Night) -> None:
    """Until then nobody was exposed, by the overrides file alone."""
    await it.until_exposing(is_so=False)
    await it.server.start()
    await until(it.is_serving)


async def the_next_run_is_bad(it: Night) -> None:
    """The kill is lifted; the service itself takes back what breaks whoever is exposed."""
    assert not it.overrides.exists()
    await it.admin.unkill(FLAG)
    it.bug.touch()
    await it.start()
    await until(it.is_taken_back)


BEFORE = (
    ("--timeout 2s   # exits 5", one_hangs),
    ("$ rollout rollback checkout-v2\n✔ 2 of 2", it_wakes_up),
    ("exits 9", the_server_goes),
    ("run 3 is rolled back", the_server_returns),
    ("--direct", no_server_is_left),
    ("already: ...\n✔ 2 of 2 processes serve `off`\nhost$ rm", a_server_starts),
    ("rollout ack", the_next_run_is_bad),
)
"""What happens before the block that holds these words."""


async def test_the_page_is_true(tmp_path: Path) -> None:
    """Every command ends as the page says, and says what the page shows; "..." stands for what differs each time."""
    page = PAGE.read_text(encoding="utf-8")
    text = re.sub(r"^\|.*$", "", page, flags=re.MULTILINE)
    async with night(tmp_path) as it:
        count = 0
        for block in BLOCK.findall(text):
            for words, happens in BEFORE:
                if words in block:
                    await happens(it)
            for line in block.splitlines():
                command = COMMAND.fullmatch(line)
                if command is None:
                    pattern = ".*".join(re.escape(flat(part)) for part in line.split("..."))
                    assert re.search(pattern, flat(it.said)), f"{line!r} is not in:\n{it.said}"
                    continue
                host, typed, code = command.groups()
                assert await it.type(typed, at=host) == int(code or 0), it.said
                count += 1
        assert count == 21
        assert {words for words, _ in BEFORE if words in text} == {words for words, _ in BEFORE}
        proof = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))
        assert proof["certificate"]["complete"]
        it.shops[1].kill()
        await it.shops[1].wait()
        await until(it.misses_one)
        assert await it.type("rollout rollback checkout-v2 --timeout 0s") == 5


def test_it_is_one_page() -> None:
    """The first command is at its beginning, and the one that makes it safe soon after."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 180
    assert lines.index("you$ rollout") < 10
    assert lines.index("you$ rollout rollback checkout-v2") < 22
