"""FastAPI with flags: `uvicorn app:app`, with ROLLOUT_SERVER and ROLLOUT_TOKEN set."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from rollout_sdk import Client, Context, Scope
from rollout_sdk.middleware.asgi import RolloutMiddleware

client = Client.from_env()


def visitor(scope: dict[str, Any]) -> Context:
    """Return whom a request is for; called once, by its first decision."""
    headers = Request(scope).headers
    return Context(headers.get("x-user"), country=headers.get("x-country"))


def flags(request: Request) -> Scope:
    """Return the scope of a request."""
    scope: Scope = request.scope["rollout"]
    return scope


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Report and say goodbye at the end."""
    yield
    await asyncio.to_thread(client.close)


app = FastAPI(lifespan=lifespan)
app.add_middleware(RolloutMiddleware, client=client, context=visitor)


@app.get("/checkout")
async def checkout(flags: Annotated[Scope, Depends(flags)]) -> dict[str, str]:
    """Serve one of two pages, and say how long it took."""
    began_s = time.perf_counter()
    page = "one click" if flags.enabled("checkout-v2") else "three steps"
    flags.record("checkout.latency", time.perf_counter() - began_s)
    flags.record("checkout.error_rate", value=False)
    return {"checkout": page}
