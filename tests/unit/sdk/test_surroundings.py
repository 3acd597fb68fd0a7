"""What cannot work is said once, with what to do."""

import asyncio
import logging
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from rollout_sdk import surroundings

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_said", set())


@pytest.mark.usefixtures("nothing_said")
def test_a_complaint_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """As an error; nothing is said of nothing."""
    for complaint in ("", "it cannot work; do this", "it cannot work; do this"):
        surroundings.say_once(complaint)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "it cannot work; do this")
    ]


def test_uwsgi_without_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases before 2.0.27 run without them unless told."""
    uwsgi = ModuleType("uwsgi")
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    assert surroundings.of_threads() == ""
    monkeypatch.setattr(uwsgi, "has_threads", 0, raising=False)
    assert "--enable-threads" in surroundings.of_threads()
    monkeypatch.setattr(uwsgi, "has_threads", 1)
    assert surroundings.of_threads() == ""


def test_a_fork_without_grpcs_support_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where gRPC is loaded before it: else the child is the first."""
    monkeypatch.setitem(sys.modules, "grpc", ModuleType("grpc"))
    for value, is_bad in (("0", True), ("False", True), ("1", False), ("", False), ("true", False)):
        monkeypatch.setenv(surroundings.FORK_SUPPORT, value)
        assert bool(surroundings.of_fork()) is is_bad, value
    monkeypatch.delenv(surroundings.FORK_SUPPORT)
    assert surroundings.of_fork() == ""
    monkeypatch.setenv(surroundings.FORK_SUPPORT, "0")
    assert f"unset {surroundings.FORK_SUPPORT}" in surroundings.of_fork()
    monkeypatch.delitem(sys.modules, "grpc")
    assert surroundings.of_fork() == ""


@pytest.mark.parametrize(
    ("version", "is_bad"),
    [("1.78.1", True), ("1.79.0", True), ("1.80.0", False), ("1.85.1", False), ("2.0.0rc1", False), ("odd", True)],
)
def test_a_release_of_grpc_that_hangs_forks_is_named(version: str, *, is_bad: bool) -> None:
    """And is no release that this distribution may be installed with."""
    assert bool(surroundings.of_grpc(version)) is is_bad
    wanted = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    (grpcio,) = (one for one in map(Requirement, wanted) if one.name == "grpcio")
    if version != "odd":
        assert grpcio.specifier.contains(version, prereleases=True) is not is_bad


def test_without_gevent_nothing_is_patched() -> None:
    """tests/e2e has the rest."""
    assert not surroundings.is_patched()


def test_eventlet_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nothing that gRPC knows of, and would stop every greenlet."""
    patcher = ModuleType("eventlet.patcher")
    patcher.__dict__["is_monkey_patched"] = {"thread": False}.get
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    assert surroundings.of_eventlet() == ""
    patcher.__dict__["is_monkey_patched"] = {"thread": True}.get
    assert "use gevent" in surroundings.of_eventlet()


async def test_a_loop_on_this_thread_is_noticed() -> None:
    """And one on another thread is not: only this one must not wait."""
    assert surroundings.is_in_event_loop()
    assert await asyncio.to_thread(surroundings.is_in_event_loop) is False
