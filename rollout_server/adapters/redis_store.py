"""One Redis, and the environments in it: opened whole or refused with the reason."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters import redis_telemetry_backup
from rollout_server.adapters.backup_file import Part, Sources, write
from rollout_server.adapters.redis_address import make_pool, read_address
from rollout_server.adapters.redis_fleet import RedisReplicas
from rollout_server.adapters.redis_ground import Ground
from rollout_server.adapters.redis_journal import RedisJournal
from rollout_server.adapters.redis_lease import TERM_MS, RedisLease
from rollout_server.adapters.redis_link import RedisLink, Wait
from rollout_server.adapters.redis_notes import RedisNotes
from rollout_server.adapters.redis_refusals import may_pass
from rollout_server.adapters.redis_restore import RESTORING_HINT, fill
from rollout_server.adapters.redis_rows import FORMAT, NO_MARKS, key_mark, meta_key
from rollout_server.adapters.redis_safety import look, refuse
from rollout_server.adapters.redis_telemetry import RedisTelemetry, open_telemetry
from rollout_server.domain.checkpoint import SERVER_KEY_BYTES
from rollout_server.domain.journal import GENESIS_DIGEST
from rollout_server.errors import Corrupt, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rollout_server.adapters.redis_restore import Filled
    from rollout_server.adapters.redis_safety import Safety
    from rollout_server.ports import Clock

_SCANS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach a Redis, and what to ask of it.

    Attributes:
        url: as `redis_address.read_address` reads it; may hold a password.
        tls_ca: PEM file of the authority of its certificate.
        wait: for replicas, after each commit.
        accept_data_loss: serve from a Redis that can lose acknowledged changes.
        restore: a backup with which an empty Redis is filled first.
    """

    url: str
    tls_ca: Path | None = None
    wait: Wait = field(default_factory=Wait)
    accept_data_loss: bool = False
    restore: Path | None = None

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"RedisOptions({read_address(self.url).where})"


async def why_away(options: RedisOptions) -> Unavailable | None:
    """Ask a Redis whether it is there; return why not, if waiting may help.

    None says that it is to be opened: it answers, or refuses for a reason that opening it tells.

    Raises:
        InvalidInput: the address is none.
    """
    address = read_address(options.url)
    link = RedisLink(make_pool(address, options.tls_ca), address.where, options.wait)
    try:
        await link.command("PING")
    except Unavailable as error:
        return error if may_pass(error) else None
    finally:
        await link.close()
    return None


async def open_redis(options: RedisOptions, environments: Iterable[str], *, key: bytes, clock: Clock) -> RedisStore:
    """Open a Redis, and make the environments that are not in it.

    Args:
        options: where it is.
        environments: names; those that it holds beyond them are left alone.
        key: of all servers that share it, `SERVER_KEY_BYTES` or more: it signs checkpoints.
        clock: remembers idempotency keys for 7 days of its time.

    Raises:
        InvalidInput: the address is none.
        Refused: it can lose acknowledged changes ("redis-unsafe"), cannot be used at all (as `redis_safety.look`),
            holds data of a later release ("store-format"), of another environment ("store-environment"), of servers
            with another key ("server-key"), or keys of another program ("store-foreign").
        Corrupt, NotFound, Refused: the backup cannot be used, or is not to be, as `redis_restore.fill` says.
        Unavailable: it is away.
        ValueError: the key is too short.
    """
    if len(key) < SERVER_KEY_BYTES:
        raise ValueError(f"a server's key has at least {SERVER_KEY_BYTES} bytes, this one has {len(key)}")
    address = read_address(options.url)
    link = RedisLink(make_pool(address, options.tls_ca), address.where, options.wait)
    try:
        refuse(await look(link), link.where, accept_data_loss=options.accept_data_loss)
        names, filled = tuple(environments), None
        if options.restore is not None:
            filled = await fill(link, options.restore, names, key)
        for name in names:
            await _open_environment(link, name, key_mark(key))
        return RedisStore(link, names, key, clock, filled)
    except BaseException:
        await link.close()
        raise


async def open_standing(options: RedisOptions, environment: str, clock: Clock) -> tuple[RedisStore, Safety]:
    """Open one environment that is there already, without the servers' key: to read and to commit, and no more.

    Nothing is made. What a Redis may lose is returned, not refused: whoever comes here has no server left, and a
    change that can be lost is better than none.

    Raises:
        NotFound: there is no such environment; the hint names those that there are.
        Corrupt, InvalidInput, Refused, Unavailable: as `open_redis`, but for "redis-unsafe" and "server-key".
    """
    address = read_address(options.url)
    link = RedisLink(make_pool(address, options.tls_ca), address.where, options.wait)
    try:
        safety = await look(link)
        await _open_environment(link, environment, None)
        return RedisStore(link, (environment,), b"", clock), safety
    except BaseException:
        await link.close()
        raise


