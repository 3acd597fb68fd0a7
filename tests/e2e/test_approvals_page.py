"""docs/approvals.md, followed as it is written: each command by whose prompt it is, against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.small_server import serving

PAGE = Path(__file__).parents[2] / "docs" / "approvals.md"
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(\w+)\$ (.*?)(?:   # exits (\d+))?")
ROLES = {"root": "admin", "mia": "author", "kai": "approver", "ann": "approver"}
WIDER = """\
kind: Flag
metadata: {key: checkout-v2, owner: payments}
spec:
  rules: [{id: trial, split: {"on": 50%, "off": 50%}}]
"""
WITHIN_S = 60


def flat(text: str) -> str:
    """What a terminal folds and pads is the same text."""
    return " ".join(text.split())


async def typed(command: str, environ: dict[str, str], folder: Path) -> tuple[int, str]:
    """Type one command; return its exit code and all that it said."""
    whole = command.replace("rollout ", f"{sys.executable} -m rollout_server ", 1)
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", f"{whole} 2>&1"],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=environ,
        cwd=folder,
    )
    return done.returncode, str(done.stdout)


async def test_the_page_is_true(tmp_path: Path) -> None:
    """Every command ends as the page says, and says what the page shows; "..." stands for what differs each time."""
    (tmp_path / "wider.yaml").write_text(WIDER, encoding="utf-8")
    async with serving(tmp_path / "data") as running:
        tokens = {name: await running.token(role, person=f"{name}@example.com") for name, role in ROLES.items()}
        said, count = "", 0
        for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            if kind == "yaml":
                (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
                continue
            for line in text.splitlines():
                command = COMMAND.fullmatch(line)
                if command is None:
                    pattern = ".*".join(re.escape(flat(part)) for part in line.split("..."))
                    assert re.search(pattern, said), f"{line!r} is not in:\n{said}"
                    continue
                who, words, code = command.groups()
                environ = {
                    **os.environ,
                    "ROLLOUT_SERVER": running.address,
                    "ROLLOUT_TOKEN": tokens[who],
                    "ROLLOUT_CONFIG": str(tmp_path / "none.toml"),
                    "COLUMNS": "200",
                }
                exit_code, told = await typed(words, environ, tmp_path)
                assert exit_code == int(code or 0), told
                said, count = flat(told), count + 1
        assert count >= 10
