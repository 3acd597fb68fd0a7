"""Ways in which a process ends: none hangs, none prints a traceback of ours, and the server knows where it can."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.programs import run_whole

SERVER = 'client = Client(TARGET)\nsay(**facts(client, "main"))\n'
DECIDING = """
def work():
    while True:
        client.enabled("a", USER), client.status()
        client.record("errors", USER, False)
"""
ENDINGS = {
    "the last line": "",
    "sys.exit": "sys.exit(0)",
    "sys.exit in a thread": "threading.Thread(target=sys.exit).start()",
    "the client is dropped": "del client",
    "the client is closed, twice": "client.close(); client.close()",
    "a daemon thread decides": DECIDING + "threading.Thread(target=work, daemon=True).start()",
    "another thread decides on for a while": (
        "threading.Thread(target=lambda: [client.enabled('a', USER) or time.sleep(0.001) for _ in range(200)]).start()"
    ),
    "an exit handler decides and records": (
        "import atexit\natexit.register(lambda: (client.enabled('a', USER), client.record('errors', USER, False)))"
    ),
    "a callback hangs": (
        "called = threading.Event()\n"
        "other = Client(TARGET)\n"
        "other.on_change(lambda _: (called.set(), time.sleep(3600)))\n"
        "called.wait(30)"
    ),
    "asyncio ends while somebody waits": (
        "import asyncio\n"
        "other = Client('127.0.0.1:9')\n"
        "async def main():\n"
        "    asyncio.create_task(other.ready())\n"
        "    await asyncio.sleep(0.01)\n"
        "import logging; logging.disable()\n"
        "asyncio.run(main())"
    ),
    "SIGTERM with a handler": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)"
    ),
}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_an_end_on_purpose(fleet: Fleet, ending: str) -> None:
    """Quiet, and with a goodbye."""
    done = run_whole(fleet.target, SERVER + ending)
    assert (done.returncode, done.stderr) == (0, "")
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("sys.exit(3)", 3, []),
        ("1 / 0", 1, ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]),
        ("os.kill(os.getpid(), signal.SIGINT)", -2, ["Traceback (most recent call last):", "KeyboardInterrupt"]),
    ],
    ids=["sys.exit with a code", "an exception", "SIGINT"],
)
def test_an_end_by_failure(fleet: Fleet, ending: str, code: int, said: list[str]) -> None:
    """Its own code, its own traceback, and a goodbye: the process ended, and nobody needs to wait for it."""
    done = run_whole(fleet.target, SERVER + ending)
    assert done.returncode == code
    assert [line for line in done.stderr.splitlines() if not line.startswith("  ")] == said
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -15),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
    ids=["os._exit", "SIGTERM", "SIGKILL"],
)
def test_an_end_that_nobody_can_notice(fleet: Fleet, ending: str, code: int) -> None:
    """No goodbye is possible; the server sees the stream end and counts a lost process."""
    done = run_whole(fleet.target, SERVER + ending)
    assert (done.returncode, done.stderr) == (code, "")
    assert fleet.goodbyes == set()


@pytest.mark.parametrize("pause", ["", "time.sleep(0.02)", "time.sleep(0.1)", "time.sleep(0.3)"])
def test_an_end_while_it_connects(pause: str) -> None:
    """Something listens and never answers: importing, dialling or waiting, it ends at once."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        done = run_whole(f"127.0.0.1:{hole.getsockname()[1]}", f"client = Client(TARGET)\n{pause}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_that_is_made_at_the_very_end(fleet: Fleet) -> None:
    """In an exit handler, or where no thread can be started any more."""
    done = run_whole(
        fleet.target,
        """
        import atexit
        atexit.register(lambda: Client(TARGET).enabled("a", USER))
        Client(TARGET)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_hundreds_of_clients_come_and_go(fleet: Fleet) -> None:
    """One for each request is a mistake, and no reason to run out of threads or files."""
    done = run_whole(
        fleet.target,
        """
        Client(TARGET).close()
        for _ in range(300):
            with Client(TARGET) as client:
                client.enabled("a", USER)
        until(lambda: threading.active_count() < 5)
        files = len(os.listdir("/proc/self/fd"))
        say(name="main", threads=threading.active_count(), files=files)
        assert threading.active_count() < 5 and files < 40, (threading.enumerate(), files)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
