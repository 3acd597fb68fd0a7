"""A process with an SDK under load, for nights on call: while a file exists, whoever gets the new variant is broken.

Arguments: server, token, flag, that file. For each line that it reads it writes one: of 200 users, how many get it.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from itertools import count
from pathlib import Path

from rollout_sdk import Client, Context
from rollout_sdk.settings import Settings

VISIT_EVERY_S = 0.004
DIAL_WITHIN_MS = 300
FAILS, BREAKS = 0.05, 0.6
USERS = [Context(f"u-{number}") for number in range(200)]


def main() -> None:
    """Visit until stdin closes."""
    server, token, flag, bug = sys.argv[1:]
    ending = threading.Event()
    overrides = os.environ["ROLLOUT_OVERRIDES"]
    settings = Settings(server, token, "shop", overrides_path=overrides, backoff_max_ms=DIAL_WITHIN_MS)
    with Client.of(settings) as client:
        client.wait_until_ready(60)
        visiting = threading.Thread(target=visit, args=(client, flag, Path(bug), ending), daemon=True)
        visiting.start()
        for _ in sys.stdin:
            sys.stdout.write(f"{sum(client.enabled(flag, user) for user in USERS)}\n")
            sys.stdout.flush()
        ending.set()
        visiting.join()


def visit(client: Client, flag: str, bug: Path, ending: threading.Event) -> None:
    """Decide, and record; each visit is somebody new."""
    chance = random.Random(os.getpid())  # noqa: S311 - whether a visit fails, no secret
    for number in count():
        if ending.wait(VISIT_EVERY_S):
            return
        with client.scope(Context(f"v-{os.getpid()}-{number}")) as scope:
            is_broken = scope.enabled(flag) and bug.exists()
            scope.record("failed", chance.random() < (BREAKS if is_broken else FAILS))


main()
