"""Composition of a relay: the gRPC port and what is around it, an upstream, and no store."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.adapters.grpc_upstream import GrpcUpstream, UpstreamAddress
from rollout_server.adapters.shelf_file import ShelfFile
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.adapters.upstream_refusals import UpstreamTls
from rollout_server.api import http
from rollout_server.api.calls import Calls
from rollout_server.api.delivery import Delivery
from rollout_server.api.forwarding import Forwarding, NoControl, RelayDoor
from rollout_server.api.relay_metrics import RelaySources, relay_metrics
from rollout_server.api.server import GrpcServer
from rollout_server.app.follow_upstream import FollowUpstream, recall_relayed
from rollout_server.app.keep_relayed import keep_relayed
from rollout_server.app.pass_on_reports import PassOnReports
from rollout_server.app.relayed import Relayed
from rollout_server.hosting import Phase, address_of, certificates_of, in_background, pace_of, stop, with_port
from rollout_server.logs import get_logger
from rollout_server.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rollout_server.settings import Settings


@dataclass(frozen=True, slots=True)
class RunningRelay:
    """A relay that answers; names as in `main.Running`.

    Attributes:
        relayed: what it serves.
        reports: what it passes on.
    """

    settings: Settings
    address: str
    http_address: str
    relayed: Relayed
    reports: PassOnReports
    broken: asyncio.Event


@asynccontextmanager
async def start_relay(settings: Settings) -> AsyncIterator[RunningRelay]:
    """Run a relay in this event loop. It answers at once, whether or not upstream is there.

    Raises:
        Corrupt: what an earlier run kept is damaged, or of another environment.
        InvalidInput: a certificate cannot be used.
        Unavailable: a port cannot be opened.
    """
    async with AsyncExitStack() as stack:
        certificates = certificates_of(settings)
        listening = stack.enter_context(http.listen(settings.http_listen)) if settings.http_listen else None
        (name,) = settings.environments
        relayed = Relayed(name, SystemClock(), settings.instances_max)
        shelf = ShelfFile(settings.data.expanduser() / f"relay-{name}")
        kept = await recall_relayed(relayed, shelf)
        if kept is not None:
            get_logger().info("serving what an earlier run heard", environment=name, revision=kept.revision)
        upstream = GrpcUpstream(_upstream_of(settings))
        reports = PassOnReports(upstream)
        phase = Phase()
        metrics = relay_metrics(RelaySources(relayed, reports, certificates))
        if listening is not None:
            has_metrics = settings.metrics_public or is_loopback(settings.http_listen)
            routes = http.application(metrics, phase.why_not_ready, has_metrics=has_metrics)
            await stack.enter_async_context(http.serving(routes, listening))
        calls = Calls(settings.streams_max, settings.streams_per_token_max)
        delivery = Delivery({name: relayed}, pace_of(settings), metrics)
        broken = asyncio.Event()
        following = FollowUpstream(relayed, upstream, settings.relay_name or socket.gethostname())
        for work in (
            calls.keep_cutting(),
            delivery.keep_speaking(),
            following.keep_following(),
            keep_relayed(relayed, shelf),
            _be_ready(phase, relayed),
        ):
            in_background(stack, work, broken)
        door = RelayDoor(relayed, calls, metrics, settings.upstream)
        server = GrpcServer(door, NoControl(), delivery, Forwarding(reports), settings.streams_max)  # type: ignore[abstract] # the door answers for it
        port = await server.start(settings.listen, certificates)
        stack.push_async_callback(stop, settings, server, (relayed.fan_out,), phase)
        yield RunningRelay(
            settings=settings,
            address=with_port(settings.listen, port),
            http_address=address_of(listening, settings.http_listen),
            relayed=relayed,
            reports=reports,
            broken=broken,
        )


async def _be_ready(phase: Phase, relayed: Relayed) -> None:
    """Get traffic once there is something to serve."""
    phase.lacks = "upstream was never heard"
    while relayed.fan_out.held is None:
        await relayed.changed_from(relayed.changes)
    phase.lacks = ""


def _upstream_of(settings: Settings) -> UpstreamAddress:
    tls = UpstreamTls(settings.upstream_tls_ca, settings.upstream_tls_cert, settings.upstream_tls_key)
    token = settings.upstream_token.get_secret_value() if settings.upstream_token else ""
    return UpstreamAddress(
        settings.upstream, token, tls if settings.upstream_is_encrypted else None, is_loopback(settings.upstream)
    )
