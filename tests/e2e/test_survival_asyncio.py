"""Event loops: nothing that the SDK does on a loop's thread waits, for the network, the disk, a thread or a lock."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest

from rollout_sdk import Client, Context, Settings
from rollout_sdk.wire.snapshot import pack
from tests.doubles.delivery_server import record
from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.small_rules import boolean, position

WAIT_S = 20
USER = Context("u-1")
WAITS = {
    "acquire",
    "sleep",
    "wait",
    "join",
    "select",
    "poll",
    "recv",
    "recv_into",
    "send",
    "sendall",
    "connect",
    "accept",
}
DISK = {"open", "read", "write", "fsync", "rename", "replace", "stat", "scandir", "listdir", "unlink"}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


@contextmanager
def watchdog() -> Iterator[list[str]]:
    """Note every call into C from this thread that may wait, and who made it; but for the event loop itself.

    A lock that is free, taken by `with`, is no wait and not noted; `Event.wait`, `Thread.join` and the like are.
    """
    found: list[str] = []

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call" and getattr(argument, "__name__", "") in WAITS | DISK and _is_ours(frame):
            code: CodeType = frame.f_code
            found.append(f"{code.co_filename}:{frame.f_lineno} calls {argument!r}")

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)


def _is_ours(frame: FrameType | None) -> bool:
    """Whether the SDK is above this frame, on its own account."""
    while frame is not None:
        name = frame.f_code.co_filename
        if "/asyncio/" in name or "/concurrent/" in name:
            return False
        if "/rollout_sdk/" in name:
            return True
        frame = frame.f_back
    return False


def everything(client: Client) -> None:
    """All that one asks of a client between two awaits."""
    client.enabled("a", USER), client.string("a", USER), client.integer("a", USER), client.number("a", USER)
    client.json("a", USER), client.decide("a", USER), client.decide_all(USER), client.status(), repr(client)
    with client.scope(USER) as scope:
        scope.enabled("checkout")
        scope.record("errors", True)
        token = scope.carry()
    client.resume(token).record("errors", True)
    client.record("errors", USER, False)


async def test_no_call_waits(fleet: Fleet) -> None:
    """Connected or not."""
    async with Client(fleet.target) as client, Client("127.0.0.1:9") as lonely:
        with watchdog() as found:
            everything(lonely)
            assert await lonely.ready(0.01) is False
            assert await client.ready(WAIT_S)
            everything(client)
        assert found == []


async def test_the_watchdog_sees() -> None:
    """What would block is found: made in a loop, `wait_until_ready` is not for loops."""
    async with Client("127.0.0.1:9") as lonely:
        with watchdog() as found:
            lonely.wait_until_ready(0)
        assert found


async def test_making_one_in_a_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """`async with` does, off the loop, so that the first decision has the rules that were saved."""
    path = tmp_path / "rules"
    path.write_bytes(pack(position(1), [record(boolean("a"), 1)], ()))
    path.chmod(0o600)
    with watchdog() as found:
        made = Client("127.0.0.1:9", snapshot_path=path)
    assert [each for each in found if "/threading.py" not in each] == [], "a thread's start is all it waits for"
    async with made as client:
        assert client.enabled("a", USER) is True


async def test_leaving_waits_off_the_loop(fleet: Fleet) -> None:
    """A goodbye takes its time; other tasks go on."""
    client = Client(fleet.target)
    assert await client.ready(WAIT_S)
    with watchdog() as found:
        async with client:
            everything(client)
    assert found == []
    assert fleet.instances == fleet.goodbyes


def in_loops(count: int, work: Callable[[], object]) -> list[BaseException]:
    """Run `work` in so many threads at once; return what they raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def test_several_loops_in_several_threads_share_a_client(fleet: Fleet) -> None:
    """Each is woken on its own thread."""
    with Client(fleet.target) as client:

        async def serve() -> None:
            thread = threading.get_ident()
            assert await client.ready(WAIT_S)
            assert threading.get_ident() == thread
            everything(client)
            await asyncio.gather(*(client.ready(WAIT_S) for _ in range(50)))

        assert in_loops(8, lambda: asyncio.run(serve())) == []


def test_a_loop_that_ends_while_it_waits_costs_the_others_nothing(fleet: Fleet) -> None:
    """Its own wake-up finds nobody."""
    client = Client.of(Settings("127.0.0.1:9"))

    async def give_up() -> None:
        waiting = asyncio.ensure_future(client.ready())
        await asyncio.sleep(0)
        waiting.get_loop().stop()

    loop = asyncio.new_event_loop()
    task = loop.create_task(give_up())
    loop.run_forever()
    client._runtime._readiness.set()
    assert asyncio.run(client.ready(WAIT_S))
    for left in asyncio.all_tasks(loop):
        left.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    client.close()


async def test_a_thousand_tasks(fleet: Fleet) -> None:
    """Scopes of tasks that run at once do not mix."""
    async with Client(fleet.target) as client:
        assert await client.ready(WAIT_S)

        async def task(number: int) -> None:
            with client.scope(Context(f"u-{number}")) as scope:
                await asyncio.sleep(0)
                client.enabled("checkout", Context(f"u-{number}"))
                await asyncio.sleep(0)
                scope.record("errors", number % 2 == 0)

        await asyncio.gather(*(task(number) for number in range(1_000)))
        assert await asyncio.to_thread(client.flush, WAIT_S)
    assert fleet.outcomes == 1_000
