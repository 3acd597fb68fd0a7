"""What runs this process and forks, patches or ends it in ways that Python's own hooks do not see.

uWSGI copies a process in C; Celery's children leave by `os._exit`, those of multiprocessing without atexit; gevent
turns threads into greenlets under those that run. Each has a hook of its own, which is taken as soon as it is loaded:
a caller writes nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_POOLS = ("multiprocessing.util", "billiard.util")
"""Their children leave without atexit; finalizers of their own run in them."""

_followed: set[str] = set()


class Guest(Protocol):
    """What is done when a host acts. None of it may raise."""

    def end(self) -> None:
        """The process ends, and atexit may not run."""

    def forked_unseen(self) -> None:
        """This is the child of a fork that no hook of Python's has seen. Harmless when one has."""

    def before_patch(self) -> None:
        """Threads are about to become greenlets: leave none running."""

    def after_patch(self) -> None:
        """They are; called from a greenlet."""


def follow(guest: Guest) -> None:
    """Take the hooks of every host that is loaded by now, each once. Called for new clients and before forks."""
    for name, take in (
        *((pool, _follow_pool) for pool in _POOLS),
        ("celery.signals", _follow_celery),
        ("uwsgi", _follow_uwsgi),
        ("gevent", _follow_gevent),
    ):
        module = sys.modules.get(name)
        if module is not None and name not in _followed:
            _followed.add(name)
            take(module, guest)


def awaits_fork() -> bool:
    """Whether this is uWSGI's process before it copies itself: what is started now is copied in pieces, locks held."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    try:
        master = uwsgi.masterpid()
        return bool(os.getpid() == master if master else uwsgi.worker_id() == 0 and uwsgi.mule_id() == 0)
    except (AttributeError, TypeError):
        return False  # another module of that name


def _follow_pool(util: ModuleType, guest: Guest) -> None:
    # A child forgets its parent's finalizers, hence the second one, made in the child.
    util.register_after_fork(guest, lambda _: util.Finalize(None, guest.end, exitpriority=0))
    util.Finalize(None, guest.end, exitpriority=0)


def _follow_celery(signals: ModuleType, guest: Guest) -> None:
    signals.worker_process_shutdown.connect(lambda **_: guest.end(), weak=False, dispatch_uid="rollout_sdk")


def _follow_uwsgi(uwsgi: ModuleType, guest: Guest) -> None:
    if not callable(getattr(uwsgi, "masterpid", None)):
        return  # another module of that name
    own = getattr(uwsgi, "post_fork_hook", None)
    chain = _uwsgi_chain(is_free=own is None)
    if chain is not None:
        chain.append(guest.forked_unseen)
        return

    def hook() -> None:
        if own is not None:
            own()
        guest.forked_unseen()

    uwsgi.post_fork_hook = hook  # type: ignore[attr-defined] # a module made by uWSGI


def _uwsgi_chain(*, is_free: bool) -> list[Callable[[], object]] | None:
    """Return uwsgidecorators' list of hooks; None where it takes no part.

    Args:
        is_free: nobody has put in a hook of their own, which the import would replace.
    """
    name = "uwsgidecorators"
    if name not in sys.modules:
        if not is_free:
            return None
        try:  # loaded now, since it replaces whatever hook it finds, ours too, if somebody loads it later
            import_module(name)
        except Exception:  # noqa: BLE001 - it raises a bare one without a master process
            return None
    chain: list[Callable[[], object]] | None = getattr(sys.modules[name], "postfork_chain", None)
    return chain


def _follow_gevent(gevent: ModuleType, guest: Guest) -> None:
    events = import_module("gevent.events")
    is_patching = False

    def heed(event: object) -> None:
        nonlocal is_patching
        name = getattr(event, "module_name", None)
        if (
            isinstance(event, events.GeventWillPatchModuleEvent)
            and name in {"_thread", "threading"}
            and not is_patching
        ):
            is_patching = True
            guest.before_patch()
        elif isinstance(event, events.GeventDidPatchModuleEvent) and name == "threading" and is_patching:
            is_patching = False
            gevent.spawn(guest.after_patch)  # runs when the main greenlet first waits: all is patched by then

    events.subscribers.append(heed)
