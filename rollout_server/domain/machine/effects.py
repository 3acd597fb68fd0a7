"""What a step asks for. The first three commit WITH the new state, in one entry; the next two follow once it is stored.

A refusal stands alone: the state is the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rollout_server.domain.machine.run import Notice, Reached, Run


@dataclass(frozen=True, slots=True)
class SetReaches:
    """What SDKs decide with from now on. `stage` is empty and `reaches` too where nobody is exposed."""

    run: int
    allocation: int
    stage: str
    reaches: tuple[Reached, ...]


@dataclass(frozen=True, slots=True)
class FlagOff:
    """The flag is killed."""

    flag: str


@dataclass(frozen=True, slots=True)
class WriteFinalVariant:
    """The flag serves this variant where the rollout's rule stood, and the rule is dropped."""

    flag: str
    variant: str


@dataclass(frozen=True, slots=True)
class OpenAllocation:
    """Evidence is summed anew under this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people; the same notice stands in the run until its next transition."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule says no.

    Attributes:
        rule: stable: "phase", "stage", "reason", "approval", "freeze", "order", "pipeline".
        hint: what to do next.
    """

    rule: str
    message: str
    hint: str


Effect: TypeAlias = "SetReaches | FlagOff | WriteFinalVariant | OpenAllocation | Notify | Refusal"
Outcome: TypeAlias = "tuple[Run, tuple[Effect, ...]]"

COMMITS = (SetReaches, FlagOff, WriteFinalVariant)
