"""Where decisions come from, and how old that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Confirmed(Protocol):
    """When a server last confirmed one ruleset. It goes on after decisions were made by it, and reads the clock."""

    @property
    def at_s(self) -> float | None:
        """By this process's monotonic clock; None if nobody knows."""

    @property
    def ms_ago(self) -> int | None:
        """Milliseconds since then, when asked; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a decision comes from; shared by every decision of one ruleset in force.

    Attributes:
        stale: the ruleset was not confirmed by a server lately, or came from disk.
        confirmed: when one last did. No decision looks at it: who asks for the age reads the clock, then.
    """

    epoch: str = ""
    revision: int = 0
    stale: bool = False
    confirmed: Confirmed | None = field(default=None, compare=False, repr=False)

    @property
    def confirmed_at_s(self) -> float | None:
        """When a server last confirmed the ruleset, by this process's monotonic clock; None if nobody knows."""
        return self.confirmed.at_s if self.confirmed else None

    @property
    def confirmed_ms_ago(self) -> int | None:
        """Milliseconds since a server last confirmed the ruleset, by now; None if nobody knows."""
        return self.confirmed.ms_ago if self.confirmed else None
