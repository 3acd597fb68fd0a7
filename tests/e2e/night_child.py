"""A process with an SDK under load, for nights on call: whoever gets a flag named `bad-*` has a visit that breaks.

Arguments: server, token, flags with commas between them. For each line that it reads it writes one: of 200 users, how
many get each flag's new variant.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from itertools import count

from rollout_sdk import Client, Context
from rollout_sdk.settings import Settings

VISIT_EVERY_S = 0.004
DIAL_WITHIN_MS = 300
FAILS, BREAKS = 0.05, 0.6
USERS = [Context(f"u-{number}") for number in range(200)]


def main() -> None:
    """Visit until stdin closes."""
    server, token, names = sys.argv[1:]
    flags, ending = names.split(","), threading.Event()
    overrides = os.environ["ROLLOUT_OVERRIDES"]
    settings = Settings(server, token, "shop", overrides_path=overrides, backoff_max_ms=DIAL_WITHIN_MS)
    with Client.of(settings) as client:
        client.wait_until_ready(60)
        visiting = threading.Thread(target=visit, args=(client, flags, ending), daemon=True)
        visiting.start()
        for _ in sys.stdin:
            exposed = {flag: sum(client.enabled(flag, user) for user in USERS) for flag in flags}
            sys.stdout.write(json.dumps(exposed) + "\n")
            sys.stdout.flush()
        ending.set()
        visiting.join()


def visit(client: Client, flags: list[str], ending: threading.Event) -> None:
    """Decide, and record; each visit is somebody new."""
    chance = random.Random(os.getpid())  # noqa: S311 - whether a visit fails, no secret
    for number in count():
        if ending.wait(VISIT_EVERY_S):
            return
        with client.scope(Context(f"v-{os.getpid()}-{number}")) as scope:
            is_broken = [scope.enabled(flag) and flag.startswith("bad-") for flag in flags]
            scope.record("failed", chance.random() < (BREAKS if any(is_broken) else FAILS))


main()
