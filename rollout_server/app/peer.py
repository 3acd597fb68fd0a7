"""Another server on the same store, and its processes as far as it was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.fleet import read_fleet_word
from rollout_sdk.wire.records import WireError
from rollout_server.app.behind_relay import BehindRelay
from rollout_server.domain.replicas import Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_sdk.engine.model import Position
    from rollout_server.app.roster import Remembering
    from rollout_server.domain.replicas import Replica, Word
    from rollout_server.ports import Clock

GONE_AFTER_MS = 5_000
"""A server that gives no sign of life for this long, while the store can be asked, is gone."""

BEHIND_FOR_MS = 3_000
"""What a server told and was not heard for this long cannot be heard; until then it is on its way."""


class Peer:
    """One of them.

    Attributes:
        name: for people.
        table: its processes, as of when all of them were told last.
        position: where it said that it stood, then or later; None before all of its processes were told.
        forgotten: processes that it counts and knows nothing of.
        heard: the last word of it that was read.
        has_left: it said goodbye.
        is_gone: it gives no sign of life.
        seen_at_ms: when it gave the last one, by this server's clock.
    """

    def __init__(self, replica: Replica, make: Callable[[str], Remembering], clock: Clock) -> None:
        """Have heard nothing yet.

        Args:
            replica: as the store knows it now.
            make: returns an empty table, given the name of the server that it is of.
            clock: of this server.
        """
        self.name = replica.name
        self.position: Position | None = None
        self.forgotten = 0
        self.heard = Spot()
        self.has_left = replica.has_left
        self.is_gone = False
        self.seen_at_ms = clock.now_ms() - replica.seen_ms_ago
        self._make = make
        self._clock = clock
        self._beat = replica.beat
        self._beat_at_ms = clock.monotonic_ms()
        self._has_beaten = False
        self._told = replica.told
        self._behind_since_ms: int | None = None
        self._is_broken = False
        self.table = make(self.name)
        self._coming = self.table
        self._listener = self._listen()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.has_left or self.is_gone

    @property
    def is_read(self) -> bool:
        """Whether all that it told is known here."""
        return not self._is_broken and self.heard >= self._told

    @property
    def is_in_sight(self) -> bool:
        """Whether what it told is how its processes are."""
        since_ms = self._behind_since_ms
        is_near = since_ms is None or self._clock.monotonic_ms() - since_ms < BEHIND_FOR_MS
        return self._has_beaten and not self.is_over and self.position is not None and is_near

    def note(self, replica: Replica) -> None:
        """Take note of what the store knows of it now."""
        now_ms = self._clock.monotonic_ms()
        if replica.beat != self._beat:
            self._beat, self._beat_at_ms, self._has_beaten, self.is_gone = replica.beat, now_ms, True, False
        self.name, self.has_left, self._told = replica.name, replica.has_left, replica.told
        self.seen_at_ms = self._clock.now_ms() - replica.seen_ms_ago
        if self._told < self.heard:  # the store has lost something, or is another one
            self.heard = Spot()
        self._look_behind()

    def look(self) -> bool:
        """Find out whether it is gone; return True where it is since now."""
        was_gone = self.is_gone
        self.is_gone = self._clock.monotonic_ms() - self._beat_at_ms >= GONE_AFTER_MS
        return self.is_gone and not was_gone and not self.has_left

    def doubt(self) -> None:
        """The store could not be asked for a while: its next sign of life is waited for, from now on."""
        self._beat_at_ms, self._has_beaten = self._clock.monotonic_ms(), False

    def take(self, word: Word) -> Iterator[None]:
        """Take note of a word, while what is yielded is read: once for each acknowledgement that tells something."""
        if word.spot <= self.heard:
            return
        is_begun_anew = word.spot.number == 1
        if not word.spot.is_next(self.heard):
            if self.heard != Spot():
                self.heard = Spot()  # something is missing: what its run began with is still there, or it begins anew
                return
            self._is_broken = True
        self.heard = word.spot
        if is_begun_anew:
            self._is_broken, self._coming = False, self._make(self.name)
            self._listener = self._listen()
        if not self._is_broken:
            yield from self._read(word)
        self._look_behind()

    def _read(self, word: Word) -> Iterator[None]:
        try:
            told = read_fleet_word(word.data)
        except WireError:
            self._is_broken = True  # until it begins anew
            return
        for _ in self._listener.take(told.news, word.ms_ago):
            yield
        if told.position is not None:
            self.position, self.forgotten, self.table = told.position, told.forgotten, self._coming

    def _listen(self) -> BehindRelay:
        # Who may come in was decided where they came in.
        return BehindRelay("", self._coming, self._clock, lambda _: True)

    def _look_behind(self) -> None:
        if self.heard >= self._told:
            self._behind_since_ms = None
        elif self._behind_since_ms is None:
            self._behind_since_ms = self._clock.monotonic_ms()
