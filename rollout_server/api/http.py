"""HTTP beside gRPC: is it alive, is it ready, what does it measure. No token, and nothing that would need one."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rollout_server.api.metrics import CONTENT_TYPE
from rollout_server.errors import Unavailable
from rollout_server.settings import split_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

    from rollout_server.api.metrics import Metrics

CONCURRENT_MAX = 256
KEEP_ALIVE_S = 5
SHUTDOWN_S = 1


def application(metrics: Metrics, why_not_ready: Callable[[], str], *, has_metrics: bool) -> Starlette:
    """Return the routes.

    Args:
        metrics: what /metrics tells.
        why_not_ready: empty while this server should get traffic; else one sentence without anything confidential.
        has_metrics: whether /metrics is served here.
    """

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(_request: Request) -> Response:
        why = why_not_ready()
        return PlainTextResponse(f"{why or 'ready'}\n", status_code=503 if why else 200)

    async def measured(_request: Request) -> Response:
        written = await asyncio.to_thread(metrics.look())
        return Response(written, media_type=CONTENT_TYPE)

    routes = [Route("/healthz", alive), Route("/readyz", ready)]
    if has_metrics:
        routes.append(Route("/metrics", measured))
    return Starlette(routes=routes)


def listen(address: str) -> socket.socket:
    """Bind the port before anything else is opened: a taken one is said at once.

    Raises:
        Unavailable: it cannot be bound.
    """
    host, port = split_address(address)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Unavailable(
            "port",
            f"the HTTP address {address} cannot be opened: {error.strerror}",
            "stop the program that holds it, or choose another address with --http-listen (ROLLOUT_HTTP_LISTEN)",
        ) from None


@asynccontextmanager
async def serving(routes: Starlette, listening: socket.socket) -> AsyncIterator[None]:
    """Answer on a socket that is bound and listens, until the context ends."""
    config = uvicorn.Config(
        routes,
        access_log=False,
        log_config=None,
        lifespan="off",
        limit_concurrency=CONCURRENT_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        ws="none",
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listening]), name="http")
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals: `main` decides when this process ends."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
