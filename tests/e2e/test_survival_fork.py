"""Forks of the servers and pools that people use, for real: every child sees a change, nobody hangs, nothing is lost.

No program here has a line of user code for it. What is waited for is waited for with a bound; no time is asserted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.fleet_server import Fleet, serving_fleet
from tests.programs import gunicorn_says_who_is_up, run, run_whole, said_by, service, wait_for_workers

APP = """
import logging, sys
logging.basicConfig(level=logging.ERROR)
from rollout_sdk import Client, Context
client = Client.from_env()
if "ready" in sys.argv or {ready}:
    client.wait_until_ready(30)

def application(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(client.enabled("a", Context("u-1"))).encode()]
"""
WORKERS = 3


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with serving_fleet() as fleet:
        yield fleet


def app(home: Path, *, ready: bool = False) -> None:
    """Write an application that makes its client at import."""
    (home / "app.py").write_text(APP.format(ready=ready), encoding="utf-8")


def everybody_follows(fleet: Fleet, processes: int) -> None:
    """Wait for the processes, change a flag, and wait until each of them has it in force."""
    fleet.wait_for_processes(processes)
    fleet.flip()
    fleet.wait_for(lambda: fleet.instances - fleet.goodbyes <= fleet.current)
    assert len({hello.pid for hello in fleet.hellos if hello.instance_id in fleet.current}) == processes


@pytest.mark.parametrize("ready", [False, True], ids=["forks while it connects", "forks when it is connected"])
def test_gunicorn_with_preload(fleet: Fleet, tmp_path: Path, *, ready: bool) -> None:
    """Master and workers follow; at the end each worker says goodbye."""
    app(tmp_path, ready=ready)
    gunicorn_says_who_is_up(tmp_path)
    arguments = ["gunicorn", "--preload", "-w", str(WORKERS), "-b", f"unix:{tmp_path}/s", "--no-control-socket"]
    with service([*arguments, "app:application"], fleet.target, tmp_path) as gunicorn:
        everybody_follows(fleet, WORKERS + 1)
        wait_for_workers(tmp_path, WORKERS)
        assert gunicorn.end() == 0
        fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)
    assert "rollout_sdk" not in gunicorn.said


@pytest.mark.parametrize(
    ("options", "processes"),
    [
        (["--master", "-p", "2"], 2),
        (["--master", "-p", "2", "--py-call-uwsgi-fork-hooks"], 2),
        (["--master", "-p", "2", "--lazy-apps"], 2),
        (["--master", "-p", "1", "--mule"], 2),
        (["-p", "1"], 1),
    ],
    ids=["copied in C", "with Python's hooks", "lazy", "with a mule", "without a master"],
)
def test_uwsgi(fleet: Fleet, tmp_path: Path, options: list[str], processes: int) -> None:
    """Its master starts nothing, since it copies itself in C; each worker does, once."""
    app(tmp_path)
    arguments = ["uwsgi", "--socket", f"{tmp_path}/s", "--wsgi-file", "app.py", "--die-on-term", "--enable-threads"]
    with service([*arguments, *options], fleet.target, tmp_path) as uwsgi:
        everybody_follows(fleet, processes)
        assert len(fleet.instances) == processes
        assert uwsgi.process.pid not in fleet.pids or "--master" not in options
        uwsgi.end()
        fleet.wait_for(lambda: len(fleet.goodbyes) >= processes - options.count("--mule"))  # mules are killed
    assert "Traceback" not in uwsgi.said


def test_uwsgi_without_threads_is_told_loudly(fleet: Fleet) -> None:
    """Nothing would run between requests. Releases that can do without threads are older than the one installed."""
    done = run_whole(
        fleet.target,
        """
        import types
        sys.modules["uwsgi"] = types.SimpleNamespace(
            has_threads=0, masterpid=lambda: 0, worker_id=lambda: 1, mule_id=lambda: 0)
        first, second = Client(TARGET), Client(TARGET)
        """,
    )
    assert done.returncode == 0
    assert done.stderr.count("start uWSGI with --enable-threads") == 1


TASKS = """
from celery import Celery
from rollout_sdk import Client, Context

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
                              "polling_interval": 0.05},
    worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
client = Client.from_env()

