"""One copy of the demo's shop: decides two flags for each visitor, and records how the visit went.

Every visit takes some 20 ms and fails now and then. `instant-search` makes it slower and fail more often: that is the
bug of that release. While the file OUTAGE exists, the shop's payment provider is away: visits fail whoever they are of.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from rollout_sdk import Client, Context

if TYPE_CHECKING:
    from starlette.requests import Request

FAILS, FAILS_SEARCHING, FAILS_IN_OUTAGE = 0.05, 0.15, 0.45
TAKES_S, TAKES_SEARCHING_S = 0.02, 0.05
CHANCE = random.SystemRandom()


def build(client: Client, is_out: Callable[[], bool]) -> Starlette:
    """Return the shop's application; `is_out` says whether the payment provider is away."""

    async def visit(request: Request) -> JSONResponse:
        began = time.perf_counter()
        with client.scope(Context(request.query_params["user"])) as scope:
            checkout = scope.enabled("one-page-checkout")
            search = scope.enabled("instant-search")
            await asyncio.sleep((TAKES_SEARCHING_S if search else TAKES_S) * CHANCE.lognormvariate(0, 0.3))
            fails = FAILS_IN_OUTAGE if is_out() else FAILS_SEARCHING if search else FAILS
            failed = CHANCE.random() < fails
            scope.record("shop.failed", failed)
            scope.record("shop.latency", time.perf_counter() - began)
        return JSONResponse({"checkout": checkout, "search": search, "failed": failed})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(routes=[Route("/visit", visit)], lifespan=lifespan)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="One copy of the demo's shop")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="shop: %(message)s")
    outage = Path(os.environ["OUTAGE"])
    uvicorn.run(build(Client.from_env(), outage.exists), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
