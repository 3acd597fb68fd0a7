"""A process out of threads or descriptors, or in another directory, goes on, and gets its changes when it can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.programs import run_whole, said_by


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


HASTY = """
from rollout_sdk import Settings
settings = Settings(TARGET, backoff_base_ms=10, backoff_max_ms=50, report_every_ms=100)
"""


def test_no_descriptor_is_left_at_the_start(fleet: Fleet) -> None:
    """Not even gRPC can be loaded then. It is said, decisions are defaults, and it connects once there are some."""
    done = run_whole(
        fleet.target,
        HASTY
        + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
class Errors(__import__("logging").Handler):
    def emit(self, record):
        seen.append(record.getMessage())
seen = []
__import__("logging").getLogger("rollout_sdk").addHandler(Errors())
taken = []
try:
    while True:
        taken.append(open("/dev/null"))
except OSError:
    pass
with Client.of(settings) as client:
    noticed = until(lambda: seen)
    reason = client.decide("a", USER).reason.value
    for each in taken:
        each.close()
    say(name="main", noticed=noticed, reason=reason, ready=client.wait_until_ready(30))
    say(name="said", times=len(seen), text=seen[0])
""",
    )
    said = said_by(done)
    assert said["main"] == {"name": "main", "noticed": True, "reason": "not_ready", "ready": True}
    assert "Too many open files" in said["said"]["text"]
    assert "dialling again" in said["said"]["text"]


@pytest.mark.parametrize("room", [0, 2], ids=["none", "not enough"])
def test_no_thread_is_left_when_it_dials_again(fleet: Fleet, room: int) -> None:
    """The line breaks when the process has no thread to spare: it is dialled again until there are enough.

    Nothing is asked of gRPC meanwhile, which would hang for good.
    """
    fleet.flip_when(1)
    done = run_whole(
        fleet.target,
        HASTY
        + f"ROOM, BY_NOW = {room}, None"
        + """
client = Client.of(settings)
assert client.wait_until_ready(30) and sees_change(client)
real, refused = threading.Thread.start, []
def start(thread):
    if threading.active_count() >= BY_NOW + ROOM and len(refused) < 3:
        refused.append(thread.name)
        raise RuntimeError("can't start new thread")
    real(thread)
import gc
from rollout_sdk import stream
connection = next(each for each in gc.get_objects() if isinstance(each, stream._Connection))
BY_NOW = threading.active_count() - 3  # those of the connection that ends
threading.Thread.start = start
connection._call.cancel()
until(lambda: len(refused) == 3)
say(name="main", refused=len(refused), back=until(lambda: client.status().connected))
client.close()
""",
    )
    assert said_by(done)["main"] == {"name": "main", "refused": 3, "back": True}
    assert done.stderr.count("can't start new thread; decisions go on as they are, dialling again") == 1
    assert "Traceback" not in done.stderr
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)


def test_no_thread_is_left_for_a_report(fleet: Fleet) -> None:
    """What was counted waits, and is delivered once there is a thread for it."""
    done = run_whole(
        fleet.target,
        HASTY
        + """
client = Client.of(settings)
client.wait_until_ready(30)
from rollout_sdk import reporter
real, refused = reporter._Connection.send, []
def send(self, request, must_hang_up):
    if len(refused) < 2:
        refused.append(1)
        raise RuntimeError("can't start new thread")
    return real(self, request, must_hang_up)
reporter._Connection.send = send
with client.scope(USER) as scope:
    scope.enabled("checkout")
    scope.record("errors", True)
say(name="main", flushed=client.flush(30), refused=len(refused))
client.close()
""",
    )
    assert said_by(done)["main"] == {"name": "main", "flushed": True, "refused": 2}
    assert done.stderr.count("no report to") == 1
    assert fleet.outcomes == 1


def test_a_daemon_goes_to_another_directory(fleet: Fleet, tmp_path: Path) -> None:
    """Relative paths mean where the client was made: its snapshot is found there again, and its overrides act."""
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    done = run_whole(
        fleet.target,
        f"""
        os.chdir({str(tmp_path / "home")!r})
        client = Client(TARGET, snapshot_path="rules.snapshot", overrides_path="overrides")
        os.chdir({str(tmp_path / "elsewhere")!r})
        ready = client.wait_until_ready(30) and client.flush(30)
        open({str(tmp_path / "home" / "overrides")!r}, "w").write("a: off")
        saw = until(lambda: client.decide("a", USER).reason.value == "override")
        say(name="main", ready=ready, saw=saw)
        client.close()
        """,
    )
    said = said_by(done)  # that an override acts is said on stderr
    assert said["main"] == {"name": "main", "ready": True, "saw": True}
    assert (tmp_path / "home" / "rules.snapshot").is_file()
    assert not list((tmp_path / "elsewhere").iterdir())
