"""`rollout demo`, whole: five processes, visitors, a good release, an outage, a bad release, and the proof."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]


async def test_it_tells_its_story(tmp_path: Path) -> None:
    """Exit 0, each thing that it is there to show, in order, and nothing left running."""
    environ = {**os.environ, "COLUMNS": "160", "ROLLOUT_CONFIG": str(tmp_path / "none.toml")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout_server", "demo", "--keep", str(tmp_path / "kept"),
        env=environ, cwd=tmp_path, stdin=asyncio.subprocess.DEVNULL,
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

    story = [
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
    ]
    at = 0
    for one in story:
        found = re.compile(one).search(told, at)
        assert found is not None, f"{one!r} does not follow in:\n{told}"
        at = found.end()
    assert "one-page-checkout run 1 was rolled back" not in told
    left = [one.info["pid"] for one in psutil.process_iter(["pid", "cmdline"]) if str(tmp_path) in str(one.info)]
    assert left == []