@app.task
def work(number):
    client.wait_until_ready(30)  # a decision by no rules is in no arm, and neither is its outcome
    with client.scope(Context(f"u-{number}")) as scope:
        scope.enabled("checkout")
        scope.record("errors", number % 7 == 0)
"""


@pytest.mark.parametrize(("tasks", "workers"), [(9, 2), pytest.param(600, 4, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_celery_loses_no_outcome(fleet: Fleet, tmp_path: Path, tasks: int, workers: int) -> None:
    """Children live for three tasks and leave by `os._exit`; what each recorded is delivered before, and a goodbye.

    Not asked of those that are left when the worker ends: where a broker has no event loop, Celery forks new children
    on a thread of its pool, they ask the kernel for SIGKILL when their parent ends, and to the kernel that is this
    thread. It ends within a second of their being told to leave, in the middle of whatever they do then.
    """
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    (tmp_path / "queue").mkdir()
    send = f"import tasks\nfor number in range({tasks}): tasks.work.delay(number)\n"
    with service(["python", "-c", send], "127.0.0.1:9", tmp_path) as sender:
        assert sender.process.wait(60) == 0, sender.said
    lives = 3
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--max-tasks-per-child", str(lives)]
    with service(
        ["celery", "-A", "tasks", "worker", "-P", "prefork", "-c", str(workers), "-l", "error", *options],
        fleet.target,
        tmp_path,
    ) as celery:
        fleet.wait_for(lambda: fleet.outcomes >= tasks, 600)
        unfinished = workers * (lives - 1)  # at most so many tasks were done by children that may do more
        fleet.wait_for(lambda: len(fleet.goodbyes) * lives >= tasks - unfinished)
        celery.end()
        worker = celery.process.pid
        fleet.wait_for(lambda: {each.instance_id for each in fleet.hellos if each.pid == worker} <= fleet.goodbyes)
    assert fleet.outcomes == tasks
    assert len(fleet.pids) >= tasks // lives
    assert "Traceback" not in celery.said


def test_pools_of_processes(fleet: Fleet, tmp_path: Path) -> None:
    """Workers of both standard pools leave by `os._exit`; what they recorded is there all the same."""
    said = run(
        fleet.target,
        """
        from concurrent.futures import ProcessPoolExecutor
        client = None

        def work(number):
            with client.scope(Context(f"u-{number}")) as scope:
                scope.enabled("checkout")
                scope.record("errors", False)
            return until(lambda: client.status().connected)

        if __name__ == "__main__":
            client = Client(TARGET)
            client.wait_until_ready(30)
            fork = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(2, mp_context=fork) as executor:
                done = list(executor.map(work, range(20)))
            pool = fork.Pool(2)
            done += pool.map(work, range(20, 40))
            pool.close(), pool.join()
            say(name="parent", done=all(done))
        """,
        file=tmp_path / "program.py",
    )
    assert said["parent"]["done"]
    fleet.wait_for(lambda: fleet.outcomes == 40)
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)


def test_a_child_that_leaves_by_os_exit_costs_nobody_else_anything(fleet: Fleet) -> None:
    """Nobody can say goodbye for it: its stream ends. What it flushed is delivered, and its parent goes on."""
    said = run(
        fleet.target,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        codes = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                with client.scope(Context(f"u-{number}")) as scope:
                    scope.enabled("checkout")
                    scope.record("errors", True)
                os._exit(0 if client.flush(30) else 1)
            codes.append(reap(pid))
        say(**facts(client, "parent"), codes=codes)
        """,
    )
    assert said["parent"]["codes"] == [0, 0, 0]
    assert fleet.outcomes == 3
    assert fleet.goodbyes == {said["parent"]["instance"]}


@pytest.mark.parametrize("support", ["", "1"], ids=["as it comes", "named"])
def test_no_thread_of_ours_is_alive_at_the_fork(fleet: Fleet, support: str) -> None:
    """Those of gRPC itself come after ours: they would block the channels that are still to be closed."""
    said = run(
        fleet.target,
        """
        alive = []
        os.register_at_fork(before=lambda: alive.append([
            thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]))
        client = Client(TARGET)
        client.wait_until_ready(30)
        for _ in range(3):
            with client.scope(USER) as scope:
                scope.enabled("checkout")
                scope.record("errors", False)
            client.flush(30)
            reap(child_of(client, "child"))
        say(name="parent", alive=alive)
        """,
        GRPC_ENABLE_FORK_SUPPORT=support,
    )
    assert said["parent"]["alive"] == [[], [], []]
    assert said["child"]["connected"]


