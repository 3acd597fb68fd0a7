"""Diagnose: everything that will hurt later, with what to do now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.status import is_expired
from rollout_server.app.tokens import is_standing, list_tokens
from rollout_server.domain.history import difference
from rollout_server.domain.resources import Kind
from rollout_server.errors import RolloutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet

DISK_FREE_BYTES_MIN = 512 * 1024 * 1024
TOKEN_WARN_MS = 30 * 86_400_000
CLOCK_TOLERANCE_MS = 5_000
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `main` knows of the store and the host.

    Attributes:
        durability: how durable an acknowledged write is, in words: "SQLite, WAL, synchronous=FULL".
        is_durable: whether an acknowledged write survives a loss of power.
        disk_free_bytes: where the journal lives; None where it lives on no disk.
        failover: what a failover of the store to a copy may lose; empty where there is none to fail over to.
        failover_cure: what to do about it; empty where nothing is lost.
    """

    durability: str
    is_durable: bool
    disk_free_bytes: int | None = None
    failover: str = ""
    failover_cure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        hint: what to do; empty when ok.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


async def diagnose(environment: Environment, fleet: Fleet, surroundings: Surroundings) -> tuple[Check, ...]:
    """Run every check; one that cannot be made is not ok, and the others are made all the same."""
    return (
        _durability(surroundings),
        *_failover(surroundings),
        _disk(surroundings),
        await _journal(environment),
        _clock(environment),
        await _rules(environment),
        *_instances(fleet),
        _flags(environment),
        _tokens(environment),
    )


def _check(name: str, wrong: bool, detail: str, hint: str) -> Check:  # noqa: FBT001 - read as a sentence where it is called
    return Check(name, not wrong, detail, hint if wrong else "")


def _durability(surroundings: Surroundings) -> Check:
    hint = "an acknowledged change can be lost: use a store that syncs each write (docs/redis.md)"
    return _check("durability", not surroundings.is_durable, surroundings.durability, hint)


def _failover(surroundings: Surroundings) -> tuple[Check, ...]:
    cure = surroundings.failover_cure
    return (Check("failover", not cure, surroundings.failover, cure),) if surroundings.failover else ()


def _disk(surroundings: Surroundings) -> Check:
    free = surroundings.disk_free_bytes
    if free is None:
        return Check("disk", ok=True, detail="the journal lives on no disk of this host")
    hint = "free some space: on a full disk no change can be written, kill included; what is served goes on"
    return _check("disk", free < DISK_FREE_BYTES_MIN, f"{free // (1024 * 1024)} MiB free beside the journal", hint)


async def _journal(environment: Environment) -> Check:
    """The end of the chain and the state beside it, against memory; `audit verify` walks all of it."""
    try:
        stored = await environment.journal.load()
    except RolloutError as error:
        hint = error.hint or "look at the server's log"
        return Check("journal", ok=False, detail=f"it cannot be read: {error}", hint=hint)
    memory = environment.state
    behind = stored.position.revision - memory.position.revision
    is_torn = stored.position == memory.position and difference(stored, memory) != ()
    is_wrong = is_torn or not environment.is_following
    detail = f"revision {stored.position.revision}, digest {stored.position.digest.hex()[:12]}"
    if behind:
        detail += f"; this server stands at {memory.position.revision}"
    hint = "run `rollout audit verify`, and restart this server if the journal is intact"
    return _check("journal", is_wrong, detail, hint)


def _clock(environment: Environment) -> Check:
    behind_ms = environment.state.at_ms - environment.clock.now_ms()
    detail = "not behind the newest entry" if behind_ms <= 0 else f"{behind_ms} ms behind the newest entry"
    hint = "set the clock of this host (NTP): expiry of tokens and the times of entries follow it"
    return _check("clock", behind_ms > CLOCK_TOLERANCE_MS, detail, hint)


async def _rules(environment: Environment) -> Check:
    moment = await environment.moment()
    quarantined = sorted(moment.compiled.quarantined)
    detail = f"all {len(moment.ruleset.flags)} flags compile" if not quarantined else _named(quarantined)
    return _check("rules", bool(quarantined), detail, "`rollout revert` the change that brought them; SDKs refuse them")


def _instances(fleet: Fleet) -> tuple[Check, ...]:
    seen = fleet.summary()
    stale = "`rollout sdks` shows each; one that stays behind may be cut off or out of memory"
    refused = "`rollout sdks` has the errors; upgrade these SDKs or revert the change that they cannot read"
    gone = "`rollout sdks` shows since when; they may still serve what they last heard"
    unheard = "until they are, no certificate is complete: see that those servers run and reach the same store"
    return (
        _check("sdks behind", seen.behind > 0, f"{seen.behind} of {seen.connected} connected", stale),
        _check("sdks quarantined", bool(seen.quarantined), _named(seen.quarantined), refused),
        _check("sdks unreachable", bool(seen.unreachable), _named(seen.unreachable), gone),
        *((_check("servers unheard", True, _named(seen.unheard), unheard),) if seen.unheard else ()),
    )


def _flags(environment: Environment) -> Check:
    now_ms = environment.clock.now_ms()
    expired = sorted(
        id_.key
        for id_, resource in environment.state.resources.items()
        if id_.kind is Kind.FLAG and is_expired(resource, now_ms)
    )
    return _check(
        "flags expired", bool(expired), _named(expired), "remove them from code and files, or give a new date"
    )


def _tokens(environment: Environment) -> Check:
    soon_ms = environment.clock.now_ms() + TOKEN_WARN_MS
    ending = [
        f"{view.id} ({view.role}, {view.person})"
        for view in list_tokens(environment)
        if is_standing(environment, view.id) and view.expires_at_ms < soon_ms
    ]
    hint = "make new ones with `rollout token create` and put them in place before these end"
    return _check("tokens ending", bool(ending), f"within 30 days: {_named(ending)}", hint)


def _named(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more
