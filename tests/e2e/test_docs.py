"""The Python on the pages is run as a reader would paste it, against a real server with the example flags."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_server import serving

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 60


async def run(*arguments: str) -> str:
    """Run Python with these arguments beside the server of this loop; return what it printed."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, *arguments], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("page", ["README.md", "docs/sdk.md"])
async def test_the_page_runs(page: str, tmp_path: Path) -> None:
    """All blocks of a page, in order, in one program: what a reader ends up with who pastes them one after another."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    async with serving(tmp_path / "data") as running:
        to_server = ("--server", running.address, "--token", await running.token("admin"))
        await run("-m", "rollout_server", *to_server, "apply", "-f", str(ROOT / "examples" / "flags"), "--yes")
        program = "\n".join(blocks).replace("localhost:7070", running.address)
        printed = await run("-c", program.replace("rg_...", await running.token("sdk")))
    assert printed.strip()
