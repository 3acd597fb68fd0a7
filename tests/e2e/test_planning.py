"""The commands on the page about planning, typed in order against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.small_server import serving

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 60


async def test_the_commands_on_the_page_do_what_it_says(tmp_path: Path) -> None:
    """Each ends with 0: what is planned exists, good runs complete, bad ones are caught."""
    page = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
    commands = [line for block in BLOCK.findall(page) for line in block.splitlines()]
    assert len(commands) > 6
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    people = [{"units": {"user": f"user-{at}", "tenant": f"t-{at % 40}"}} for at in range(200)]
    (tmp_path / "users.jsonl").write_text("".join(json.dumps(one) + "\n" for one in people), encoding="utf-8")
    async with serving(tmp_path / "data") as running:
        environ = {**os.environ, "ROLLOUT_SERVER": running.address, "ROLLOUT_TOKEN": await running.token("admin")}
        for command in commands:
            program, *words = shlex.split(command)
            assert program == "rollout"
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "rollout_server", *words],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
