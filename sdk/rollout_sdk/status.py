"""How one client stands, for people and for health checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """How one client stands.

    Attributes:
        epoch, revision: of the rules in force; "" and 0 before the first.
        connected: a server answers on the stream.
        refused: why the server sends this client away, of its token mostly; "" where it does not, or does not answer.
        ready: a server (or an offline file) has confirmed the rules in force.
        stale: decisions say `stale`.
        confirmed_ms_ago: since a server last confirmed them, by the monotonic clock; for rules from disk since they
            were saved, as the wall clock had it when they were read. None if nobody knows.
        quarantined: flag to why its newest rules are not in force.
        overridden: flags that the overrides file forces.
        instance_id: how the server knows this process.
    """

    epoch: str
    revision: int
    connected: bool
    refused: str
    ready: bool
    stale: bool
    confirmed_ms_ago: int | None
    quarantined: dict[str, str]
    overridden: tuple[str, ...]
    instance_id: str
