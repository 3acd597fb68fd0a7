"""Composition of what stores: one SQLite file each for one process, or one Redis for all of them."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rollout_server.adapters.backup_file import Part, Sources, write
from rollout_server.adapters.data_directory import held, is_held
from rollout_server.adapters.local_lease import LocalLease
from rollout_server.adapters.notes_file import NotesFile, OwnNotes
from rollout_server.adapters.redis_link import Wait
from rollout_server.adapters.redis_store import RedisOptions, open_redis, why_away
from rollout_server.adapters.redis_store import open_standing as open_standing_redis
from rollout_server.adapters.server_key import server_key
from rollout_server.adapters.sqlite_journal import open_standing as open_standing_file
from rollout_server.adapters.sqlite_journal import open_store
from rollout_server.adapters.sqlite_restore import place, take_apart
from rollout_server.adapters.sqlite_telemetry import open_telemetry
from rollout_server.app.diagnose import Surroundings
from rollout_server.app.time_store import StoreTimes, TimedJournal, TimedTelemetry
from rollout_server.errors import RolloutError, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from rollout_server.adapters.redis_safety import Safety
    from rollout_server.adapters.redis_store import RedisStore
    from rollout_server.adapters.sqlite_journal import SqliteStore
    from rollout_server.adapters.sqlite_restore import TakenApart
    from rollout_server.adapters.sqlite_telemetry import SqliteTelemetryFile
    from rollout_server.ports import Clock, FencedNotes, Journal, Lease, Replicas, TelemetryStore
    from rollout_server.settings import Settings

STORE_FILE = "rollout.db"
TELEMETRY_FILE = "telemetry.db"
KEY_FILE = "server-key"
SQLITE_DURABILITY = "SQLite, WAL, synchronous=FULL"
ASKED_EVERY_S = 1.0
"""How often a Redis that is away at the start is asked again."""

SAID_EVERY = 30
"""Of so many attempts one is told."""


class Stores(Protocol):
    """What the environments of a server are stored in.

    Attributes:
        times: what the calls took that went through what `journal` and `telemetry` return.
    """

    times: StoreTimes

    @property
    def durability(self) -> str:
        """How durable an acknowledged change is, in words, as of the start."""

    @property
    def is_durable(self) -> bool:
        """Whether it survives a loss of power, as of the start."""

    def journal(self, environment: str) -> Journal:
        """Return an environment's journal."""

    def lease(self, environment: str) -> Lease:
        """Return a holder of the lease of an environment."""

    def replicas(self, environment: str) -> Replicas | None:
        """Return this server's way to the others of an environment; None where there can be no others."""

    def notes(self, environment: str) -> FencedNotes:
        """Return what the holders of an environment's lease note for each other: who was told what."""

    async def telemetry(self, environment: str) -> TelemetryStore:
        """Return an environment's telemetry store.

        Raises:
            Unavailable: the store is away.
        """

    async def backup(self, target: Path) -> None:
        """Write all of it, sums and evidence included, into one file that either store can be restored from.

        Raises:
            Refused: "backup-target", there is such a file.
            Unavailable: the store is away, or the target cannot be written.
        """

    async def surroundings(self) -> Surroundings:
        """Look at what may be lost, now; never raises."""

    async def close(self) -> None:
        """Finish what was acknowledged and let go. May be called twice."""


_AWAY_HINT = "see that it runs, can be reached from here, and speaks TLS there where the address says rediss, else not"


async def wait_for_store(settings: Settings) -> None:
    """Return once the Redis that the settings name can be opened, or refuses for a reason that no waiting cures.

    Whoever starts a machine starts servers and Redis at once; and a server that ends each time is given up by its
    supervisor sooner or later, and is then not there when Redis is back.

    Raises:
        InvalidInput: the address is none.
    """
    if settings.redis_url is None:
        return
    options = _redis_options(settings, settings.redis_url.get_secret_value())
    attempts = 0
    while error := await why_away(options):
        if attempts % SAID_EVERY == 0:
            what = "waiting for Redis: nothing is served before it answers"
            get_logger().error(what, why=str(error), hint=_AWAY_HINT)
        attempts += 1
        await asyncio.sleep(ASKED_EVERY_S)
    if attempts:
        get_logger().warning("Redis answers", attempts=attempts)


