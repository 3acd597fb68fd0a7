"""Checkpoints: a state that stands for the entries before it, signed by the server that dropped them. Pure.

The epoch is not signed: it names a history anew after a restore, and says nothing of what happened. The environment is,
so that one environment's checkpoint cannot stand in for another's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from rollout_sdk.engine.model import Json, Position
from rollout_server.domain.entries import DAMAGED_HINT, Head, name_of
from rollout_server.domain.files import canonical_json, read_stored
from rollout_server.domain.journal import State
from rollout_server.domain.resources import ResourceId
from rollout_server.errors import Corrupt, RolloutError

SERVER_KEY_BYTES = 32

Trees: TypeAlias = Mapping[ResourceId, Json]
"""Resources as the JSON they are stored as: folding these needs no reader, and keeps the stored text."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A checkpoint as it is stored.

    Attributes:
        body: UTF-8 JSON: environment, revision, digest, time and every resource.
        signature: HMAC-SHA256 of `body` under the server's key, 32 bytes.
    """

    body: bytes = field(repr=False)
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The oldest state that can be replayed from.

    Attributes:
        state: position and time are those of the last entry that it stands for; revision 0 stands for none.
        sealed: what is stored; None at revision 0, where there is nothing to vouch for.
    """

    state: State
    sealed: Sealed | None = None


def seal(environment: str, head: Head, trees: Trees, key: bytes) -> Sealed:
    """Sign a state as the checkpoint of an environment.

    Args:
        environment: the environment's name.
        head: end of the chain that the checkpoint stands for.
        trees: every resource at `head`.
        key: the server's own, at least `SERVER_KEY_BYTES` long.

    Raises:
        ValueError: the key is too short to vouch for anything.
    """
    body = canonical_json(
        {
            "environment": environment,
            "revision": head.revision,
            "digest": head.digest.hex(),
            "at_ms": head.at_ms,
            "resources": [
                {"kind": resource.kind.value, "key": resource.key, "after": trees[resource]}
                for resource in sorted(trees, key=lambda resource: (resource.kind.value, resource.key))
            ],
        }
    )
    return Sealed(body, _sign(body, key))


def unseal(sealed: Sealed | None, environment: str, key: bytes) -> tuple[Head, dict[ResourceId, Json]]:
    """Return what a checkpoint says, if this server signed it for this environment; None is the empty beginning.

    Raises:
        Corrupt: the signature does not hold, or the checkpoint is another environment's.
    """
    if sealed is None:
        return Head(), {}
    where = f"checkpoint of {environment}"
    if not hmac.compare_digest(_sign(sealed.body, key), sealed.signature):
        raise Corrupt(
            where,
            "it was not signed with this server's key: it was forged, or the key is another one",
            "put the key that this store was made with back in place; if it is there, restore a backup",
        )
    try:
        tree: dict[str, Any] = json.loads(sealed.body)
        if tree["environment"] != environment:
            raise Corrupt(where, f"it is the checkpoint of {tree['environment']!r}", DAMAGED_HINT)
        head = Head(tree["revision"], bytes.fromhex(tree["digest"]), tree["at_ms"])
        return head, {name_of(item): item["after"] for item in tree["resources"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(where, f"it does not parse: {error!r}", DAMAGED_HINT) from error


def read_checkpoint(sealed: Sealed | None, environment: str, key: bytes, epoch: str) -> Checkpoint:
    """Return a checkpoint as a state of the current epoch.

    Raises:
        Corrupt: as `unseal`, or a resource does not parse.
    """
    head, trees = unseal(sealed, environment, key)
    try:
        resources = {resource: read_stored(tree) for resource, tree in trees.items()}
    except (ValueError, KeyError, TypeError, RolloutError) as error:
        raise Corrupt(f"checkpoint of {environment}", f"a resource does not parse: {error!r}", DAMAGED_HINT) from error
    position = Position(epoch, head.revision, head.digest)
    return Checkpoint(State(position, MappingProxyType(resources), head.at_ms), sealed)


def _sign(body: bytes, key: bytes) -> bytes:
    if len(key) < SERVER_KEY_BYTES:
        raise ValueError(f"a server's key has at least {SERVER_KEY_BYTES} bytes, this one has {len(key)}")
    return hmac.new(key, body, hashlib.sha256).digest()
