"""The Watch stream's messages as plain data. No protobuf here, so that importing them costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.records import WireRecord


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A flag whose rules at `version` were refused: its last good ones stay in force.

    Attributes:
        error: why; holds no values of contexts.
    """

    flag: str
    version: int
    error: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Says that a position is in force, flag by flag."""

    position: Position
    ruleset_digest: bytes
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who this process is, and what it holds.

    Attributes:
        instance_id: random, new in every process and in every forked child.
        held: None asks for a snapshot.
    """

    instance_id: str
    sdk_version: str
    capabilities: tuple[str, ...]
    service: str
    host: str
    pid: int
    held: Position | None = None
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class Reset:
    """What this process holds is not part of the server's history; a snapshot of another epoch follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a snapshot or of a delta.

    Attributes:
        chunks: (digest, data) as they came, unchecked.
        removed: (kind, key) of records that are no more.
        more: parts are collected until this is false.
    """

    snapshot: bool
    base_revision: int
    position: Position
    ruleset_digest: bytes
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    records: tuple[WireRecord, ...] = ()
    removed: tuple[tuple[int, str], ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where the server stands; proof that both agree.

    Attributes:
        reconnect_within_ms: bound of the random wait after this stream broke; 0 leaves it to the client.
    """

    position: Position
    ruleset_digest: bytes
    reconnect_within_ms: int = 0


@dataclass(frozen=True, slots=True)
class Drain:
    """The server goes away; reconnect after a random wait of at most this long."""

    reconnect_within_ms: int


Message: TypeAlias = "Reset | Part | Bookmark | Drain"
"""What a server says."""


class Resync(Exception):
    """What arrived does not follow what is held. Nothing was changed; the stream is to be opened again."""
