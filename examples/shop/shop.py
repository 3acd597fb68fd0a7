"""A small shop that asks Rollout Guard what to serve. It uses the SDK as any service would.

Start it with `ROLLOUT_SERVER=localhost:7070 ROLLOUT_TOKEN=... python shop.py --port 8000`. Who asks is in the query:
/checkout?user=user-42&country=TH&plan=pro. The shop never waits for the flag server: it starts without one, and goes on
deciding with the last known rules when the server is away.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from rollout_sdk import Client, Context

if TYPE_CHECKING:
    from starlette.requests import Request

PRODUCTS = [f"{colour} {thing}" for thing in ("kettle", "lamp", "chair", "mug", "clock") for colour in ("red", "blue")]

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title>
<style>body{{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}}
.banner{{background:#fde68a;padding:.5rem 1rem;border-radius:.5rem}}small{{color:#666}}</style>
<p class="banner">{banner}</p><h1>Hello {user}</h1><ul>{products}</ul>
<p><strong>{checkout}</strong> <small>checkout-v2: {variant} because of {reason}, revision {revision}</small></p>"""


def build(client: Client) -> Starlette:
    """Return the shop's application, deciding with this client."""

    def context(request: Request) -> Context:
        query = request.query_params
        return Context(query.get("user", "guest"), country=query.get("country", "TH"), plan=query.get("plan", "free"))

    async def home(request: Request) -> HTMLResponse:
        who = context(request)
        decision = client.decide("checkout-v2", who)
        limit = client.integer("page-limit", who, default=5)
        return HTMLResponse(
            PAGE.format(
                banner=html.escape(client.string("banner", who, default="Welcome")),
                user=html.escape(request.query_params.get("user", "guest")),
                products="".join(f"<li>{name}" for name in PRODUCTS[:limit]),
                checkout="One-click checkout" if decision.value is True else "Checkout in three steps",
                variant=decision.variant,
                reason=decision.reason.value,
                revision=decision.revision,
            )
        )

    async def checkout(request: Request) -> JSONResponse:
        decision = client.decide("checkout-v2", context(request), default=False)
        return JSONResponse(
            {
                "checkout": "one click" if decision.value is True else "three steps",
                "variant": decision.variant,
                "reason": decision.reason.value,
                "revision": decision.revision,
                "stale": decision.stale,
            }
        )

    async def products(request: Request) -> JSONResponse:
        who = context(request)
        limit = client.integer("page-limit", who, default=5)
        ranking = client.string("recommendations", who, default="popular")
        return JSONResponse({"products": PRODUCTS[:limit], "ranking": ranking})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        client.close()

    routes = [Route("/", home), Route("/checkout", checkout), Route("/products", products)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="An example shop on Rollout Guard")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="shop: %(message)s")
    uvicorn.run(build(Client.from_env()), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
