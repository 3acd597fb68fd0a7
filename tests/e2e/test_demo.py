"""`rollout demo`, whole: real processes, visitors, a good release, an outage, a bad release, and the proof."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]


STORY = (
    "4 shops are connected, visitors come",
    r"\$ rollout start one-page-checkout",
    "the payment provider is away",
    "the payment provider is back",
    r"one-page-checkout run 1 at finish \(100 %\) is completed",
    r"one-page-checkout run 1 at finish \(100 %\) is finished",
    r"\$ rollout start instant-search",
    r"instant-search run 1 at \w+ \(.*%\) was rolled back by engine: shop\.\w+ ",
    # One guardrail by itself, or both together: by chance either comes first.
    r"(is past its limit \+[35]0\.0 %|limit \+[35]0\.0 %, carried most of the evidence)",
    r"\$ rollout rollback instant-search",
    "4 of 4 processes serve `off`, the last after",
    "ROLLOUT +STAGE",
    r"one-page-checkout +canary .* went on to half",
    r"one-page-checkout +half .* went on to finish",
    r"one-page-checkout +finish .* completed",
    r"instant-search +\w+ .* rolled back by engine",
    "a good release completed, an outage was nobody's fault, a bad release was taken back",
)
"""What is told, in this order."""

AMID = (
    r"server-\d, which drives it, is killed: \d of 4 shops had their stream there",
    r"server-\d drives it \d+\.\d s later, under a newer token",
    r"all 4 shops are connected to server-\d; they served [\d,]+ visits meanwhile",
)
"""What is told besides on two servers, while the bad release is exposed."""


async def played(home: Path, *options: str) -> str:
    """Play it to its end, which is exit code 0 and nothing left running; return what was told."""
    environ = {**os.environ, "COLUMNS": "160", "ROLLOUT_CONFIG": str(home / "none.toml")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout_server", "demo", *options, "--keep", str(home / "kept"),
        env=environ, cwd=home, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    told = said.decode()
    assert process.returncode == 0, told
    left = [one.info["pid"] for one in psutil.process_iter(["pid", "cmdline"]) if str(home) in str(one.info)]
    assert left == []
    return told


def assert_told(told: str, story: Sequence[str]) -> None:
    """Each thing follows the one before it."""
    at = 0
    for one in story:
        found = re.compile(one).search(told, at)
        assert found is not None, f"{one!r} does not follow in:\n{told}"
        at = found.end()
    assert "one-page-checkout run 1 was rolled back" not in told


async def test_it_tells_its_story(tmp_path: Path) -> None:
    """Exit 0, each thing that it is there to show, in order, and nothing left running."""
    assert_told(await played(tmp_path), STORY)


@pytest.mark.soak
async def test_the_same_on_two_servers_with_the_driver_killed_amid_the_bad_release(tmp_path: Path) -> None:
    """The other takes over, rolls back by itself, and certifies every shop."""
    start = next(number for number, one in enumerate(STORY) if "start instant-search" in one)
    told = await played(tmp_path, "--redis")
    assert_told(told, (*STORY[: start + 1], *AMID, *STORY[start + 1 :]))
    killed = re.findall(r"(server-\d), which drives it, is killed", told)
    assert re.findall(r"(server-\d) rolled it back by itself", told) == [*({"server-1", "server-2"} - {*killed})]
