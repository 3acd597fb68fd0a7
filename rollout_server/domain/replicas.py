"""The servers that share one store, as that store knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

REMEMBERED_MS: Final = 3_900_000
"""How long a server, and what it told, is kept after its last sign of life: a little longer than processes count."""

REPLICAS_MAX: Final = 1_000
"""Servers remembered for each environment; a server that starts again and again is another one each time."""


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A place in what one server tells.

    Attributes:
        run: rises whenever it begins anew; what it told in runs before is void.
        number: of the word in its run, 1 the first; 0 before it.
    """

    run: int = 0
    number: int = 0

    def is_next(self, after: Spot) -> bool:
        """Whether nothing is missing between a word and what was heard before it."""
        return self == Spot(after.run, after.number + 1) or (self.number == 1 and self.run > after.run)


@dataclass(frozen=True, slots=True)
class Word:
    """Something that a server told.

    Attributes:
        replica: id of the server.
        ms_ago: how long it has been in the store.
    """

    replica: str
    spot: Spot
    ms_ago: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Replica:
    """A server on the store.

    Attributes:
        id: random, new each time it starts.
        name: for people.
        beat: counts its signs of life.
        seen_ms_ago: since the last of them, by the clock of the store.
        told: its last word.
        has_left: it said goodbye.
    """

    id: str
    name: str
    beat: int
    seen_ms_ago: int
    told: Spot
    has_left: bool


@dataclass(frozen=True, slots=True)
class Roll:
    """Who shares the store.

    Attributes:
        replicas: every other server that gave a sign of life lately, goodbye or not.
        own: the last word of the server that asks.
        is_whole: all that the asking server told in its run is in the store, in order. It begins anew where not.
        forgot_ms_ago: since a server had to be forgotten because there were too many; None where none was lately.
    """

    own: Spot
    replicas: tuple[Replica, ...] = field(default=())
    is_whole: bool = True
    forgot_ms_ago: int | None = None
