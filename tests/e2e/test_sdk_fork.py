"""The client across fork and the end of the process. Each program runs in a process of its own and really forks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.programs import run


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


def test_parent_and_child_go_on_as_two_instances(fleet: Fleet) -> None:
    """The child has an identity and a connection of its own; the parent keeps its."""
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        say(**facts(client, "before"))
        status = reap(child_of(client, "child"))
        say(**facts(client, "after"), status=status)
        """,
    )
    assert [each["connected"] for each in said.values()] == [True, True, True]
    assert [each["value"] for each in said.values()] == [True, True, True]
    assert said["after"]["status"] == 0
    assert said["before"]["instance"] == said["after"]["instance"] != said["child"]["instance"]
    instances = {(hello.pid, hello.instance_id) for hello in fleet.hellos}
    assert {(said[name]["pid"], said[name]["instance"]) for name in said} == instances


def test_a_child_decides_at_once_and_sees_changes(fleet: Fleet) -> None:
    """Rules are inherited; a change after the fork reaches child and parent."""
    fleet.flip_when(2)
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        pid = os.fork()
        first = client.decide("a", USER)
        saw = until(lambda: not client.enabled("a", USER, default=True))
        say(name="child" if pid == 0 else "parent", first=first.reason.value, saw=saw)
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert {(each["first"], each["saw"]) for each in said.values()} == {("default", True)}


def test_forks_while_threads_decide_and_the_client_still_connects(fleet: Fleet) -> None:
    """Prefork servers fork right after start-up, with threads running: nobody hangs, everybody connects."""
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        stop = threading.Event()
        def decide():
            while not stop.is_set():
                client.enabled("a", USER)
                time.sleep(0)
        threads = [threading.Thread(target=decide) for _ in range(2)]
        for thread in threads: thread.start()
        children = [child_of(client, f"child {number}") for number in range(6)]
        codes = [reap(pid) for pid in children]
        stop.set()
        for thread in threads: thread.join()
        say(**facts(client, "parent"), codes=codes)
        """,
    )
    assert said["parent"]["codes"] == [0] * 6
    assert len({each["instance"] for each in said.values()}) == 7
    assert all(each["connected"] and each["value"] for each in said.values())


def test_a_grandchild_connects_too(fleet: Fleet) -> None:
    """Fork in a fork."""
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        pid = os.fork()
        if pid == 0:
            code = reap(child_of(client, "grandchild"))
            say(**facts(client, "child"), code=code)
            os._exit(0)
        reap(pid)
        """,
    )
    assert said["child"]["code"] == 0
    assert (said["child"]["connected"], said["grandchild"]["connected"]) == (True, True)
    assert said["child"]["instance"] != said["grandchild"]["instance"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_connect_and_say_goodbye(fleet: Fleet, method: str, tmp_path: Path) -> None:
    """They leave without atexit; the server is told all the same. A spawned child makes its own client."""
    said = run(
        fleet.target,
        f"""
            def work(name):
                global client
                if {method!r} != "fork":
                    client = Client(TARGET)
                say(**facts(client, name))

            if __name__ == "__main__":
                client = Client(TARGET)
                client.wait_until_ready(30)
                context = multiprocessing.get_context({method!r})
                children = [context.Process(target=work, args=(f"child {{number}}",)) for number in range(2)]
                for child in children: child.start()
                for child in children: child.join()
                say(**facts(client, "parent"), codes=[child.exitcode for child in children])
            """,
        file=tmp_path / "program.py",
    )
    assert said["parent"]["codes"] == [0, 0]
    assert all(each["connected"] and each["value"] for each in said.values())
    fleet.wait_for(lambda: {each["instance"] for each in said.values()} <= fleet.goodbyes)


def test_a_closed_or_dropped_client_is_not_reopened_by_a_fork(fleet: Fleet) -> None:
    """What the user ended stays ended, in the child too."""
    said = run(
        fleet.target,
        """
        import gc
        closed, dropped = Client(TARGET), Client(TARGET)
        closed.wait_until_ready(30), dropped.wait_until_ready(30)
        closed.close()
        del dropped
        gc.collect()
        until(lambda: not any(t.name.startswith("rollout") for t in threading.enumerate()))
        pid = os.fork()
        names = [t.name for t in threading.enumerate() if t.name.startswith("rollout")]
        say(name="child" if pid == 0 else "parent", threads=names, value=closed.enabled("a", USER))
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert [(each["threads"], each["value"]) for each in said.values()] == [([], True), ([], True)]
    assert len(fleet.hellos) == 2


def test_callbacks_live_on_in_both_processes(fleet: Fleet) -> None:
    """A child that asked nothing anew is told of changes."""
    fleet.flip_when(2)
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        told = []
        client.on_change(lambda flags: told.append(sorted(flags)))
        pid = os.fork()
        until(lambda: told)
        say(name="child" if pid == 0 else "parent", told=told)
        if pid == 0:
            os._exit(0)
        reap(pid)
        """,
    )
    assert [each["told"] for each in said.values()] == [[["a"]], [["a"]]]


@pytest.mark.parametrize(
    "ending",
    ["pass", "sys.exit(0)", "del client", "threading.Thread(target=lambda: until(lambda: False, 0.2)).start()"],
)
def test_the_process_ends_quietly_and_says_goodbye(fleet: Fleet, ending: str) -> None:
    """No hang, no traceback, and the server knows that it was on purpose."""
    said = run(
        fleet.target,
        f"""
        client = Client(TARGET)
        say(**facts(client, "main"))
        {ending}
        """,
    )
    fleet.wait_for(lambda: said["main"]["instance"] in fleet.goodbyes)


def test_a_process_that_ends_at_once_ends_at_once(fleet: Fleet) -> None:
    """While the first connection is being made, too."""
    run(fleet.target, "Client(TARGET)")
    run(fleet.target, "client = Client('127.0.0.1:9')")
