"""The Python on the pages is run as a reader would paste it, against a real server with the example flags."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_server import serving

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 60


async def run(*arguments: str, **variables: str) -> str:
    """Run Python with these arguments beside the server of this loop; return what it printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stdout)


async def run_blocks(blocks: list[str], tmp_path: Path) -> str:
    """Run them in order, in one program, with the example flags in force; return what it printed."""
    async with serving(tmp_path / "data") as running:
        to_server = ("--server", running.address, "--token", await running.token("admin"))
        await run("-m", "rollout_server", *to_server, "apply", "-f", str(ROOT / "examples" / "flags"), "--yes")
        program, token = "\n".join(blocks).replace("localhost:7070", running.address), await running.token("sdk")
        variables = {"ROLLOUT_SERVER": running.address, "ROLLOUT_TOKEN": token}
        return await run("-c", program.replace("rg_...", token), **variables)


@pytest.mark.parametrize("page", ["README.md", "docs/sdk.md", "docs/api.md"])
async def test_the_page_runs(page: str, tmp_path: Path) -> None:
    """All blocks of a page, in order, in one program: what a reader ends up with who pastes them one after another."""
    printed = await run_blocks(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")), tmp_path)
    assert printed.strip()


async def test_what_the_guide_shows_beside_its_examples_runs(tmp_path: Path) -> None:
    """Its examples are run by test_examples.py; the other blocks here, with what they take for given."""
    page = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    given = (
        "from rollout_sdk import Client\n"
        "from rollout_sdk.middleware.wsgi import RolloutMiddleware\n"
        "client, visitor = Client.from_env(), lambda environ: None\n"
    )
    blocks = [block for block in BLOCK.findall(page) if not block.startswith('"""')]
    assert len(blocks) == 3
    await run_blocks([given, *blocks, "api.shutdown(); client.close()"], tmp_path)
