"""Visit copies of the demo's shop, each time as somebody new, and write down what the visitors saw.

python drive.py --ports 8001,8002 --visits-per-s 500 --seen seen.json

What is written is the visitors' own count, made without Rollout Guard: which variant, how many visits, how many failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import secrets
import sys
from collections import Counter
from pathlib import Path

CONNECTIONS_PER_SHOP = 8
WRITE_EVERY_S = 0.25


class Visitors:
    """Counts what they saw, by variant of both flags."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._name = secrets.token_hex(4)
        self._numbers = itertools.count()

    async def visit(self, port: int, every_s: float) -> None:
        """Visit over one connection, again and again, at a steady pace; a shop that is away is tried again."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                next_at = loop.time()
                while True:
                    next_at += every_s
                    user = f"{self._name}-{next(self._numbers)}"
                    writer.write(f"GET /visit?user={user} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
                    self._count(await _answer(reader))
                    await asyncio.sleep(max(0.0, next_at - loop.time()))
            await asyncio.sleep(0.2)

    async def write(self, path: Path) -> None:
        """Write the counts down, whole or not at all, for as long as this runs."""
        aside = path.with_suffix(".aside")
        while True:
            aside.write_text(json.dumps(self.seen), encoding="ascii")
            aside.replace(path)
            await asyncio.sleep(WRITE_EVERY_S)

    def _count(self, answer: dict[str, bool]) -> None:
        for flag in ("checkout", "search"):
            variant = "on" if answer[flag] else "off"
            self.seen[f"{flag} {variant} visits"] += 1
            self.seen[f"{flag} {variant} failed"] += answer["failed"]


async def _answer(reader: asyncio.StreamReader) -> dict[str, bool]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    length = next(int(value) for name, _, value in fields if name == b"content-length")
    answer: dict[str, bool] = json.loads(await reader.readexactly(length))
    return answer


async def drive(ports: list[int], visits_per_s: float, seen: Path) -> None:
    """Visit until cancelled."""
    visitors, connections = Visitors(), len(ports) * CONNECTIONS_PER_SHOP
    async with asyncio.TaskGroup() as group:
        group.create_task(visitors.write(seen))
        for port in ports * CONNECTIONS_PER_SHOP:
            group.create_task(visitors.visit(port, connections / visits_per_s))


def main() -> None:
    """Drive until interrupted."""
    parser = argparse.ArgumentParser(description="Visits the demo's shops")
    parser.add_argument("--ports", required=True, help="of the shops, with commas between them")
    parser.add_argument("--visits-per-s", type=float, default=500.0, help="of all shops together")
    parser.add_argument("--seen", type=Path, required=True, help="where the counts are written")
    options = parser.parse_args()
    ports = [int(port) for port in options.ports.split(",")]
    asyncio.run(drive(ports, options.visits_per_s, options.seen))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
