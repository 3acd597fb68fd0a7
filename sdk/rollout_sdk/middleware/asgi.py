"""ASGI: a scope around each request and each websocket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rollout_sdk.engine.context import EMPTY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from rollout_sdk.client import Client
    from rollout_sdk.engine.context import Context

    AsgiScope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

SCOPE: Final = "rollout"
"""Where the ASGI scope holds ours."""

_KINDS: Final = frozenset({"http", "websocket"})


class RolloutMiddleware:
    """Wraps an ASGI application: `app.add_middleware(RolloutMiddleware, client=client, context=visitor)`.

    The scope lasts until the application has ended: over streamed responses, background tasks of the framework, and the
    whole life of a websocket. Requests that run side by side do not see each other's.
    """

    def __init__(
        self,
        app: Application,
        client: Client,
        context: Callable[[dict[str, Any]], Context | None] | None = None,
    ) -> None:
        """Wrap.

        Args:
            app: what is wrapped.
            client: whose decisions count.
            context: from the ASGI scope as the application sees it, so that what its own middleware adds (the user, a
                session) is there. None leaves the context empty: decisions name their own.
        """
        self._app = app
        self._client = client
        self._context = context

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer as the application does; lifespan events pass untouched."""
        if scope["type"] not in _KINDS:
            await self._app(scope, receive, send)
            return
        seen = dict(scope)  # ours, to add to: the server's own is not to be changed
        make = self._context
        with self._client.scope(partial(make, seen) if make is not None else EMPTY) as own:
            seen[SCOPE] = own
            await self._app(seen, receive, send)
