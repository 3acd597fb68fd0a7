"""WSGI: a scope around each request, and around each part of a streamed response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rollout_sdk.engine.context import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from rollout_sdk.client import Client
    from rollout_sdk.engine.context import Context
    from rollout_sdk.scope import Scope

SCOPE: Final = "rollout.scope"
"""Where the environ holds ours."""


class RolloutMiddleware:
    """Wraps a WSGI application: `application = RolloutMiddleware(application, client, context=visitor)`.

    A response that is made while it is sent is in the scope too, whichever thread asks for its parts.
    """

    def __init__(
        self,
        app: WSGIApplication,
        client: Client,
        context: Callable[[WSGIEnvironment], Context | None] | None = None,
    ) -> None:
        """Wrap.

        Args:
            app: what is wrapped.
            client: whose decisions count.
            context: from the environ as the application sees it. None leaves the context empty: decisions name their
                own.
        """
        self._app = app
        self._client = client
        self._context = context

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does."""
        make = self._context
        scope = self._client.scope(partial(make, environ) if make is not None else EMPTY)
        environ[SCOPE] = scope
        with scope:
            parts = self._app(environ, start_response)
        # What is made already needs no scope, and servers look at it: for its length, or to send a file by themselves.
        file_wrapper = environ.get("wsgi.file_wrapper")
        is_file = isinstance(file_wrapper, type) and isinstance(parts, file_wrapper)
        return parts if is_file or isinstance(parts, list | tuple) else _Parts(parts, scope)


class _Parts:
    """A response whose parts are made inside of the scope."""

    def __init__(self, parts: Iterable[bytes], scope: Scope) -> None:
        self._parts = parts
        self._scope = scope
        self._rest: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._scope:
            if self._rest is None:
                self._rest = iter(self._parts)
            return next(self._rest)

    def close(self) -> None:
        """As servers do at the end: whatever the application closes then is in the scope, too."""
        close: Any = getattr(self._parts, "close", None)
        if close is not None:
            with self._scope:
                close()
