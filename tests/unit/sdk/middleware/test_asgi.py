"""ASGI: a scope around each request, whatever the application does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from rollout_sdk import Context, Scope, current_scope
from rollout_sdk.middleware.asgi import SCOPE, RolloutMiddleware
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@pytest.fixture
def client() -> RulesetClient:
    return RulesetClient(launch_ruleset())


def visitor(scope: Message) -> Context:
    return Context(scope["user"])


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def into_nothing(_message: Message) -> None:
    """Nobody listens."""


async def test_requests_side_by_side_have_scopes_of_their_own(client: RulesetClient) -> None:
    """Interleaved at every await, in tasks of their own, as servers run them."""
    seen: dict[str, list[Scope | None]] = {}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        mine = seen.setdefault(scope["user"], [])
        for _ in range(5):
            mine.append(current_scope())
            await asyncio.sleep(0)
        assert client.enabled("checkout", Context(scope["user"])) in {True, False}
        assert scope[SCOPE].context.units == {"user": scope["user"]}

    wrapped = RolloutMiddleware(app, client, visitor)
    users = [f"u-{number}" for number in range(20)]
    await asyncio.gather(
        *(asyncio.create_task(wrapped({"type": "http", "user": user}, nothing, into_nothing)) for user in users)
    )
    scopes = {user: set(map(id, found)) for user, found in seen.items()}
    assert all(len(found) == 1 for found in scopes.values())
    assert len(set.union(*scopes.values())) == len(users)
    assert current_scope() is None


async def test_the_context_sees_what_the_application_added(client: RulesetClient) -> None:
    """Authentication runs inside; the server's own mapping is left as it was."""
    given = {"type": "websocket"}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scope["user"] = "u-7"
        mine: Scope = scope[SCOPE]
        assert current_scope() is mine
        assert mine.context.units == {"user": "u-7"}

    await RolloutMiddleware(app, client, visitor)(given, nothing, into_nothing)
    assert given == {"type": "websocket"}


async def test_lifespan_has_no_scope(client: RulesetClient) -> None:
    """It is no request, and lasts as long as the process."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert current_scope() is None
        assert SCOPE not in scope

    await RolloutMiddleware(app, client, visitor)({"type": "lifespan"}, nothing, into_nothing)


async def test_what_the_application_raises_is_passed_on_and_nothing_is_left(client: RulesetClient) -> None:
    """The next request on this task begins clean."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await RolloutMiddleware(app, client)({"type": "http"}, nothing, into_nothing)
    assert current_scope() is None


async def test_a_context_function_that_raises_breaks_no_request(client: RulesetClient) -> None:
    """The context is empty, the answer is given."""
    sent: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scope[SCOPE].enabled("checkout")
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Message) -> None:
        sent.append(message)

    await RolloutMiddleware(app, client, visitor)({"type": "http"}, nothing, send)  # no "user": KeyError
    assert sent == [{"type": "http.response.start", "status": 200}]
