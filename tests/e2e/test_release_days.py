"""Two days with rollouts, typed: a release manager's, and an on-call engineer's night; real server, real processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.eventually import WITHIN_S, until
from tests.small_server import serving

pytestmark = [pytest.mark.xdist_group("release-days"), pytest.mark.timeout(180)]

SHOP = Path(__file__).with_name("night_child.py")
PACE = {"window_ms": 500, "report_every_ms": 200, "tick_ms": 200}
PEOPLE = {"root": "admin", "mia": "operator", "kai": "approver"}
RELEASE = """\
kind: Policy
metadata: {key: people, owner: release}
spec: {groups: {managers: [mia@example.com, kai@example.com]}}
---
kind: Metric
metadata: {key: failed, owner: shop}
spec: {measures: proportion, per: unit, bad: high, late: 1s}
---
kind: Pipeline
metadata: {key: careful, owner: release}
spec:
  stages:
    - {name: canary, share: 30%, soak: SOAK}
    - {name: half, share: 60%, soak: 1s, exit: {approval: {from: managers, count: 1}}}
    - {name: most, share: 90%, soak: 1h}
  finish: {share: 100%, watch: 1s}
  guardrails: [{metric: failed, limit: +50%, action: rollback}]
---
kind: Flag
metadata: {key: checkout-v2, owner: payments}
spec: {rules: [{id: launch, rollout: checkout-v2}]}
---
kind: Rollout
metadata: {key: checkout-v2, owner: payments}
spec: {flag: checkout-v2, from: "off", to: "on", pipeline: careful}
"""


@dataclass
class Office:
    """A server, copies of a shop, and people with a terminal each."""

    home: Path
    address: str
    tokens: dict[str, str]
    shops: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def bug(self) -> Path:
        """While it exists, the new variant breaks whoever gets it."""
        return self.home / "bug"

    async def open_shop(self) -> None:
        self.shops.append(
            await asyncio.create_subprocess_exec(
                sys.executable, str(SHOP), self.address, self.tokens["shop"], "checkout-v2", str(self.bug),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "ROLLOUT_OVERRIDES": str(self.home / "overrides.json")},
            )
        )  # fmt: skip

    async def exposed(self) -> set[int]:
        """How many of 200 users get the new variant, in each shop."""
        found = set()
        for shop in self.shops:
            assert shop.stdin is not None
            assert shop.stdout is not None
            shop.stdin.write(b"\n")
            found.add(int(await shop.stdout.readline()))
        return found

    async def type(self, who: str, *words: str, code: int = 0) -> str:
        """Type a command; return all that it said, on one line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rollout_server", *words, cwd=self.home, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={
                **os.environ, "ROLLOUT_SERVER": self.address, "ROLLOUT_TOKEN": self.tokens[who], "COLUMNS": "200",
                "ROLLOUT_CONFIG": str(self.home / "none.toml"),
            },
        )  # fmt: skip
        told, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        said = " ".join(told.decode().split())
        assert process.returncode == code, said
        return said


@asynccontextmanager
async def office(home: Path, soak: str) -> AsyncIterator[Office]:
    """Files are applied, two copies of a shop serve the flag."""
    (home / "release.yaml").write_text(RELEASE.replace("SOAK", soak), encoding="utf-8")
    async with serving(home / "data", **PACE) as running:
        tokens = {name: await running.token(role, person=f"{name}@example.com") for name, role in PEOPLE.items()}
        it = Office(home, running.address, {**tokens, "shop": await running.token("sdk")})
        try:
            await it.type("root", "apply", "-f", "release.yaml", "--yes", "--reason", "a new checkout")
            await it.open_shop()
            await it.open_shop()
            assert await it.exposed() == {0}
            yield it
        finally:
            for shop in it.shops:
                shop.kill()
                await shop.wait()


