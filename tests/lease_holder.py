"""A controller that believes in its token until the store says no: run as a process, paused and woken by a test.

Arguments: address of Redis, name, term in ms. It writes as fast as it can, each entry with the token it was decided
under, and says on stdout what happens to it: "held TOKEN", "wrote TOKEN", "fenced TOKEN".
"""

from __future__ import annotations

import asyncio
import sys

from rollout_server.adapters.redis_journal import RedisJournal
from rollout_server.adapters.redis_store import RedisOptions, open_redis
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.errors import Conflict, Unavailable
from rollout_server.ports import Lease
from tests.doubles.memory_journal import KEY
from tests.journal_world import draft, flag


async def drive(lease: Lease, journal: RedisJournal, name: str) -> None:
    """Hold it once, and write until the store refuses."""
    token = await lease.acquire()
    while token is None:
        await asyncio.sleep(lease.term_ms / 10_000)
        token = await lease.acquire()
    say("held", token)
    count = 0
    while True:
        count += 1
        try:
            await journal.commit(draft(flag(f"{name}-{count % 7}"), fence=token, reason=str(token)))
        except Conflict:
            say("fenced", token)
            return
        say("wrote", token)
        if count % 5 == 0:
            await lease.renew()  # whatever it says: this holder goes by the store's word alone


async def main(url: str, name: str, term_ms: int) -> None:
    store = await open_redis(RedisOptions(url), ["production"], key=KEY, clock=SystemClock())
    while True:
        try:
            await drive(store.lease("production", term_ms), store.journal("production"), name)
        except Unavailable:
            await asyncio.sleep(0.01)


def say(what: str, token: int) -> None:
    sys.stdout.write(f"{what} {token}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
