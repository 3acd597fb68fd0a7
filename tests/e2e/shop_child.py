"""A process with an SDK under load: it visits flags as ever new users, records how it went, and says whom it exposes.

Arguments: server, token, file for the snapshot, flags with commas between them (those named `bad-*` break whoever they
expose), users of the population. For each line that it reads it writes one: what it decides for the whole population,
and at which revision.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from itertools import count

from rollout_sdk import Client, Context, Decision
from rollout_sdk.settings import Settings

VISIT_EVERY_S = 0.004
DIAL_WITHIN_MS = 300
FAILS, BREAKS = 0.05, 0.6


def main() -> None:
    """Visit until stdin closes."""
    server, token, snapshot, flags, users = sys.argv[1:]
    ending = threading.Event()
    # A server that is killed every other second looks like one in trouble: it is dialled again soon all the same.
    settings = Settings(server, token, "shop", snapshot_path=snapshot, backoff_max_ms=DIAL_WITHIN_MS)
    with Client.of(settings) as client:
        client.wait_until_ready(60)
        visiting = threading.Thread(target=visit, args=(client, flags.split(","), ending), daemon=True)
        visiting.start()
        population = [Context(f"u-{number}") for number in range(int(users))]
        for _ in sys.stdin:
            sys.stdout.write(json.dumps(whole(client, population)) + "\n")
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


def whole(client: Client, population: list[Context]) -> dict[str, object]:
    """Decide everybody by one revision; an update in the middle means to begin again."""
    while True:
        decisions: list[dict[str, Decision]] = [client.decide_all(context) for context in population]
        positions = {(one.epoch, one.revision) for each in decisions for one in each.values()}
        if len(positions) <= 1:
            ((epoch, revision),) = positions or {("", 0)}
            on = {flag: [at for at, each in enumerate(decisions) if each[flag].value] for flag in decisions[0]}
            return {"epoch": epoch, "revision": revision, "on": on}


main()