class RedisStore:
    """One open Redis.

    Attributes:
        filled: what a backup has filled at this start; None where none was restored.
    """

    def __init__(
        self,
        link: RedisLink,
        environments: tuple[str, ...],
        key: bytes,
        clock: Clock,
        filled: Filled | None = None,
    ) -> None:
        self.link = link
        self.clock = clock
        self.environments = environments
        self.filled = filled
        self._open = set(environments)
        grounds = {name: Ground(link, name, key, clock) for name in environments}
        whole = tuple(grounds.values())
        self._journals = {
            name: RedisJournal(ground, whole, partial(self.release, name)) for name, ground in grounds.items()
        }

    def journal(self, environment: str) -> RedisJournal:
        """Return one environment's journal, the same object each time.

        Raises:
            NotFound: the store was not opened for it.
        """
        if environment not in self._journals:
            raise NotFound("environment", environment, f"there are: {', '.join(sorted(self._journals)) or 'none'}")
        return self._journals[environment]

    def lease(self, environment: str, term_ms: int = TERM_MS) -> RedisLease:
        """Return a holder of the environment's lease."""
        return RedisLease(self.link, environment, self.clock, term_ms)

    def notes(self, environment: str) -> RedisNotes:
        """Return the notes that the environment's servers share."""
        return RedisNotes(self.link, environment)

    def replicas(self, environment: str) -> RedisReplicas:
        """Return a server of this environment, a new one each time."""
        return RedisReplicas(self.link, environment, self.clock)

    async def telemetry(self, environment: str, window_ms: int) -> RedisTelemetry:
        """Return one environment's telemetry store, made where there is none; raises as `open_telemetry`."""
        return await open_telemetry(self.link, environment, window_ms)

    async def backup(self, target: Path) -> None:
        """Write a backup of every environment; see `backup_file.write`, which also says what it raises."""
        lengths: dict[str, int] = {}

        async def telemetry(path: Path) -> None:
            lengths.update(await redis_telemetry_backup.write(self.link, self.environments, path))

        async def parts() -> dict[str, Part]:
            notes = {name: await self.link.command("HGET", _notes_key(name), "body") for name in self.environments}
            return {name: Part(lengths[name], note) for name, note in notes.items()}

        async def journal(path: Path) -> None:
            await self.journal(self.environments[0]).backup(path)

        await write(Sources(telemetry, parts, journal), target, self.clock)

    async def is_led(self, environment: str) -> bool:
        """Whether somebody holds the environment's lease, or died within its term."""
        return bool(await self.link.command("EXISTS", meta_key(environment).removesuffix("meta") + "lease"))

    async def safety(self) -> Safety:
        """Look again at what may be lost."""
        return await look(self.link)

    async def release(self, environment: str) -> None:
        """Note that a journal was closed; the last one closes the connections."""
        self._open.discard(environment)
        if not self._open:
            await self.link.close()

    async def close(self) -> None:
        """End the tails, let go of every connection. May be called twice."""
        for journal in self._journals.values():
            await journal.close()
        await self.link.close()


def _notes_key(environment: str) -> str:
    return meta_key(environment).removesuffix("meta") + "notes"


async def _open_environment(link: RedisLink, name: str, mark: str | None) -> None:
    """Make the environment where there is none, and refuse what is not ours; without a mark, only refuse."""
    key = meta_key(name)
    arguments = (name, FORMAT, mark or "", secrets.token_hex(16), GENESIS_DIGEST, NO_MARKS, int(mark is not None))
    found = await link.ask(scripts.OPEN, key, *arguments)
    words = [word.decode("utf-8", "replace") for word in found]
    if words[0] == "restoring":
        what = f"{link.where}: environment {name} is being restored, or the restore of it was interrupted"
        raise Refused("store-restoring", what, RESTORING_HINT)
    if words[0] == "absent":
        known = await _environments(link)
        raise NotFound("environment", name, f"{link.where} holds {', '.join(known) or 'none'}")
    if words[0] == "type":
        hint = "choose another database in redis_url, or move those keys away; nothing was touched"
        raise Refused("store-foreign", f"{link.where}: the key {words[1]} is a {words[2]} of another program", hint)
    if words[0] == "foreign":
        hint = "bring back the whole data set, or choose another database in redis_url; nothing was touched"
        raise Refused("store-foreign", f"{link.where}: {words[1]} is there, and what belongs to it is not", hint)
    if not words[0].isdigit():
        raise Corrupt(key, f"its format is {words[0]!r}", "restore a backup into an empty Redis")
    if int(words[0]) > FORMAT:
        what = (
            f"{link.where}: environment {name} was written by a later release (format {words[0]}; this one: {FORMAT})"
        )
        raise Refused("store-format", what, "start that release, or restore a backup that was made before the upgrade")
    if words[1] != name:
        hint = "keys were copied or renamed: bring them back under their own name; nothing was touched"
        raise Refused("store-environment", f"{link.where}: {key} holds the environment {words[1]!r}", hint)
    if mark is not None and words[2] != mark:
        hint = "copy the file `server-key` of the first server into the data directory of this one"
        raise Refused("server-key", f"{link.where}: environment {name} is served under another server key", hint)


async def _environments(link: RedisLink) -> list[str]:
    """Return the environments there are, as far as a limited look finds them: a Redis may hold anything besides."""
    before, after = meta_key("\n").split("\n")
    cursor, names = b"0", set[str]()
    for _ in range(_SCANS_MAX):
        cursor, found = await link.command("SCAN", cursor, "MATCH", meta_key("*"), "COUNT", 1_000)
        names |= {name.decode("utf-8", "replace").removeprefix(before).removesuffix(after) for name in found}
        if cursor == b"0":
            break
    return sorted(names)