async def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Open what the settings name.

    Raises:
        Corrupt: the store is damaged.
        InvalidInput: the address of Redis is none.
        NotFound: the backup to restore is not there, or holds none of the environments.
        Refused: the store is not to be used: the rule says why, the hint what to do.
        Unavailable: it cannot be reached, read or written.
    """
    data = settings.data.expanduser()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose another directory with --data (ROLLOUT_DATA), or let the server write there"
        raise Unavailable("data", f"the directory {data} cannot be made: {error.strerror}", hint) from None
    key = server_key(data / KEY_FILE)
    if settings.redis_url is not None:
        return await _open_redis(settings, settings.redis_url.get_secret_value(), key, clock)
    return _open_sqlite(settings, data, key, clock)


@dataclass(frozen=True, slots=True)
class StandingStore:
    """One environment of a store that was there already, opened beside or instead of its servers.

    Attributes:
        where: for people.
        is_served: whether a server uses it, or did until a moment ago, as far as can be known.
        dangers: why what is written may be lost again.
        close: lets go of it.
    """

    journal: Journal
    where: str
    is_served: bool
    dangers: tuple[str, ...]
    close: Callable[[], Awaitable[None]]


def is_in_use(data: Path) -> bool:
    """Return whether a server has its files in this directory and lives, as far as can be known."""
    return data.is_dir() and is_held(data)


async def open_standing(settings: Settings, environment: str, clock: Clock) -> StandingStore:
    """Open an environment of the store that the settings name; nothing is made, no server's key is needed.

    Raises:
        InvalidInput: the address of Redis is none.
        NotFound: there is no such store, or no such environment in it.
        Corrupt, Refused, Unavailable: as `open_stores`; but a Redis that can lose changes is not refused.
    """
    if settings.redis_url is not None:
        options = _redis_options(settings, settings.redis_url.get_secret_value())
        redis, safety = await open_standing_redis(options, environment, clock)
        dangers = tuple(what for what, _ in safety.dangers)
        is_led = await redis.is_led(environment)
        return StandingStore(redis.journal(environment), redis.link.where, is_led, dangers, redis.close)
    data = settings.data.expanduser()
    path = data / STORE_FILE
    file = open_standing_file(path, environment, clock)
    return StandingStore(file.journal(environment), str(path), is_held(data), (), file.close)


def _redis_options(settings: Settings, url: str) -> RedisOptions:
    return RedisOptions(
        url,
        tls_ca=settings.redis_tls_ca,
        wait=Wait(settings.redis_wait_replicas, settings.redis_wait_ms),
        accept_data_loss=settings.redis_accept_data_loss,
        restore=settings.restore.expanduser() if settings.restore else None,
    )


async def _open_redis(settings: Settings, url: str, key: bytes, clock: Clock) -> RedisStores:
    store = await open_redis(_redis_options(settings, url), settings.environments, key=key, clock=clock)
    if store.filled is not None:
        _tell_restored(settings, store.filled.environments, store.filled.left_out, store.filled.without_telemetry)
    safety = await store.safety()
    for what, cure in safety.dangers:
        get_logger().warning(
            "acknowledged changes can be lost, as redis_accept_data_loss says",
            why=what,
            hint=cure,
            store=store.link.where,
        )
    return RedisStores(store, settings, safety)


def _open_sqlite(settings: Settings, data: Path, key: bytes, clock: Clock) -> SqliteStores:
    path = data / TELEMETRY_FILE
    if settings.restore is not None:
        place(settings.restore, data / STORE_FILE, key)
    restored = take_apart(data / STORE_FILE, path, partial(_note_file, data))
    store = open_store(data / STORE_FILE, settings.environments, key=key, clock=clock)
    telemetry = open_telemetry(path, settings.environments, window_ms=settings.window_ms)
    if restored is not None:
        _tell_taken_apart(settings, restored)
    if telemetry.set_aside is not None:
        hint = "running rollouts gather their evidence anew; the flags are not touched"
        get_logger().error("the telemetry store was damaged and is set aside", path=str(telemetry.set_aside), hint=hint)
    return SqliteStores(store, telemetry, settings)


class SqliteStores:
    """Two files beside each other: changes in one, sums in the other. See `Stores`."""

    def __init__(self, store: SqliteStore, telemetry: SqliteTelemetryFile, settings: Settings) -> None:
        self.times = StoreTimes("sqlite")
        self._store = store
        self._telemetry = telemetry
        self._settings = settings
        self._holding = ExitStack()
        self._holding.enter_context(held(settings.data.expanduser()))

    @property
    def durability(self) -> str:
        """See `Stores`."""
        return SQLITE_DURABILITY

    @property
    def is_durable(self) -> bool:
        """See `Stores`."""
        return True

    def journal(self, environment: str) -> Journal:
        """See `Stores`."""
        return TimedJournal(self._store.journal(environment), self.times)

    def replicas(self, environment: str) -> None:
        """One process has its files for itself."""

    def lease(self, environment: str) -> Lease:
        """See `Stores`."""
        return LocalLease(self._store.journal(environment))

    def notes(self, environment: str) -> FencedNotes:
        """See `Stores`."""
        return OwnNotes(NotesFile(_note_file(self._settings.data.expanduser(), environment)))

    async def telemetry(self, environment: str) -> TelemetryStore:
        """See `Stores`."""
        return TimedTelemetry(_of_its_length(self._telemetry.store(environment), self._settings), self.times)

    async def backup(self, target: Path) -> None:
        """See `Stores`."""
        names, data = self._settings.environments, self._settings.data.expanduser()

        async def parts() -> dict[str, Part]:
            notes = {name: await asyncio.to_thread(_read_note, _note_file(data, name)) for name in names}
            return {name: Part(self._telemetry.window_ms, note) for name, note in notes.items()}

        journal = self._store.journal(names[0])
        await write(Sources(self._telemetry.copy, parts, journal.backup), target, self._store.clock)

    async def surroundings(self) -> Surroundings:
        """See `Stores`."""
        free_bytes = shutil.disk_usage(self._settings.data.expanduser()).free
        return Surroundings(SQLITE_DURABILITY, is_durable=True, disk_free_bytes=free_bytes)

    async def close(self) -> None:
        """See `Stores`."""
        await self._telemetry.close()
        await self._store.close()
        self._holding.close()


class RedisStores:
    """One Redis for everything. See `Stores`."""

    def __init__(self, store: RedisStore, settings: Settings, safety: Safety) -> None:
        self.times = StoreTimes("redis")
        self._store = store
        self._settings = settings
        self._safety = safety
        self.lease = partial(store.lease, term_ms=settings.lease_ms * 5 // 6)  # the rest is for others to find it over
        self.notes = store.notes
        self.replicas = store.replicas
        self.backup = store.backup

    @property
    def durability(self) -> str:
        """See `Stores`."""
        return self._safety.durability

    @property
    def is_durable(self) -> bool:
        """See `Stores`."""
        return self._safety.is_durable

    def journal(self, environment: str) -> Journal:
        """See `Stores`."""
        return TimedJournal(self._store.journal(environment), self.times)

    async def telemetry(self, environment: str) -> TelemetryStore:
        """See `Stores`."""
        store = await self._store.telemetry(environment, self._settings.window_ms)
        return TimedTelemetry(_of_its_length(store, self._settings), self.times)

    async def surroundings(self) -> Surroundings:
        """See `Stores`."""
        try:
            safety = await self._store.safety()
        except RolloutError as error:
            return Surroundings(f"{self._safety.durability}, when it was last seen; now: {error}", is_durable=False)
        return Surroundings(
            safety.durability,
            is_durable=safety.is_durable,
            failover=safety.failover,
            failover_cure=safety.failover_cure,
        )

    async def close(self) -> None:
        """See `Stores`."""
        await self._store.close()


def _note_file(data: Path, environment: str) -> Path:
    return data / f"notifications-{environment}.json"


def _read_note(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # nobody was told anything yet; and where it is lost, nobody is harmed


def _tell_taken_apart(settings: Settings, restored: TakenApart) -> None:
    if restored.damage:
        hint = "running rollouts gather their evidence anew; the flags are not touched"
        get_logger().error("a backup was restored without its telemetry", why=restored.damage, hint=hint)
    if restored.set_aside is not None:
        get_logger().warning("telemetry of the store before is set aside", path=str(restored.set_aside))
    if restored.left_out:
        hint = "its windows have another length than those of the first environment; it gathers its evidence anew"
        get_logger().warning("telemetry was not restored", environments=list(restored.left_out), hint=hint)
    names = settings.environments
    bare = tuple(name for name in names if name not in (*restored.environments, *restored.left_out))
    _tell_restored(settings, names, (), bare)


def _tell_restored(
    settings: Settings, environments: Iterable[str], left_out: Iterable[str], bare: Iterable[str]
) -> None:
    hint = "take the setting `restore` out again" if settings.restore else None
    get_logger().warning(
        "a backup was restored: its history is a new epoch", environments=list(environments), hint=hint
    )
    if bare := list(bare):
        hint = "rollouts under way in them gather their evidence anew"
        get_logger().warning("the backup holds no telemetry of these environments", environments=bare, hint=hint)
    if left_out := list(left_out):
        hint = "name them in `environments` and restore again into an empty Redis, if they are wanted here"
        get_logger().warning("the backup holds more environments", environments=left_out, hint=hint)


def _of_its_length(store: TelemetryStore, settings: Settings) -> TelemetryStore:
    if store.window_ms != settings.window_ms:
        get_logger().warning("windows keep the length they were made with", window_ms=store.window_ms)
    return store
