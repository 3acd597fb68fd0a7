"""A process with the real SDK: each visit decides one flag, and fails where that flag's new variant is served."""

from __future__ import annotations

import random
import sys
import threading
from itertools import count

from rollout_sdk import Client, Context
from rollout_sdk.settings import Settings

VISITS_PER_S = 250
FAILS, BREAKS = 0.05, 0.7


def main() -> None:
    """Visit until stdin closes. Arguments: server, token, file for the snapshot, flags with commas between them."""
    server, token, snapshot, flags = sys.argv[1:]
    ending = threading.Event()
    threading.Thread(target=end_with_stdin, args=(ending,), daemon=True).start()
    chance, names = random.Random(1), flags.split(",")
    with Client.of(Settings(server, token, "shop", snapshot_path=snapshot)) as client:
        client.wait_until_ready(60)
        for number in count():
            if ending.wait(1 / VISITS_PER_S):
                return
            flag = names[number % len(names)]
            with client.scope(Context(f"visitor-{number}")) as scope:
                fails = BREAKS if scope.enabled(flag) else FAILS
                scope.record(f"{flag}.failed", chance.random() < fails)


def end_with_stdin(ending: threading.Event) -> None:
    """Set the event when whoever started this process has no more to say."""
    sys.stdin.read()
    ending.set()


main()
