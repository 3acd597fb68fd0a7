"""Django: a scope around each request, where `request.user` and the session are known.

In the settings:

    MIDDLEWARE = [..., "rollout_sdk.middleware.django.RolloutMiddleware"]
    ROLLOUT_CLIENT = "shop.flags.client"       # a Client, or the path of one
    ROLLOUT_CONTEXT = "shop.flags.visitor"     # a function of the request, or its path; may be left out
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from rollout_sdk.client import Client
from rollout_sdk.engine.context import EMPTY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from rollout_sdk.scope import Scope

ATTRIBUTE: Final = "rollout"
"""The attribute of a request that holds the scope."""


class RolloutMiddleware:
    """A middleware of Django, for WSGI and for ASGI; put it last, so that it sees who was authenticated.

    `request.rollout` is the scope. A streamed response is in it too.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        """Wrap; Django calls it once for a process.

        Raises:
            ImproperlyConfigured: ROLLOUT_CLIENT names no client, or ROLLOUT_CONTEXT nothing that can be called.
        """
        self._get_response: Any = get_response
        self._client: Client = _setting(
            "ROLLOUT_CLIENT", lambda found: isinstance(found, Client), "a rollout_sdk.Client"
        )
        self._context = _setting("ROLLOUT_CONTEXT", callable, "a function of a request", is_required=False)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer as the application does."""
        return self._answer_later(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with self._scope(request) as scope:
            return _streaming_in(scope, self._get_response(request))

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        with self._scope(request) as scope:
            return _streaming_in(scope, await self._get_response(request))

    def _scope(self, request: HttpRequest) -> Scope:
        make = self._context
        scope = self._client.scope(partial(make, request) if make is not None else EMPTY)
        setattr(request, ATTRIBUTE, scope)
        return scope


def _setting(name: str, fits: Callable[[object], bool], wanted: str, *, is_required: bool = True) -> Any:  # noqa: ANN401 - checked by `fits`
    given = getattr(settings, name, None)
    if given is None and not is_required:
        return None
    try:
        found = import_string(given) if isinstance(given, str) else given
    except ImportError as error:
        raise ImproperlyConfigured(f"{name} = {given!r} cannot be imported: {error}") from error
    if not fits(found):
        raise ImproperlyConfigured(f"{name} must be {wanted}, or the dotted path of one")
    return found


def _streaming_in(scope: Scope, response: HttpResponseBase) -> HttpResponseBase:
    """Make the parts of a streamed response inside of the scope; a file stays what servers can send by themselves."""
    if not response.streaming or hasattr(response, "file_to_stream"):
        return response
    streamed: Any = response
    if streamed.is_async:
        streamed.streaming_content = _parts_later(scope, streamed.streaming_content)
    else:
        streamed.streaming_content = _parts(scope, streamed.streaming_content)
    return response


def _parts(scope: Scope, parts: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with scope:
            part = next(parts, None)
        if part is None:
            return
        yield part


async def _parts_later(scope: Scope, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        with scope:
            part = await anext(parts, None)
        if part is None:
            return
        yield part