@pytest.mark.parametrize("support", ["", "1"], ids=["as it comes", "named"])
@pytest.mark.parametrize("forks", [4, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_fork_in_the_middle_of_decisions(fleet: Fleet, forks: int, support: str) -> None:
    """Other threads decide, record and look at the status meanwhile; each child decides at once and sees the change."""
    if forks < 10:
        fleet.flip_when(forks + 1)
    said = run(
        fleet.target,
        f"""
        client = Client(TARGET)
        client.wait_until_ready(30)
        stop = threading.Event()

        def work(number):
            while not stop.is_set():
                with client.scope(Context(f"u-{{number}}")) as scope:
                    scope.enabled("a"), scope.enabled("checkout")
                    scope.record("errors", False)
                client.decide_all(USER), client.status()
                time.sleep(0)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads: thread.start()
        children, codes = [], []
        for number in range({forks}):
            pid = os.fork()
            if pid == 0:
                decided = client.decide("a", USER).reason.value
                is_well = sees_change(client) if {forks} < 10 else until(lambda: client.status().connected)
                os._exit(0 if is_well and decided == "default" else 1)
            children.append(pid)
            if {forks} >= 10:
                codes.append(reap(children.pop()))
        codes += [reap(pid) for pid in children]
        stop.set()
        for thread in threads: thread.join()
        say(**facts(client, "parent"), codes=codes)
        """,
        GRPC_ENABLE_FORK_SUPPORT=support,
    )
    assert said["parent"]["codes"] == [0] * forks
    assert said["parent"]["connected"]


def test_without_grpcs_fork_support_it_says_so_once_and_nobody_hangs(fleet: Fleet) -> None:
    """Children decide by the rules they inherit, and the parent goes on; what to do is in the message."""
    done = run_whole(
        fleet.target,
        """
        client = Client(TARGET)
        client.wait_until_ready(30)
        codes = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if client.decide("a", USER).reason.value == "default" else 1)
            codes.append(reap(pid))
        say(**facts(client, "parent"), codes=codes)
        """,
        GRPC_ENABLE_FORK_SUPPORT="0",
    )
    assert done.returncode == 0
    assert said_by(done)["parent"]["codes"] == [0, 0, 0]
    assert said_by(done)["parent"]["connected"]
    assert done.stderr.count("unset GRPC_ENABLE_FORK_SUPPORT") == 1
    assert not re.search("Traceback|SIGABRT", done.stderr)


def test_without_grpcs_fork_support_who_forks_first_is_served(fleet: Fleet) -> None:
    """A client made after the fork is the first to load gRPC, and needs no support."""
    fleet.flip_when(1)
    said = run(
        fleet.target,
        """
        pid = os.fork()
        if pid == 0:
            client = Client(TARGET)
            os._exit(0 if sees_change(client) else 1)
        say(name="parent", code=reap(pid))
        """,
        GRPC_ENABLE_FORK_SUPPORT="0",
    )
    assert said["parent"]["code"] == 0


@pytest.mark.parametrize("lead_ms", [0, 40], ids=["at once", "a moment later"])
def test_openfeature_in_children_that_are_forked_before_it_is_ready(fleet: Fleet, lead_ms: int) -> None:
    """It initialises on a thread, which stays with the parent: without more, children would serve defaults for ever."""
    said = run(
        fleet.target,
        f"""
        from openfeature import api
        from openfeature.evaluation_context import EvaluationContext
        from rollout_sdk.openfeature import RolloutProvider
        client = Client(TARGET)
        api.set_provider(RolloutProvider(client))
        time.sleep({lead_ms} / 1000)
        flags = api.get_client()
        pid = os.fork()
        served = until(lambda: flags.get_boolean_value("a", False, EvaluationContext("u-1")))
        say(name="parent" if pid else "child", served=served, status=flags.get_provider_status().value)
        client.close()
        os._exit(0 if pid == 0 else reap(pid))
        """,
    )
    ready = {"served": True, "status": "READY"}
    assert said == {"parent": {"name": "parent", **ready}, "child": {"name": "child", **ready}}
    fleet.wait_for(lambda: fleet.instances == fleet.goodbyes)
