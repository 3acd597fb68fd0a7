"""What many callers asked of many replicas and were told, what the log holds, and what stores that died held.

Moments are numbers that only rise, given out by one clock as calls begin and end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Verb(Enum):
    """What is done to a flag."""

    SET = "set"
    KILL = "kill"
    UNKILL = "unkill"


class Outcome(Enum):
    """What the caller knows in the end."""

    WRITTEN = "written"
    MOVED = "moved"
    """Another version stands than the one named."""
    UNCHANGED = "unchanged"
    """It is so already."""
    REFUSED = "refused"
    """Nothing was written; it says nothing of what stands."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """A flag as it stands. Version 0: there is none."""

    version: int = 0
    value: int = 0
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One change that was asked for, with all its repeats until the outcome was known.

    Attributes:
        key: of idempotency.
        expected: the version that a SET names.
        value: that a SET gives.
        replica: that gave the last answer.
        asked, answered: moments of the first call and of the last answer.
        told: revision and digest of each answer that named an entry.
    """

    key: str
    verb: Verb
    flag: str
    replica: str
    asked: int
    answered: int
    outcome: Outcome
    expected: int = 0
    value: int = 0
    told: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What a replica answered; the value is None where the answer does not tell it.

    Attributes:
        digest: of the revision, which tells branches apart; empty where there is but one.
    """

    replica: str
    asked: int
    answered: int
    epoch: str
    revision: int
    found: Mapping[str, tuple[int, int | None, bool]]
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an SDK held when it was looked at, and what it served: 0 for a killed flag, else the flag's value."""

    sdk: str
    epoch: str
    revision: int
    served: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the log; `flags` are those that it changed, as they stand after it."""

    revision: int
    digest: bytes
    key: str
    flags: Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Branch:
    """What a store held.

    Attributes:
        epoch: the name that its history had in the end.
        log: from the first entry on.
    """

    epoch: str
    log: Sequence[Logged]


@dataclass
class History:
    """Everything that was seen from outside."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
