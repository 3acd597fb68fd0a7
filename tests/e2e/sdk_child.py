"""A process with an SDK: prints what one flag decides, as one JSON line whenever that may have changed."""

from __future__ import annotations

import json
import sys
import threading

from rollout_sdk import Client, Context, Decision


def main() -> None:
    """Watch a flag until stdin closes.

    Arguments: server, token, flag, file for the snapshot.
    """
    server, token, flag, snapshot = sys.argv[1:]
    changed, ending = threading.Event(), threading.Event()
    with Client(server, token=token, service="child", snapshot_path=snapshot) as client:
        client.on_change(lambda _: changed.set())
        client.wait_until_ready(30)
        threading.Thread(target=end_with_stdin, args=(ending, changed), daemon=True).start()
        while not ending.is_set():
            say(client.decide(flag, Context("u-1"), default=False))
            changed.wait()
            changed.clear()


def say(decision: Decision) -> None:
    """Print it whole, at once."""
    told = {"value": decision.value, "reason": decision.reason.value, "revision": decision.revision}
    sys.stdout.write(json.dumps({**told, "epoch": decision.epoch}) + "\n")
    sys.stdout.flush()


def end_with_stdin(*events: threading.Event) -> None:
    """Set the events when whoever started this process has no more to say."""
    sys.stdin.read()
    for event in events:
        event.set()


main()
