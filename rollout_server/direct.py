"""Composition without a server: what must work straight on the store when none is left.

The same use case over the same adapters as in a server, so that there is one road into the journal and no second one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from rollout_sdk.engine.problems import Problem
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.app.actor import Actor
from rollout_server.app.environment import Environment
from rollout_server.app.history import ToldEntry, tell
from rollout_server.app.kill import Kill, kill
from rollout_server.domain.resources import FlagSpec, Kind, ResourceId
from rollout_server.domain.rights import Role
from rollout_server.errors import InvalidInput
from rollout_server.logs import configure
from rollout_server.settings import Settings, load
from rollout_server.stores import open_standing

if TYPE_CHECKING:
    from rollout_server.app.kill import Killed

PERSON_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class DirectKill:
    """A kill without a server.

    Attributes:
        store: address of a Redis, or a data directory; empty takes what the settings of a server would.
        environment: empty takes the only one that the settings name.
        person: who answers for it.
        os_user: who runs this process; as a rule the same.
    """

    command: Kill
    store: str
    environment: str
    person: str
    os_user: str


@dataclass(frozen=True, slots=True)
class DirectlyKilled:
    """What came of it.

    Attributes:
        off: the variant that the flag serves from now on.
        told: the entry that was written; None where the flag was killed already.
        version: of the flag.
        where: the store, for people.
        is_served: whether a server uses the store, or did until a moment ago, as far as can be known.
        dangers: why the store may lose it again.
    """

    environment: str
    off: str
    killed: Killed
    told: ToldEntry | None
    version: int
    where: str
    is_served: bool
    dangers: tuple[str, ...]


def kill_directly(wanted: DirectKill) -> DirectlyKilled:
    """Kill a flag on the store itself.

    Raises:
        InvalidInput: settings, the address, the environment or the person make no sense.
        NotFound: there is no such store, environment or flag.
        Conflict: the idempotency key was used for another request.
        Refused: the store is not to be used: the rule says why, the hint what to do.
        Corrupt: it is damaged.
        Unavailable, Unknown: it cannot be reached; or it may be written, and it may not.
    """
    if not structlog.is_configured():
        configure("error")
    return asyncio.run(_kill(wanted))


async def _kill(wanted: DirectKill) -> DirectlyKilled:
    settings = _settings(wanted.store)
    name, actor = _environment(settings, wanted.environment), _actor(wanted)
    store = await open_standing(settings, name, SystemClock())
    environment = Environment(store.journal, SystemClock())
    try:
        await environment.start()
        killed = await kill(environment, wanted.command, actor)
        flag = environment.resource(ResourceId(Kind.FLAG, wanted.command.flag))
        return DirectlyKilled(
            environment=name,
            off=flag.spec.off if flag is not None and isinstance(flag.spec, FlagSpec) else "off",
            killed=killed,
            told=await _told(environment, killed),
            version=flag.version if flag is not None else 0,
            where=store.where,
            is_served=store.is_served,
            dangers=store.dangers,
        )
    finally:
        await environment.close()
        await store.close()


async def _told(environment: Environment, killed: Killed) -> ToldEntry | None:
    if killed.entry is None:
        return None
    if environment.before(killed.entry.revision) is None:  # a repeat: what it changed is past looking up without a key
        return ToldEntry(killed.entry, ())
    (told,) = await tell(environment, [killed.entry])
    return told


def _settings(store: str) -> Settings:
    """Return the settings of a server that would serve this store: the rest comes from ROLLOUT_* and their file."""
    if "://" in store:
        return load({"redis_url": store})
    settings = load()
    # A copy is not checked again: what goes with a Redis means nothing for a directory, and does no harm.
    return settings.model_copy(update={"data": Path(store), "redis_url": None}) if store else settings


def _environment(settings: Settings, wanted: str) -> str:
    if wanted:
        return wanted
    if len(settings.environments) > 1:
        message = f"there are several environments and none is chosen: {', '.join(settings.environments)}"
        raise InvalidInput([Problem("", "environment", "not_chosen", message, "add --environment NAME")])
    return settings.environments[0]


def _actor(wanted: DirectKill) -> Actor:
    person, os_user = wanted.person.strip(), wanted.os_user
    if not person or len(person) > PERSON_CHARACTERS_MAX or not person.isprintable():
        hint = f"give an address or a name, one visible line of at most {PERSON_CHARACTERS_MAX} characters"
        raise InvalidInput([Problem("", "as", "bad_person", "it needs somebody who answers for it", hint)])
    how = "direct" if person == os_user else f"direct, as {os_user}"
    return Actor(person, how, Role.OPERATOR)
