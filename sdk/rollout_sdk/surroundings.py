"""What around this process makes a promise impossible: said once, loudly, with what to do."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

GRPC_OLDEST: Final = (1, 80)
"""The oldest release that this one is tested with. 1.78.1 was withdrawn: processes that fork hang with it."""
FORK_SUPPORT: Final = "GRPC_ENABLE_FORK_SUPPORT"
_OFF: Final = frozenset({"0", "false", "no", "off", "n", "f"})

_log = logging.getLogger("rollout_sdk")
_said: set[str] = set()


def say_once(complaint: str) -> None:
    """Log an error, unless this process or the one that it was forked from has."""
    if complaint and complaint not in _said:
        _said.add(complaint)
        _log.error("%s", complaint)


def of_threads() -> str:
    """Return why threads may not run here, or nothing."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or getattr(uwsgi, "has_threads", True):
        return ""
    return (
        "uWSGI runs without threads: the client's never run between requests, and no change of a flag arrives; "
        "start uWSGI with --enable-threads"
    )


def of_eventlet() -> str:
    """Return why gRPC cannot work here, or nothing."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is None or not patcher.is_monkey_patched("thread"):
        return ""
    return (
        "eventlet made greenlets of this process's threads, which gRPC would stop for good: the client does not "
        "connect, and decides by its snapshot or by defaults; use gevent, or leave threads unpatched (thread=False)"
    )


def of_fork() -> str:
    """Return why forked children will get no changes, or nothing."""
    if os.environ.get(FORK_SUPPORT, "").strip().lower() not in _OFF:
        return ""
    if "grpc" not in sys.modules:
        return ""  # the child will be the first to load it
    return (
        f"{FORK_SUPPORT} is off and this process forks: gRPC does not work in the child, which goes on with the "
        f"rules that it inherits and gets no changes; unset {FORK_SUPPORT}, or make the client after the fork"
    )


def of_grpc(version: str) -> str:
    """Return what is wrong with a release of gRPC, or nothing."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers >= GRPC_OLDEST:
        return ""
    return (
        f"grpcio {version} is older than {GRPC_OLDEST[0]}.{GRPC_OLDEST[1]} (1.78.1 hangs processes that fork); "
        f"pip install 'grpcio>={GRPC_OLDEST[0]}.{GRPC_OLDEST[1]}'"
    )


def is_patched() -> bool:
    """Whether gevent has turned this process's threads into greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def is_in_event_loop() -> bool:
    """Whether an event loop runs on this thread, which must not wait for anything."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - documented, for libraries


EARLY: Final = (
    "wait_until_ready was called where uWSGI will fork: nothing runs before that, so it does not wait; call it in a "
    "worker (uwsgidecorators.postfork), or start uWSGI with --lazy-apps"
)

GREENLETS: Final = (
    "gevent made greenlets of this process's threads after the client had started: gRPC cannot work in both; call "
    "gevent.monkey.patch_all() first of all, or import gevent before the client is made, which then notices the patch"
)
