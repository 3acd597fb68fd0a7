"""Celery: a scope around each task, which goes on in the scope of whoever sent it.

    install(app, client)                       # in the module of the application, for workers and for senders

A token travels in the message's headers: runs and arms, no key of a unit. Retries, chains and tasks sent by tasks carry
it on.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from celery import signals

from rollout_sdk.engine.context import EMPTY
from rollout_sdk.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from celery import Celery, Task

    from rollout_sdk.client import Client
    from rollout_sdk.engine.context import Context
    from rollout_sdk.scope import Scope

HEADER: Final = "rollout_scope"
"""The header of a message that holds the token."""

_STACK: Final = "_rollout_stack"
_RULES_S: Final = 2.0
_GOODBYE_S: Final = 2.0


def install(app: Celery, client: Client, context: Callable[[Task], Context | None] | None = None) -> Callable[[], None]:
    """Open a scope around every task of an application, from now on.

    Args:
        app: whose tasks.
        client: whose decisions count.
        context: from the task (`task.request.args`, `.kwargs`), for decisions made by the scope itself. None leaves it
            empty: decisions name their own.

    Returns:
        A function that ends it.
    """
    tasks = _Tasks(app, client, context)
    wired = (
        (signals.worker_init, tasks.prepare),
        (signals.before_task_publish, tasks.publish),
        (signals.task_prerun, tasks.begin),
        (signals.task_postrun, tasks.end),
        (signals.worker_process_shutdown, tasks.leave),
    )
    for signal, receiver in wired:
        signal.connect(receiver, weak=False)

    def uninstall() -> None:
        for signal, receiver in wired:
            signal.disconnect(receiver)

    return uninstall


class _Tasks:
    """What the signals of one application do. Celery logs what a receiver raises; none of these does."""

    def __init__(self, app: Celery, client: Client, context: Callable[[Task], Context | None] | None) -> None:
        self._app = app
        self._client = client
        self._context = context

    def prepare(self, **_: object) -> None:
        """Wait a moment for rules before a worker takes its first task: what a process without any records is lost.

        Children inherit them.
        """
        if not self._client.status().epoch:
            self._client.wait_until_ready(_RULES_S)

    def publish(self, headers: MutableMapping[str, Any] | None = None, **_: object) -> None:
        """Write the sender's scope into the message; who sends outside of any scope says nothing."""
        scope = current_scope()
        if scope is not None and headers is not None:
            headers[HEADER] = scope.carry()

    def begin(self, task: Task, **_: object) -> None:
        """Enter the task's scope. In an eager task, the one around it goes on."""
        if task.app is not self._app:
            return
        # One stack for all that were installed: whoever comes first at the end leaves them in their order.
        stack: ExitStack = task.request.__dict__.setdefault(_STACK, ExitStack())
        stack.enter_context(self._scope(task))

    def _scope(self, task: Task) -> Scope:
        make = self._context
        context = partial(make, task) if make is not None else EMPTY
        token = getattr(task.request, HEADER, None)
        if token is None and (around := current_scope()) is not None:
            token = around.carry()
        return self._client.scope(context) if token is None else self._client.resume(token, context)

    def end(self, task: Task, **_: object) -> None:
        """Leave it."""
        stack = task.request.__dict__.pop(_STACK, None)
        if stack is not None:
            stack.close()

    def leave(self, **_: object) -> None:
        """Deliver what was counted: a child of a worker ends without Python's own farewell."""
        self._client.close(_GOODBYE_S)
