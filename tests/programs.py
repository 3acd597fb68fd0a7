"""Programs with an SDK in them that really run, fork and end, and say in lines of JSON what they saw."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 60

PRELUDE = """
import json, os, signal, sys, threading, time, multiprocessing
from rollout_sdk import Client, Context

USER = Context("u-1")
TARGET = os.environ["ROLLOUT_SERVER"]

def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True

def say(**facts):
    os.write(1, (json.dumps(facts) + "\\n").encode())

def facts(client, name):
    connected = until(lambda: client.status().connected and client.status().ready)
    return {"name": name, "connected": connected, "value": client.enabled("a", USER),
            "instance": client.status().instance_id, "pid": os.getpid()}

def sees_change(client):
    return until(lambda: not client.enabled("a", USER, default=True))

def child_of(client, name, code=0):
    pid = os.fork()
    if pid:
        return pid
    try:
        say(**facts(client, name))
        os._exit(code)
    finally:
        os._exit(99)

def reap(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

Said = dict[str, dict[str, Any]]


def environment(target: str, **more: str) -> dict[str, str]:
    """Of a program that speaks to this server and to nobody else; variables that are empty are left out."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ROLLOUT_", "GRPC_"))}
    return {
        **kept,
        "ROLLOUT_SERVER": target,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",  # since 3.12, of forks beside gRPC
        **{key: value for key, value in more.items() if value},
    }


def run_whole(target: str, program: str, *, file: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is.

    Args:
        target: of the server.
        program: follows `PRELUDE`.
        file: where to put it, for programs that others have to find again (spawn); None needs none.
        more: variables of its environment.
    """
    text = PRELUDE + textwrap.dedent(program)
    if file is not None:
        file.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, file] if file else [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env=environment(target, **more),
    )


def said_by(done: subprocess.CompletedProcess[str]) -> Said:
    """Return what a program said, by name."""
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


def run(target: str, program: str, *, file: Path | None = None, **more: str) -> Said:
    """Run a program to its end; return what it said, by name. It must say nothing on stderr and exit with 0."""
    done = run_whole(target, program, file=file, **more)
    assert (done.returncode, done.stderr) == (0, ""), f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return said_by(done)


@dataclass
class Service:
    """A program that runs until it is told to end.

    Attributes:
        said: everything it wrote, once it has ended.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def end(self) -> int:
        """Ask it to end as a service manager does; return its exit code."""
        self.process.terminate()
        return self.process.wait(WAIT_S)


def gunicorn_says_who_is_up(home: Path) -> None:
    """Let each worker of gunicorn leave a file once it listens to signals: one that comes earlier is lost on it."""
    hook = "from pathlib import Path\ndef post_worker_init(worker): Path(f'up-{worker.pid}').touch()\n"
    (home / "gunicorn.conf.py").write_text(hook, encoding="utf-8")


def wait_for_workers(home: Path, count: int) -> None:
    """Wait until so many workers of gunicorn are up."""
    deadline = time.monotonic() + WAIT_S
    while len(list(home.glob("up-*"))) < count:
        assert time.monotonic() < deadline, "not all workers came up"
        time.sleep(0.01)


@contextmanager
def service(arguments: Sequence[str | Path], target: str, home: Path, **more: str) -> Iterator[Service]:
    """Run a program from `home`; it is gone afterwards, with all that it forked.

    Args:
        arguments: the first names a script beside this interpreter, such as "gunicorn".
        target: of the flag server.
        home: where it runs, and where its `log` is.
        more: variables of its environment.
    """
    log = home / "log"
    command = [str(Path(sys.executable).parent / arguments[0]), *map(str, arguments[1:])]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environment(target, PYTHONPATH=str(home), **more),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Service(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
