"""Composition: the only module that builds adapters.

`serve` is the whole life of a server process. `start` is the same server inside somebody else's event loop: `rollout
dev` and the tests use it.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from rollout_server.adapters.notes_file import NotesFile
from rollout_server.adapters.prometheus import open_prometheus
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.api import http
from rollout_server.api.calls import Calls
from rollout_server.api.control import Control
from rollout_server.api.event_loop import ServerLoop
from rollout_server.api.interceptors import Door
from rollout_server.api.metrics import Sources, metrics_of
from rollout_server.api.relaying import RelayingDelivery
from rollout_server.api.server import GrpcServer
from rollout_server.api.telemetry import Telemetry
from rollout_server.app.actor import Actor
from rollout_server.app.compact import keep_compact
from rollout_server.app.end_changes import keep_ending
from rollout_server.app.environment import Environment
from rollout_server.app.first_token import write_first_token
from rollout_server.app.hold_lease import HoldLease
from rollout_server.app.ingest_telemetry import IngestTelemetry, pace
from rollout_server.app.keep_instances import keep_instances, recall_instances
from rollout_server.app.process_losses import ProcessLosses
from rollout_server.app.prune_telemetry import keep_pruned
from rollout_server.app.run_rollouts import controllers
from rollout_server.app.served import Served
from rollout_server.app.tokens import CreateToken, authenticate, create_token
from rollout_server.app.window_clock import WindowClock
from rollout_server.channels import notifiers
from rollout_server.domain.rights import Role
from rollout_server.errors import Forbidden
from rollout_server.hosting import Phase, address_of, certificates_of, in_background, pace_of, stop, with_port
from rollout_server.logs import configure, get_logger, without_message
from rollout_server.relay import start_relay
from rollout_server.settings import is_loopback, split_address
from rollout_server.stores import open_stores, wait_for_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping

    from rollout_server.app.notify import Notifier
    from rollout_server.app.run_rollouts import RunRollouts
    from rollout_server.app.share_fleet import ShareFleet
    from rollout_server.ports import TelemetryStore
    from rollout_server.settings import Settings
    from rollout_server.stores import Stores

_DAY_MS = 86_400_000
_FILES_BESIDES = 512
_EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - compared with, not listened on
_COLLECT_AFTER = (100_000, 50, 100)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Attributes:
        address: of the gRPC port, "127.0.0.1:40123".
        http_address: empty where HTTP is not served.
        served: environments by name.
        telemetry: what takes their reports, and holds their sums.
        rollouts: what drives their runs.
        notifiers: what tells people of them; none where the settings say so.
        first_tokens: environment to the file that holds its first admin token, where one was made just now.
        broken: set when something that must never end has ended by a bug; better no server than one that, say, cuts
            no revoked token any more.
    """

    settings: Settings
    address: str
    http_address: str
    served: Mapping[str, Served]
    telemetry: Mapping[str, IngestTelemetry]
    rollouts: Mapping[str, RunRollouts]
    notifiers: Mapping[str, Notifier]
    first_tokens: Mapping[str, Path]
    broken: asyncio.Event

    async def token(self, role: str, environment: str = "", person: str = "local") -> str:
        """Make a token and return its text; for whoever runs the server in their own process.

        Args:
            role: one of `Role`'s values.
            environment: the first of the settings unless given.
            person: who answers for it.
        """
        served = self.served[environment or self.settings.environments[0]]
        server = Actor("rollout-server", "local", Role.ADMIN)
        created = await create_token(served.environment, CreateToken(role, person), server)
        return created.secret

    def accepts(self, secret: str) -> bool:
        """Whether a token opens any environment served here, now."""
        try:
            authenticate((one.environment for one in self.served.values()), secret)
        except Forbidden:
            return False
        return True


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once.

    Raises:
        Corrupt: the store is damaged.
        InvalidInput: a certificate cannot be used.
        Unavailable: a port or the store cannot be opened.
    """
    configure(settings.log_level)
    _allow_files(settings.streams_max + _FILES_BESIDES)
    # With Python's own threshold the collector walks everything there is several times in each fan-out: 100 us a
    # stream instead of 30, measured with 3,000 streams.
    gc.set_threshold(*_COLLECT_AFTER)
    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_loop_error)
    stopping = asyncio.Event()

    def begin_to_stop(number: signal.Signals) -> None:
        get_logger().info("stopping", signal=number.name, within_ms=settings.drain_within_ms)
        stopping.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_to_stop, number)
    if not await _is_there(wait_for_store(settings), stopping):
        return
    async with start_relay(settings) if settings.upstream else start(settings) as running:
        first_tokens = running.first_tokens if isinstance(running, Running) else {}
        for environment, path in first_tokens.items():
            sys.stderr.write(_admin_token_sentence(environment, path, running.address, settings))
        get_logger().info(
            "serving",
            address=running.address,
            environments=list(settings.environments),
            path=str(settings.data),
        )
        signalled, broken = asyncio.create_task(stopping.wait()), asyncio.create_task(running.broken.wait())
        await asyncio.wait({signalled, broken}, return_when=asyncio.FIRST_COMPLETED)
        if running.broken.is_set():
            raise RuntimeError("background work broke; the log says where")
        broken.cancel()
    get_logger().info("stopped")


async def _is_there(waiting: Coroutine[object, object, None], stopping: asyncio.Event) -> bool:
    """Wait for the store, unless it is to stop before."""
    store, end = asyncio.create_task(waiting), asyncio.create_task(stopping.wait())
    await asyncio.wait({store, end}, return_when=asyncio.FIRST_COMPLETED)
    for task in (store, end):
        task.cancel()
    await asyncio.wait({store, end})
    if not store.cancelled():
        store.result()
    return not stopping.is_set()


@asynccontextmanager
async def start(settings: Settings) -> AsyncIterator[Running]:
    """Run a server in this event loop; it stops, within `drain_within_ms` and a little, when the context ends.

    Raises:
        Corrupt: the store is damaged.
        InvalidInput: a certificate cannot be used.
        Unavailable: a port or the store cannot be opened.
    """
    if not structlog.is_configured():
        configure(settings.log_level)
    async with AsyncExitStack() as stack:
        certificates = certificates_of(settings)
        listening = stack.enter_context(http.listen(settings.http_listen)) if settings.http_listen else None
        stores = await open_stores(settings, SystemClock())
        stack.push_async_callback(stores.close)
        served = await _open_environments(settings, stores, stack)
        telemetry = await _open_telemetry(settings, served, stores)
        source = await stack.enter_async_context(open_prometheus(*settings.prometheus))
        leases = await _hold_leases(served, stores, stack)
        fences = {name: lease.fence for name, lease in leases.items()}
        runs = controllers(served, telemetry, source, fences, settings.tick_ms)
        telling = notifiers(settings, served, telemetry, fences, stores.notes)
        first_tokens = await _first_tokens(settings, served)
        phase = Phase()
        metrics = metrics_of(Sources(served, telemetry, telling, runs, leases, stores.times, stores, certificates))
        if listening is not None:
            has_metrics = settings.metrics_public or is_loopback(settings.http_listen)
            routes = http.application(metrics, phase.why_not_ready, has_metrics=has_metrics)
            await stack.enter_async_context(http.serving(routes, listening))
        calls = Calls(settings.streams_max, settings.streams_per_token_max)
        delivery = RelayingDelivery(served, pace_of(settings), metrics)
        broken = asyncio.Event()
        chores = _chores(settings, served, telemetry)
        driving = (
            *(one.keep_holding() for one in leases.values()),
            *(one.keep_ticking() for one in runs.values()),
            *(one.keep_notifying() for one in telling.values()),
        )
        for work in (calls.keep_cutting(), delivery.keep_speaking(), *chores, *driving):
            in_background(stack, work, broken)  # ends after the port: the last word on each stream is said here
        for sharing in _sharing(served):
            stack.push_async_callback(sharing.end)
        door = Door({name: one.environment for name, one in served.items()}, calls, metrics)
        control = _control(settings, served, (runs, telling), stores)
        server = GrpcServer(door, control, delivery, Telemetry(telemetry), settings.streams_max)
        port = await server.start(settings.listen, certificates)
        stack.push_async_callback(stop, settings, server, [one.fan_out for one in served.values()], phase)
        phase.lacks = ""
        yield Running(
            settings=settings,
            address=with_port(settings.listen, port),
            http_address=address_of(listening, settings.http_listen),
            served=served,
            telemetry=telemetry,
            rollouts=runs,
            notifiers=telling,
            first_tokens=first_tokens,
            broken=broken,
        )


def _chores(
    settings: Settings, served: Mapping[str, Served], telemetry: Mapping[str, IngestTelemetry]
) -> Iterator[Coroutine[object, object, None]]:
    """Yield what is done besides answering, for as long as the server runs."""
    environments = [one.environment for one in served.values()]
    yield from (keep_instances(one.instances, _notes(settings, name)) for name, one in served.items())
    yield from (sharing.keep_sharing() for sharing in _sharing(served))
    yield from (ProcessLosses(served[n].fleet, t.store, t.clock).keep_counting() for n, t in telemetry.items())
    yield keep_pruned(telemetry.values())
    yield keep_ending(environments)
    yield keep_compact(environments, settings.history_keep_days * _DAY_MS)


def _sharing(served: Mapping[str, Served]) -> list[ShareFleet]:
    return [one.sharing for one in served.values() if one.sharing is not None]


async def _open_environments(settings: Settings, stores: Stores, stack: AsyncExitStack) -> dict[str, Served]:
    clock = SystemClock()
    served: dict[str, Served] = {}
    wait_ms, names = settings.change_wait_days * _DAY_MS, settings.environments
    for name in names:
        environment = Environment(stores.journal(name), clock, wait_ms, names)
        await environment.start()
        stack.push_async_callback(environment.close)
        one = Served(
            environment,
            renew_epoch_every_ms=settings.renew_epoch_every_ms,
            instances_max=settings.instances_max,
            replicas=stores.replicas(name),
            name=f"{socket.gethostname()}:{split_address(settings.listen)[1]}",
        )
        await one.fan_out.start()
        stack.callback(one.fan_out.close)
        await recall_instances(one.instances, _notes(settings, name))
        if one.sharing is not None:
            await one.sharing.begin()
        served[name] = one
    return served


async def _open_telemetry(
    settings: Settings, served: Mapping[str, Served], stores: Stores
) -> dict[str, IngestTelemetry]:
    clock = SystemClock()
    telemetry: dict[str, IngestTelemetry] = {}
    for name, one in served.items():
        store = await stores.telemetry(name)
        windows = WindowClock(clock, store.window_ms, await store.last_window())
        telemetry[name] = _ingest(one, store, windows, settings.report_every_ms)
    return telemetry


async def _hold_leases(served: Mapping[str, Served], stores: Stores, stack: AsyncExitStack) -> dict[str, HoldLease]:
    leases = {name: HoldLease(name, stores.lease(name), SystemClock()) for name in served}
    for lease in leases.values():
        await lease.look()
        stack.push_async_callback(lease.release)
    return leases


def _ingest(one: Served, store: TelemetryStore, clock: WindowClock, every_ms: int) -> IngestTelemetry:
    def report_every_ms() -> int:
        return pace(every_ms, one.instances.connected)

    return IngestTelemetry(store, clock, lambda: one.environment.ruleset, report_every_ms)


def _notes(settings: Settings, environment: str) -> NotesFile:
    return NotesFile(settings.data.expanduser() / f"instances-{environment}.json")


async def _first_tokens(settings: Settings, served: Mapping[str, Served]) -> dict[str, Path]:
    """Make each environment's first admin token; the first environment's file has the plain name."""
    made: dict[str, Path] = {}
    for name, one in served.items():
        suffix = "" if name == settings.environments[0] else f"-{name}"
        path = settings.data.expanduser() / f"first-admin-token{suffix}"
        if await write_first_token(one.environment, path, is_wanted=settings.new_admin_token):
            made[name] = path
    return made


def _control(
    settings: Settings,
    served: Mapping[str, Served],
    driving: tuple[Mapping[str, RunRollouts], Mapping[str, Notifier]],
    stores: Stores,
) -> Control:
    only = settings.environments[0] if len(settings.environments) == 1 else ""
    return Control(served, driving, stores.surroundings, (stores.backup, settings.backup_environment or only))


def _admin_token_sentence(environment: str, path: Path, address: str, settings: Settings) -> str:
    """Say how the first commands reach this server, from the machine that it runs on."""
    host, port = split_address(address)
    server = f"localhost:{port}" if host in _EVERYWHERE else address
    tls = ""
    if settings.tls_cert is not None:
        tls = " ROLLOUT_TLS_CA=FILE   # the authority of its certificate; ROLLOUT_TLS=yes where the system knows it"
    return (
        f"A new admin token of environment {environment} lies in {path}, readable by you alone.\n"
        f"  export ROLLOUT_SERVER={server} ROLLOUT_TOKEN=$(cat {path}){tls}\n"
        f"  rollout token create --role admin --person you@example.com   # then delete the file\n"
    )


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Whatever nobody caught: where it came from, never its message."""
    error = context.get("exception")
    told = without_message(error) if isinstance(error, BaseException) else {}
    get_logger().error("uncaught error in the event loop", **told)


def _allow_files(wanted: int) -> None:
    """Raise the soft limit of open files towards the hard one: every stream is a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
