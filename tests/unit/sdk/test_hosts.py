"""Hooks of whatever runs this process; tests/e2e runs uWSGI, Celery, gunicorn and gevent themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from rollout_sdk import hosts


class Guest:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def end(self) -> None:
        self.told.append("end")

    def forked_unseen(self) -> None:
        self.told.append("forked")

    def before_patch(self) -> None:
        self.told.append("before")

    def after_patch(self) -> None:
        self.told.append("after")


class Uwsgi(ModuleType):
    """As much of uWSGI's module as is used."""

    def __init__(self, *, master: int, worker: int = 0, mule: int = 0) -> None:
        super().__init__("uwsgi")
        self._master, self._worker, self._mule = master, worker, mule

    def masterpid(self) -> int:
        return self._master

    def worker_id(self) -> int:
        return self._worker

    def mule_id(self) -> int:
        return self._mule


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a module as far as anybody can tell; nothing has been followed yet."""
    monkeypatch.setattr(hosts, "_followed", set(sys.modules) - {"uwsgi"})
    monkeypatch.delitem(sys.modules, "uwsgidecorators", raising=False)
    return lambda module: monkeypatch.setitem(sys.modules, module.__name__, module)


def decorators() -> ModuleType:
    module = ModuleType("uwsgidecorators")
    module.__dict__["postfork_chain"] = []
    return module


@pytest.mark.parametrize(
    ("uwsgi", "waits"),
    [
        (Uwsgi(master=os.getpid()), True),
        (Uwsgi(master=1, worker=2), False),
        (Uwsgi(master=1, mule=1), False),
        (Uwsgi(master=0), True),
        (Uwsgi(master=0, worker=1), False),
        (ModuleType("uwsgi"), False),
    ],
    ids=["master", "worker", "mule", "no master, before", "no master, after", "another module of that name"],
)
def test_only_uwsgis_first_process_awaits_its_fork(put: Any, uwsgi: ModuleType, *, waits: bool) -> None:
    """Elsewhere threads start at once."""
    assert not hosts.awaits_fork()
    put(uwsgi)
    assert hosts.awaits_fork() is waits


def test_uwsgis_hook_is_taken_once_beside_the_callers_own(put: Any) -> None:
    """Whichever way the caller's came about, both run."""
    guest, uwsgi = Guest(), Uwsgi(master=1)
    uwsgi.__dict__["post_fork_hook"] = lambda: guest.told.append("own")
    put(uwsgi)
    hosts.follow(guest)
    hosts.follow(guest)
    uwsgi.post_fork_hook()
    assert guest.told == ["own", "forked"]


def test_uwsgis_chain_of_decorators_is_joined(put: Any) -> None:
    """The module that replaces whatever hook it finds is not replaced in turn."""
    guest, chain = Guest(), decorators()
    put(Uwsgi(master=1))
    put(chain)
    hosts.follow(guest)
    assert chain.postfork_chain == [guest.forked_unseen]


def test_another_module_named_uwsgi_is_left_alone(put: Any) -> None:
    """It has no hook to take."""
    module = ModuleType("uwsgi")
    put(module)
    hosts.follow(Guest())
    assert not hasattr(module, "post_fork_hook")


IN_A_PROCESS = """
import os, sys, threading
from rollout_sdk import hosts
PARENT = os.getpid()
class Guest:
    def end(self): print("end of", "parent" if os.getpid() == PARENT else "child", flush=True)
    def forked_unseen(self): print("forked", flush=True)
    def before_patch(self): print("before", type(threading.Lock()).__module__, flush=True)
    def after_patch(self): print("after", type(threading.Lock()).__module__, flush=True)
guest = Guest()
"""


def said(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(dict.fromkeys(done.stdout.splitlines()))  # billiard runs multiprocessing's finalizers, too


def test_gevents_patch_is_told_before_and_after() -> None:
    """After it from a greenlet, when all is patched."""
    program = """
import gevent
hosts.follow(guest)
from gevent import monkey
monkey.patch_all()
gevent.sleep(0)
"""
    assert said(program) == ["before _thread", "after gevent.thread"]


def test_a_worker_of_celery_that_ends_is_told() -> None:
    """By the signal that its pool sends before it leaves by `os._exit`."""
    program = """
from celery import signals
hosts.follow(guest)
signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0)
"""
    assert said(program) == ["end of parent"]


@pytest.mark.parametrize("pool", ["multiprocessing", "billiard"])
def test_children_of_pools_that_leave_without_atexit_are_told(pool: str) -> None:
    """The parent, too."""
    program = f"""
import {pool}, {pool}.util
hosts.follow(guest)
child = {pool}.get_context("fork").Process(target=print, args=("child",), kwargs={{"flush": True}})
child.start()
child.join()
"""
    assert said(program) == ["child", "end of child", "end of parent"]
