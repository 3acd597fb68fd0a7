"""An environment over the memory journal, and the documents and actors that tests of the verbs need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from rollout_server.app.actor import Actor
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.intent import Intent
from rollout_server.domain.files import read
from rollout_server.domain.journal import Change, Draft, Entry
from rollout_server.domain.resources import Kind, ResourceId, first_status
from rollout_server.domain.rights import Role
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal

MIA = Actor("mia@example.com", "a1b2c3d4", Role.ADMIN)
SPLIT = {"split": {"on": "25%", "off": "75%"}}


@asynccontextmanager
async def opened(
    journal: MemoryJournal | None = None, clock: FakeClock | None = None, environments: Collection[str] = ()
) -> AsyncIterator[Environment]:
    """A started environment; closed, with its journal, at the end."""
    clock = clock or FakeClock()
    journal = journal or MemoryJournal(clock=clock)
    environment = Environment(journal, clock, environments=environments)
    await environment.start()
    try:
        yield environment
    finally:
        await environment.close()
        await journal.close()


def document(kind: str, key: str, spec: dict[str, Any] | None = None, **metadata: Any) -> Document:
    tree: dict[str, Any] = {"kind": kind, "metadata": {"key": key, **metadata}}
    if spec is not None:
        tree["spec"] = spec
    return Document(json.dumps(tree), kind, key, f"{key}.yaml:1:1")


def flag(key: str, *rules: dict[str, Any], **spec: Any) -> Document:
    """A boolean flag, off unless a rule says otherwise."""
    numbered = [{"id": f"r{number}", **rule} for number, rule in enumerate(rules, start=1)]
    return document("Flag", key, {**spec, **({"rules": numbered} if numbered else {})})


def cohort(key: str, *include: str, **spec: Any) -> Document:
    return document("Cohort", key, {**spec, **({"include": list(include)} if include else {})})


def flag_id(key: str) -> ResourceId:
    return ResourceId(Kind.FLAG, key)


def cohort_id(key: str) -> ResourceId:
    return ResourceId(Kind.COHORT, key)


def under(key: str) -> Intent:
    """An intent with an idempotency key."""
    return Intent(idempotency_key=key)


async def put(environment: Environment, *documents: Document) -> Entry:
    """Commit documents as they are, past every check that `apply` makes."""
    changes = []
    for given in documents:
        resource, problems = read(json.loads(given.json))
        assert resource is not None, problems
        changes.append(Change(resource.id, replace(resource, status=first_status(resource))))
    return await environment.commit(Draft({}, tuple(changes), MIA.label, "put", environment.clock.now_ms()))


async def delete(environment: Environment, *ids: ResourceId) -> Entry:
    """Commit deletions, past every check."""
    changes = tuple(Change(id_, None) for id_ in ids)
    return await environment.commit(Draft({}, changes, MIA.label, "delete", environment.clock.now_ms()))
