"""Visit the shop as many users, over and over, and say what it serves whenever that changes.

python drive.py --shop http://127.0.0.1:8000 --users 200
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections import Counter
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

COUNTRIES = ("TH", "KR", "DE", "BR")
PLANS = ("free", "free", "pro")
AWAY_EXIT = 1


class Served(NamedTuple):
    """What one round over all users got.

    A round during which the shop took up a new revision has several, and says nothing certain about either.
    """

    checkout: tuple[tuple[str, int], ...]
    page_limit: tuple[tuple[int, int], ...]
    revisions: frozenset[int]


def visit(connection: http.client.HTTPConnection, path: str, query: dict[str, str]) -> dict[str, object]:
    """Return the shop's JSON answer to one visit."""
    connection.request("GET", f"{path}?{urlencode(query)}")
    answer = json.load(connection.getresponse())
    if not isinstance(answer, dict):
        message = f"the shop answered {answer!r}, not an object"
        raise TypeError(message)
    return answer


def round_of(connection: http.client.HTTPConnection, users: int) -> Served:
    """Visit once as every user."""
    checkout: Counter[str] = Counter()
    limits: Counter[int] = Counter()
    revisions: set[int] = set()
    for number in range(users):
        query = {"user": f"user-{number}", "country": COUNTRIES[number % 4], "plan": PLANS[number % 3]}
        answer = visit(connection, "/checkout", query)
        checkout[str(answer["checkout"])] += 1
        revisions.add(int(str(answer["revision"])))
        products = visit(connection, "/products", query)["products"]
        limits[len(products) if isinstance(products, list) else 0] += 1
    return Served(tuple(sorted(checkout.items())), tuple(sorted(limits.items())), frozenset(revisions))


def sentence(served: Served, users: int) -> str:
    """Say what a round got, in one line."""
    checkout = ", ".join(f"{name} {count / users:.1%}" for name, count in served.checkout)
    limits = ", ".join(f"{limit} products to {count / users:.0%}" for limit, count in served.page_limit)
    return f"checkout: {checkout} · page: {limits} · revision {max(served.revisions)}"


def main() -> int:
    """Drive until interrupted, or for a number of rounds."""
    parser = argparse.ArgumentParser(description="Visits the example shop")
    parser.add_argument("--shop", default="http://127.0.0.1:8000")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=0, help="0: until interrupted")
    parser.add_argument("--pause-s", type=float, default=0.3, help="between two rounds")
    parser.add_argument("--patience-s", type=float, default=0.0, help="say nothing of a shop that is away this long")
    options = parser.parse_args()
    address = urlsplit(options.shop)
    last: tuple[object, ...] = ()
    said = ""
    done = 0
    patient_until = time.monotonic() + options.patience_s
    while True:
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=5)
        try:
            served = round_of(connection, options.users)
        except (OSError, http.client.HTTPException, ValueError) as error:
            away = f"the shop at {options.shop} does not answer: {error}"
            if time.monotonic() > patient_until and away != said:
                said, last = away, ()
                print(f"{time.strftime('%H:%M:%S')} {away}", file=sys.stderr)
                if options.rounds:
                    return AWAY_EXIT
        else:
            said = ""
            if len(served.revisions) == 1 and (served.checkout, served.page_limit) != last:
                last = (served.checkout, served.page_limit)
                print(f"{time.strftime('%H:%M:%S')} {sentence(served, options.users)}", flush=True)
        finally:
            connection.close()
        done += 1
        if options.rounds and done >= options.rounds:
            return 0
        time.sleep(options.pause_s)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
