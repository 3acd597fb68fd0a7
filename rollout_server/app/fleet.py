"""What the verbs want to know of the connected SDKs; `instances` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """The processes of one environment, counted.

    Attributes:
        behind: connected, but not yet at the environment's revision.
        quarantined: "web@host-1 (pid 7): checkout-v2", one for each flag that a process refused.
        unreachable: gone in the last hour without goodbye, "web@host-1 (pid 7)".
        unheard: other servers of the same store that are not heard now, each with what is missing.
    """

    connected: int = 0
    behind: int = 0
    quarantined: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AckTimes:
    """When a revision was acknowledged, by this server's clock: since its commit, the first and the last so far.

    A process that another server on the same store serves counts from when that server told it.
    """

    first_ms: int
    last_ms: int


class Fleet(Protocol):
    """The SDK processes of one environment."""

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """Name who cannot evaluate what, one sentence each; empty when every connected SDK can.

        Args:
            needed: flag key to the capabilities it needs, as `engine.capabilities.needed_by` names them.
        """

    def summary(self) -> FleetSummary:
        """Count the processes as they stand now."""


class NoFleet:
    """An environment to which nothing is connected."""

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """Nobody is connected, so nobody is behind."""
        del needed
        return ()

    def summary(self) -> FleetSummary:
        """All zero."""
        return FleetSummary()