async def test_a_release_managers_day(tmp_path: Path) -> None:
    """Planned, started, frozen, thawed, approved by somebody else, promoted with a reason, completed, finished."""
    async with office(tmp_path, soak="6s") as it:
        planned = await it.type("mia", "plan", "--rollout", "checkout-v2")
        assert "half needs an approval" in planned or "an approval by 1 of managers" in planned

        started = await it.type("mia", "start", "checkout-v2", "--reason", "tested on staging")
        assert "run 1 at canary (30 %)" in started
        assert "undo: rollout rollback checkout-v2" in started

        frozen = await it.type("mia", "freeze", "incident", "--reason", "the data centre moves")
        assert "undo: rollout thaw incident" in frozen
        some = await it.exposed()

        async def is_soaked() -> bool:
            canary = await it.type("mia", "watch", "checkout-v2", "--once")
            assert "auto-rollback armed" in canary
            return "limit +50" in canary and "thaw" in canary

        await until(is_soaked)
        gate = await it.type("mia", "wait", "checkout-v2", "--for", "half", "--timeout", "0s", code=5)
        assert "half was not reached within 0s" in gate
        assert await it.exposed() == some
        await it.type("mia", "thaw", "incident", "--reason", "moved")
        await it.type("mia", "wait", "checkout-v2", "--for", "half", "--timeout", "40s")

        async def is_asked_for() -> bool:
            return "awaiting approval" in await it.type("mia", "watch", "checkout-v2", "--once")

        await until(is_asked_for)
        await it.type("mia", "approve", "checkout-v2", code=8)
        await it.type("mia", "promote", "checkout-v2", "--reason", "nobody answers", code=1)
        approved = await it.type("kai", "approve", "checkout-v2", "--reason", "looks right")
        assert "checkout-v2 run 1 at " in approved
        await it.type("mia", "wait", "checkout-v2", "--for", "most", "--timeout", "40s")
        promoted = await it.type("mia", "promote", "checkout-v2", "--reason", "an hour is too long for a test")
        assert "at finish (100 %)" in promoted
        await it.type("mia", "wait", "checkout-v2", "--timeout", "40s")
        assert await it.exposed() == {200}

        assert "is finished" in await it.type("mia", "finish", "checkout-v2", "--reason", "it stays")
        assert await it.exposed() == {200}
        document = await it.type("mia", "get", "flag/checkout-v2", "-o", "yaml")
        assert "rollout: checkout-v2" not in document
        events = await it.type("mia", "events", "checkout-v2", "--limit", "50")
        assert all(who in events for who in ("mia@example.com", "kai@example.com", "engine"))


async def test_an_engineers_night(tmp_path: Path) -> None:
    """Real failures of exposed users only: taken back by the engine, acknowledged, proven again, killed, lifted."""
    async with office(tmp_path, soak="1h") as it:
        await it.type("mia", "start", "checkout-v2", "--reason", "tested on staging")

        async def is_exposed() -> bool:
            return min(await it.exposed()) > 0

        await until(is_exposed)
        it.bug.touch()
        gate = await it.type("mia", "wait", "checkout-v2", "--timeout", "50s", code=4)
        assert "was rolled back by engine: failed +" in gate
        assert "is past its limit +50.0 %" in gate

        async def is_safe() -> bool:
            return await it.exposed() == {0}

        await until(is_safe)
        assert "was rolled back by engine" in await it.type("kai", "ack", "checkout-v2")
        assert "before" in await it.type("mia", "ack", "checkout-v2")
        proof = await it.type("kai", "rollback", "checkout-v2")
        assert "was rolled back before: everybody gets `off`" in proof
        assert "2 of 2 processes serve `off`" in proof
        assert "Why: engine, failed +" in proof
        said = await it.type("kai", "rollback", "checkout-v2", "-o", "json")
        certificate = json.loads(said[said.index("{") :])["certificate"]
        assert (certificate["complete"], len(certificate["in_force"])) == (True, 2)
        assert certificate["trigger"]["who"] == "engine"
        assert certificate["exposed_units"] > 0
        assert "2 of 2 processes serve `off`" in await it.type("kai", "kill", "checkout-v2")
        assert "checkout-v2 was killed by kai@example.com" in await it.type("kai", "status")
        await it.type("kai", "unkill", "checkout-v2", "--no-wait", code=8)
        await it.type("mia", "unkill", "checkout-v2", "--no-wait", "--reason", "the bug is found")
        assert await it.exposed() == {0}
