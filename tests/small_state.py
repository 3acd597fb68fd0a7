"""Small states, made as people make them: documents, planned and committed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any as Anything

from rollout_sdk.engine.model import Position
from rollout_server.domain.files import read
from rollout_server.domain.journal import Change, Entry, State, fold
from rollout_server.domain.plan import Plan, Wish, plan
from rollout_server.domain.resources import FlagStatus, Kind, Resource, ResourceId

EMPTY = State(Position("epoch-1", 0))


def document(kind: str, key: str, **spec: Anything) -> Resource:
    resource, problems = read({"kind": kind, "metadata": {"key": key}, "spec": spec})
    assert resource is not None, problems
    return resource


def flag_document(key: str, *rules: dict[str, Anything], **spec: Anything) -> Resource:
    return document("Flag", key, **({"rules": list(rules)} if rules else {}), **spec)


def cohort_document(key: str, *include: str, **spec: Anything) -> Resource:
    return document("Cohort", key, **({"include": list(include)} if include else {}), **spec)


def committed(state: State, *changes: Change) -> State:
    """The state after one entry with these changes."""
    revision = state.position.revision + 1
    stamped = tuple(Change(one.id, one.after.at_version(revision) if one.after else None) for one in changes)
    return fold(state, [Entry(revision, 0, "mia", "apply", "", "", stamped, bytes(32))])


def applied(state: State, *documents: Resource, prune: bool = False) -> State:
    """The state after these documents were applied."""
    made = plan(state, Wish(documents, prune=prune))
    assert made.problems == ()
    return committed(state, *made.writes)


def wished(state: State, *documents: Resource, prune: bool = False) -> Plan:
    return plan(state, Wish(documents, prune=prune))


def killed(state: State, key: str) -> State:
    """The state after a kill."""
    resource = state.resources[ResourceId(Kind.FLAG, key)]
    assert isinstance(resource.status, FlagStatus)
    return committed(state, Change(resource.id, replace(resource, status=replace(resource.status, killed=True))))
