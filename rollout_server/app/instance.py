"""One process, and how it stands to a revision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position

if TYPE_CHECKING:
    from rollout_sdk.wire.messages import Greeting

NOWHERE = Position("", 0)


class InstanceState(Enum):
    """How a process stands to a revision."""

    IN_FORCE = "in_force"
    QUARANTINED = "quarantined"
    """At the revision, but for flags it refused; kill acts on those too."""
    STRAGGLING = "straggling"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Instance:
    """One process.

    Attributes:
        greeting: who it said it is.
        in_force: what it decides with; revision 0 of no epoch before its first acknowledgement.
        lag_ms: from the commit of that revision to its acknowledgement, by this server's clock; -1 when it joined
            later or the commit was not seen.
        joined_revision: where the environment stood when it connected.
        quarantined: flags it refused.
        error: what it said of the first of them.
        is_connected: it has a stream now: here, at another server of the same store, or at its relay.
        behind: name of the relay that serves it; empty where a server does.
        is_out_of_sight: that relay, or that server, is out of reach, and nobody knows how its processes are.
        replica: name of the other server on the same store that it, or its relay, is connected to; empty for this one.
    """

    greeting: Greeting
    token_id: str
    connected_at_ms: int
    last_seen_at_ms: int
    joined_revision: int
    in_force: Position = NOWHERE
    lag_ms: int = -1
    quarantined: tuple[str, ...] = ()
    error: str = ""
    is_connected: bool = True
    behind: str = ""
    is_out_of_sight: bool = False
    replica: str = ""

    @property
    def name(self) -> str:
        """For people: "web@host-1 (pid 7)", "web@host-1 (pid 7) behind eu-west"."""
        service = self.greeting.service or "unnamed"
        host = f"@{self.greeting.host}" if self.greeting.host else ""
        return f"{service}{host} (pid {self.greeting.pid}){f' behind {self.behind}' if self.behind else ''}"

    def state(self, epoch: str, revision: int) -> InstanceState:
        """Say how it stands to a revision of an epoch, or a later one."""
        if not self.is_connected:
            return InstanceState.UNREACHABLE
        if self.in_force.epoch != epoch or self.in_force.revision < revision:
            return InstanceState.STRAGGLING
        return InstanceState.QUARANTINED if self.quarantined or self.error else InstanceState.IN_FORCE


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A process as it stands to the environment now."""

    instance: Instance
    state: InstanceState
    missing_capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who has a revision in force, each by name.

    Attributes:
        forgotten: processes that count, and of which nothing more is known than that they were.
        unheard: other servers of the same store whose word on the revision is missing, each with what is missing:
            nobody here knows all of their processes.
    """

    revision: int
    in_force: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    straggling: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    forgotten: int = 0
    unheard: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every process that counts has the revision in force."""
        return not (self.quarantined or self.straggling or self.unreachable or self.forgotten or self.unheard)
