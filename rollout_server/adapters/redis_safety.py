"""Whether a Redis can lose what was acknowledged: looked at before the first write, and again by `rollout doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import NoPermissionError, ResponseError

from rollout_server.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.adapters.redis_link import RedisLink

VERSION_MIN = (7, 0)
_ASKED = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
OVERRIDE = "redis_accept_data_loss"


@dataclass(frozen=True, slots=True)
class Safety:
    """What was found.

    Attributes:
        durability: for people: "Redis 7.0.15, append-only file, appendfsync=everysec".
        is_durable: whether an acknowledged write survives a loss of power.
        dangers: why acknowledged writes can be lost for good, each with what to do; empty where none was found.
        failover: what a failover to a replica may lose, for people; empty where there is none to fail over to.
        failover_cure: what to do about it; empty where nothing is lost.
    """

    durability: str
    is_durable: bool
    dangers: tuple[tuple[str, str], ...]
    failover: str = ""
    failover_cure: str = ""


async def look(link: RedisLink) -> Safety:
    """Look at a Redis, and refuse one that cannot be used at all.

    Raises:
        Refused: "redis-version", "redis-cluster", "redis-replica".
        Unavailable: it is away.
    """
    info = _pairs((await link.command("INFO")).decode("utf-8", "replace"))
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < VERSION_MIN:
        raise Refused("redis-version", f"{link.where} is Redis {version}", "use Redis 7.0 or newer")
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        hint = "use a Redis without cluster mode, by itself or behind Sentinel: one environment is one log"
        raise Refused("redis-cluster", f"{link.where} runs in cluster mode", hint)
    if info.get("role") != "master":
        hint = "name the primary, or let Sentinels name it: redis+sentinel://HOST:PORT/SERVICE"
        raise Refused("redis-replica", f"{link.where} is a replica, which takes no writes", hint)
    return _judge(link, version, info, await _config(link))


def refuse(safety: Safety, where: str, *, accept_data_loss: bool) -> None:
    """Refuse a Redis that can lose acknowledged writes, unless somebody answers for it.

    Raises:
        Refused: "redis-unsafe", with every reason.
    """
    if safety.dangers and not accept_data_loss:
        reasons = "; ".join(what for what, _ in safety.dangers)
        cures = ", ".join(cure for _, cure in safety.dangers)
        hint = f"{cures} (docs/redis.md); {OVERRIDE} serves from it all the same"
        raise Refused("redis-unsafe", f"{where} can lose changes that were acknowledged: {reasons}", hint)


def _judge(link: RedisLink, version: str, info: Mapping[str, str], config: Mapping[str, str]) -> Safety:
    dangers: list[tuple[str, str]] = []
    has_log = info.get("aof_enabled") == "1"
    fsync = config.get("appendfsync", "")
    if not has_log:
        dangers.append(("it has no append-only file, so a restart loses the last changes", "set appendonly yes"))
    elif not fsync:
        what = "its user may not read the configuration, so nobody knows how it writes its append-only file"
        dangers.append((what, "allow the user CONFIG GET"))
    elif fsync == "no":
        dangers.append(("appendfsync is `no`: it never makes sure that a change is on disk", "set appendfsync always"))
    elif config.get("no-appendfsync-on-rewrite") == "yes":
        what = "no-appendfsync-on-rewrite is `yes`: for as long as it rewrites its file, changes are not on disk"
        dangers.append((what, "set no-appendfsync-on-rewrite no"))
    policy = info.get("maxmemory_policy") or config.get("maxmemory-policy", "")
    if policy != "noeviction":
        what = f"maxmemory-policy is `{policy}`: it throws keys away when its memory is full"
        dangers.append((what, "set maxmemory-policy noeviction"))
    is_durable = not dangers and fsync == "always"
    log = f"append-only file, appendfsync={fsync}" if has_log else "no append-only file"
    losses = "" if is_durable else f"; {_may_be_lost(fsync if has_log else '', is_evicting=policy != 'noeviction')}"
    told = f"Redis {version}, {log}{losses}"
    return Safety(told, is_durable, tuple(dangers), *_failover(link, int(info.get("connected_slaves", "0"))))


def _may_be_lost(fsync: str, *, is_evicting: bool) -> str:
    if is_evicting:
        return "everything may be lost when its memory is full"
    if fsync == "everysec":
        return "a loss of power may take the last second or two of changes"
    return "a restart may take changes that were acknowledged"


def _failover(link: RedisLink, there: int) -> tuple[str, str]:
    """Return what a failover may lose, and the cure."""
    wanted = link.wait.replicas
    if wanted > there:
        what = f"each change waits for {wanted} to confirm it, and {_replicas(there)} connected: so each one is unknown"
        return what, "bring the replicas of Redis back, or set redis_wait_replicas lower"
    if wanted:
        what = f"{wanted} of {there} replicas confirm each change before it is acknowledged"
        return f"{what}: a failover to one that has it loses nothing", ""
    if there or link.has_sentinels:
        what = "a failover may lose changes that were acknowledged in its last moment, kills and rollbacks too"
        cure = "set redis_wait_replicas to 1 (docs/redis.md)"
        return f"{_replicas(there)} connected and not waited for: {what}", cure
    return "", ""


def _replicas(count: int) -> str:
    return "1 replica is" if count == 1 else f"{count or 'no'} replicas are"


async def _config(link: RedisLink) -> Mapping[str, str]:
    try:
        found = await link.command("CONFIG", "GET", *_ASKED)
    except ResponseError:  # some hosts rename the command
        return {}
    except Unavailable as error:
        if isinstance(error.__cause__, NoPermissionError):
            return {}
        raise
    words = [word.decode("utf-8", "replace") for word in found]
    return dict(zip(words[::2], words[1::2], strict=True))


def _pairs(text: str) -> Mapping[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
