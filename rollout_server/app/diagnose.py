"""Diagnose: everything that will hurt later, with what to do now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `main` knows of the store and the host.

    Attributes:
        durability: how durable an acknowledged write is, in words: "SQLite, WAL, synchronous=FULL".
        is_durable: whether an acknowledged write survives a loss of power.
        disk_free_bytes: where the journal lives; None where it lives on no disk.
    """

    durability: str
    is_durable: bool
    disk_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        hint: what to do; empty when ok.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


async def diagnose(environment: Environment, fleet: Fleet, surroundings: Surroundings) -> tuple[Check, ...]:
    """Run every check; a check that cannot be made is not ok, and none of them raises."""
