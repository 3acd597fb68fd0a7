"""Resources, drafts and stores, built in a line, for tests of the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.model import Json, ValueType, Variant
from rollout_server.adapters.redis_store import RedisOptions, RedisStore, open_redis
from rollout_server.adapters.sqlite_journal import SqliteStore, open_store
from rollout_server.domain.journal import Change, Draft, State
from rollout_server.domain.resources import (
    CohortSpec,
    CohortStatus,
    FlagSpec,
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    ResourceId,
)
from rollout_server.ports import Clock
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import KEY


def flag(key: str = "checkout", default: str = "off", *, killed: bool = False, value: Json = None) -> Resource:
    """A flag with the JSON variants on and off; `value` is what "on" stands for."""
    return Resource(
        Kind.FLAG,
        Metadata(key, owner="payments"),
        FlagSpec(ValueType.JSON, (Variant("on", value), Variant("off", {})), "off", default),
        FlagStatus(salt16(key), killed=killed),
    )


def cohort(key: str = "beta", *include: str) -> Resource:
    return Resource(Kind.COHORT, Metadata(key), CohortSpec(include=include), CohortStatus())


def flag_id(key: str = "checkout") -> ResourceId:
    return ResourceId(Kind.FLAG, key)


def draft(*resources: Resource | ResourceId, **more: Any) -> Draft:
    """A draft that writes these resources, and deletes those that are only named."""
    values: dict[str, Any] = {"reads": {}, "actor": "mia@example.com (a1b2c3d4)", "action": "apply", "at_ms": START_MS}
    changes = tuple(Change(item.id, item) if isinstance(item, Resource) else Change(item, None) for item in resources)
    return Draft(**{**values, "changes": changes, **more})


def plain(state: State) -> dict[str, tuple[int, Resource]]:
    """A state's resources by name, each with its version: what two stores must agree about."""
    return {str(name): (resource.version, resource) for name, resource in state.resources.items()}


def sqlite_store(path: Path, clock: Clock | None = None, environments: Iterable[str] = ("production",)) -> SqliteStore:
    return open_store(path, environments, key=KEY, clock=clock or FakeClock())


async def redis_store(
    url: str, clock: Clock | None = None, environments: Iterable[str] = ("production",), **more: Any
) -> RedisStore:
    """A store in this database; one that syncs less often than each write will do."""
    options = RedisOptions(url, **more)
    return await open_redis(options, environments, key=KEY, clock=clock or FakeClock())


def tamper(path: Path, *statements: str) -> None:
    """Change the file behind the server's back, as somebody with a shell would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
