"""Middleware under real servers, with requests that run side by side and stream."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from rollout_sdk import Context, current_scope
from rollout_sdk.middleware import asgi, wsgi
from rollout_sdk.testing import RulesetClient
from tests.small_server import free_port
from tests.telemetry_world import launch_ruleset

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from starlette.requests import Request

REQUESTS = 40
PARTS = 5


@pytest.fixture
def client() -> RulesetClient:
    return RulesetClient(launch_ruleset())


def ask(port: int, user: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers={"X-User": user})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def whose() -> str:
    """Deep code: it is given nothing, and knows whom the request is for."""
    scope = current_scope()
    return "nobody" if scope is None else scope.context.units.get("user", "nobody")


async def everybody_got_their_own(port: int) -> None:
    users = [f"u-{number}" for number in range(REQUESTS)]
    with ThreadPoolExecutor(REQUESTS) as pool:
        loop = asyncio.get_running_loop()
        bodies = await asyncio.gather(*(loop.run_in_executor(pool, ask, port, user) for user in users))
    assert bodies == [f"{user}\n" * PARTS for user in users]


def outcomes(client: RulesetClient) -> int:
    """How many errors were counted, each in the scope of its request."""
    return sum(
        sums.events["errors"].n.total()
        for arms in client._runtime.counting.rotate().runs.values()
        for key, sums in arms.items()
        if not key.recomputed and sums.events
    )


@asynccontextmanager
async def uvicorn_on(client: RulesetClient, page: Callable[[Request], object]) -> AsyncIterator[int]:
    """A real server with one page; its port."""

    def visitor(scope: dict[str, Any]) -> Context:
        return Context(dict(scope["headers"])[b"x-user"].decode())

    app = Starlette(routes=[Route("/", page)])
    app.add_middleware(asgi.RolloutMiddleware, client=client, context=visitor)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


async def test_asgi_under_uvicorn(client: RulesetClient) -> None:
    """Forty streams that take turns at every part; what runs after the answer is still in the scope."""

    async def page(_request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            client.enabled("checkout", Context(whose()))
            for _ in range(PARTS):
                await asyncio.sleep(0)
                yield f"{whose()}\n"

        async def afterwards() -> None:
            scope = current_scope()
            assert scope is not None
            scope.record("errors")

        return StreamingResponse(parts(), background=BackgroundTask(afterwards))

    async with uvicorn_on(client, page) as port:
        await everybody_got_their_own(port)
    assert outcomes(client) == REQUESTS


async def test_plain_functions_on_threads_of_the_framework(client: RulesetClient) -> None:
    """They inherit the scope of their request, and what they decide and record is its own."""

    def page(_request: Request) -> PlainTextResponse:
        scope = current_scope()
        assert scope is not None
        scope.enabled("checkout")
        scope.record("errors")
        return PlainTextResponse(f"{whose()}\n" * PARTS)

    async with uvicorn_on(client, page) as port:
        await everybody_got_their_own(port)
    assert outcomes(client) == REQUESTS


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


class Threading(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request."""

    daemon_threads = True
    request_queue_size = REQUESTS


async def test_wsgi_under_threads(client: RulesetClient) -> None:
    """Forty generators on forty threads; what is closed at the end is still in the scope."""

    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        client.enabled("checkout", Context(whose()))
        try:
            for _ in range(PARTS):
                yield f"{whose()}\n".encode()
        finally:
            scope = current_scope()
            assert scope is not None
            scope.record("errors")

    def visitor(environ: WSGIEnvironment) -> Context:
        return Context(environ["HTTP_X_USER"])

    server = Threading(("127.0.0.1", 0), Quiet)
    server.set_app(wsgi.RolloutMiddleware(app, client, visitor))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        await everybody_got_their_own(server.server_port)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
    assert outcomes(client) == REQUESTS
