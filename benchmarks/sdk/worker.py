"""The process of one library: `python -m benchmarks.sdk.worker NAME [FRESH SCENARIO]`, in that library's environment.

With a scenario it runs that once and prints one line of JSON. Without one it reads lines {"scenario", "passes"} and
answers each: passes 0 checks the answers, more times them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sdk import world

if TYPE_CHECKING:
    from benchmarks.sdk.peer import Pass, Peer

MODULES = {"compiled": "ours"}
IMPORTS = {
    "ours": "rollout_sdk",
    "compiled": "rollout_sdk",
    "eppo": "eppo_client",
    "growthbook": "growthbook",
    "statsig": "statsig_python_core",
    "launchdarkly": "ldclient",
}
CONNECTED = {"ours": "rollout_sdk.runtime", "compiled": "rollout_sdk.runtime"}
"""What else a connected client loads; the other libraries load their transport with themselves."""

TASKS = 1_000
STEPS = 10
THREADS = 8


def peer_class(name: str) -> type[Peer]:
    """Return the library's class."""
    module = import_module(f"benchmarks.sdk.peers.{MODULES.get(name, name)}")
    found: type[Peer] = module.PEER
    return found


class Bench:
    """The scenarios that run again and again."""

    def __init__(self, name: str) -> None:
        many = world.fleet(world.MANY)
        flags = (world.PLAIN, world.PERCENTAGE, world.SPLIT, world.FIVE, world.COHORT, *many)
        self._flags = {flag.key: flag for flag in flags}
        self._many = many
        self._users = world.users()
        kind = peer_class(name)
        self._peer = kind(kind.write(flags, world.LISTED_KEYS), self._users)
        self._keys = [flag.key for flag in many]
        self._passes: dict[str, tuple[Pass, int]] = {}

    def check(self, scenario: str) -> str:
        """Return what is wrong with the answers of a scenario; empty when nothing is."""
        if scenario != "at-once":
            flag = self._flags[_flag_of(scenario)]
            return world.wrong(flag, [self._peer.ask(flag.key, index) for index in range(len(self._users))])
        for index in (0, 1, 2):
            answers = self._peer.read_at_once(self._keys, index)
            if said := world.wrong_at_once(self._many, self._users[index], answers):
                return said
        return ""

    def time(self, scenario: str, passes: int) -> tuple[float, int]:
        """Return the nanoseconds of so many passes, and how many decisions they were."""
        if scenario == "threads":
            return self._threads(passes), passes * THREADS * len(self._users)
        work, decisions = self._pass(scenario)
        started = time.thread_time_ns()
        for _ in range(passes):
            work()
        return time.thread_time_ns() - started, passes * decisions

    def _pass(self, scenario: str) -> tuple[Pass, int]:
        if scenario not in self._passes:
            self._passes[scenario] = self._new_pass(scenario)
        return self._passes[scenario]

    def _new_pass(self, scenario: str) -> tuple[Pass, int]:
        match scenario:
            case "at-once":
                return self._peer.asking_at_once(self._keys, 0), 1
            case "anew":
                return self._peer.asking_anew(_flag_of(scenario)), len(self._users)
            case "tasks":
                return self._tasks(), TASKS * STEPS
            case _:
                return self._peer.asking(_flag_of(scenario)), len(self._users)

    def _tasks(self) -> Pass:
        ask, flag = self._peer.ask, _flag_of("tasks")

        async def task(user: int) -> None:
            for _ in range(STEPS):
                ask(flag, user)
                await asyncio.sleep(0)

        async def together() -> None:
            await asyncio.gather(*(task(user) for user in range(TASKS)))

        return lambda: asyncio.run(together())

    def _threads(self, passes: int) -> float:
        work = self._peer.asking(_flag_of("threads"))
        start = threading.Barrier(THREADS + 1)

        def run() -> None:
            start.wait()
            for _ in range(passes):
                work()

        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        start.wait()
        started = time.perf_counter_ns()
        for thread in threads:
            thread.join()
        return time.perf_counter_ns() - started


def _flag_of(scenario: str) -> str:
    return {"anew": "percentage", "tasks": "percentage", "threads": "percentage"}.get(scenario, scenario)


# ------------------------------------------------------------------------------------------------- once in a process


def cost_of_import(name: str) -> float:
    """Return ns of CPU that importing the library takes."""
    return _cpu(lambda: import_module(IMPORTS[name]))


def cost_of_wire(name: str, *, is_settled: bool = False) -> float:
    """Return ns of CPU, of all threads, from the bytes of 5,000 flags to the first decision; imports do not count.

    Args:
        name: of the library.
        is_settled: go on until nothing is left to do behind that decision.
    """
    flags, first = world.fleet(world.FLEET), world.users()[:1]
    kind = peer_class(name)
    kind.fed(kind.write_sent(flags[:10]), first).close()  # what the library loads late
    sent = kind.write_sent(flags)
    gc.collect()
    answers: list[bool] = []

    def work() -> None:
        peer = kind.fed(sent, first)
        answers.append(peer.ask(flags[0].key, 0))
        if is_settled:
            peer.settle()

    spent = _cpu(work)
    if answers != [flags[0].right(first[0])]:
        raise SystemExit(f"{name} answers {answers}")
    return spent


def cost_of_memory(name: str) -> float:
    """Return bytes that this process grows by: the library with its transport, and 5,000 flags that were all decided.

    The bytes of the wire come from a file written before, by a process that is gone.
    """
    flags, first = world.fleet(world.FLEET), world.users()[:1]
    path = Path(f"/proc/self/fd/{sys.stdin.fileno()}")
    before = _resident()
    wire = path.read_bytes()
    kind = peer_class(name)
    peer = kind(wire, first)
    del wire
    if name in CONNECTED:
        for heavy in import_module(CONNECTED[name]).HEAVY:
            import_module(heavy)
    for flag in flags:
        peer.ask(flag.key, 0)
    gc.collect()
    return _resident() - before


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time_ns()
    work()
    return time.process_time_ns() - started


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(name: str, once: str = "") -> None:
    """Serve the parent process."""
    if once == "write":
        sys.stdout.buffer.write(peer_class(name).write(world.fleet(world.FLEET), ()))
        return
    if once:
        settled = partial(cost_of_wire, is_settled=True)
        costs: dict[str, Callable[[str], float]] = {
            "import": cost_of_import,
            "wire": cost_of_wire,
            "settled": settled,
            "memory": cost_of_memory,
        }
        print(json.dumps({"value": costs[once](name)}), flush=True)
        return
    bench = Bench(name)
    for line in sys.stdin:
        request = json.loads(line)
        scenario, passes = request["scenario"], request["passes"]
        if passes:
            spent_ns, decisions = bench.time(scenario, passes)
            print(json.dumps({"value": spent_ns / decisions, "spent_ns": spent_ns}), flush=True)
        else:
            print(json.dumps({"wrong": bench.check(scenario)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
