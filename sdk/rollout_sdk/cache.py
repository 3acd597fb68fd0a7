"""The ruleset of one client: parts are collected, checked against what is held, and put in force by one assignment.

One thread writes; any number read `held`. The module knows no protobuf and does no I/O.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.compile import at_once
from rollout_sdk.held import work_out
from rollout_sdk.preview import Preview, preview
from rollout_sdk.wire.messages import Acknowledgement, Part, Resync

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.compile import Breathe
    from rollout_sdk.engine.model import Position
    from rollout_sdk.held import Held
    from rollout_sdk.wire.messages import Bookmark
    from rollout_sdk.wire.snapshot import Snapshot


class Cache:
    """What one client holds. All methods but the properties belong to one thread at a time."""

    def __init__(
        self,
        held: Held | None = None,
        show: Callable[[Preview], None] | None = None,
        breathe: Breathe = at_once,
    ) -> None:
        """Hold this.

        Args:
            held: None for nothing yet.
            show: gets what decides while a first ruleset is worked out; None works it out before anybody decides.
            breathe: see `held.work_out`.
        """
        self._held = held
        self._show = show
        self._breathe = breathe
        self._shown: Position | None = None
        self._parts: list[Part] = []
        self._is_distrusted = False

    @property
    def held(self) -> Held | None:
        """What is in force; None before the first ruleset."""
        return self._held

    @property
    def resumes_from(self) -> Position | None:
        """The position to say hello with; None asks for a snapshot."""
        return None if self._held is None or self._is_distrusted else self._held.position

    def begin(self) -> None:
        """A new stream: forget the parts that the last one left unfinished."""
        self._parts.clear()

    def load(self, snapshot: Snapshot) -> Held:
        """Put a file's ruleset in force; what in it cannot be read is quarantined as if it had been sent."""
        last = {record.id: record for record in snapshot.records}
        first = {record.id: record for record in reversed(snapshot.records)}
        good = Part(
            snapshot=True,
            base_revision=0,
            position=snapshot.position,
            ruleset_digest=snapshot.ruleset_digest,
            chunks=snapshot.chunks,
            records=tuple(first.values()),
        )
        sent = replace(good, snapshot=False, records=tuple(last[id_] for id_ in last if last[id_] is not first[id_]))
        if sent.records:
            held = work_out(work_out(None, [good], self._breathe), [sent])
        else:
            self._preview([good])
            held = work_out(None, [good], self._breathe)
        self._held = held
        self._is_distrusted = held.digest.to_bytes() != snapshot.ruleset_digest
        return held

    def apply(self, part: Part) -> Acknowledgement | None:
        """Take one part; put the whole in force when it was the last.

        Returns:
            What to tell the server; None while more is to come.

        Raises:
            Resync: the update does not fit what is held, goes back, or its digest does not hold.
        """
        if self._parts and (part.snapshot, part.position.epoch) != (
            self._parts[0].snapshot,
            self._parts[0].position.epoch,
        ):
            raise self._distrust("the parts of one update disagree")
        self._parts.append(part)
        if part.more:
            return None
        parts, self._parts = self._parts, []
        self._check_order(parts)
        self._preview(parts)
        held = work_out(self._held, parts, self._breathe)
        if held.digest.to_bytes() != part.ruleset_digest:
            raise self._distrust("the ruleset's digest does not hold")
        self._held = held
        self._is_distrusted = False
        return _acknowledge(held)

    def confirm(self, bookmark: Bookmark) -> Acknowledgement | None:
        """Compare with where the server stands; follow it over revisions that changed nothing here.

        Returns:
            What to tell the server if the position moved.

        Raises:
            Resync: the server holds something else.
        """
        held, there = self._held, bookmark.position
        if held is None or held.position.epoch != there.epoch:
            raise self._distrust("the server's history is another one")
        if there.revision < held.position.revision:
            raise Resync(f"the server is behind: at revision {there.revision}, here {held.position.revision}")
        if held.digest.to_bytes() != bookmark.ruleset_digest:
            raise self._distrust("server and client hold different rulesets")
        if there == held.position:
            return None
        if there.revision == held.position.revision:
            raise self._distrust(f"two histories hold revision {there.revision}")
        self._held = replace(held, position=there)
        return _acknowledge(self._held)

    def _preview(self, parts: list[Part]) -> None:
        """Let a first ruleset decide before it is worked out."""
        if self._show is None or self._held is not None:
            return
        first = preview(parts)
        if first is not None:
            self._shown = first.position
            self._show(first)

    def _check_order(self, parts: list[Part]) -> None:
        held, last = self._held, parts[-1]
        if not last.position.epoch:
            raise Resync("the server sent an update without a position")
        if held is None:
            if not last.snapshot:
                raise self._distrust("a delta came before any snapshot")
            shown = self._shown  # of a snapshot that a fork did not let come to its end
            if shown is not None and shown.epoch == last.position.epoch and last.position.revision < shown.revision:
                raise Resync(f"revision {last.position.revision} goes back behind {shown.revision}")
            return
        is_same_history = held.position.epoch == last.position.epoch
        if is_same_history and last.position.revision < held.position.revision:
            raise Resync(f"revision {last.position.revision} goes back behind {held.position.revision}")
        if not last.snapshot and not (is_same_history and parts[0].base_revision == held.position.revision):
            raise self._distrust(f"a delta from {parts[0].base_revision} does not follow {held.position.revision}")

    def _distrust(self, reason: str) -> Resync:
        self._is_distrusted = True
        return Resync(reason)


def _acknowledge(held: Held) -> Acknowledgement:
    return Acknowledgement(held.position, held.digest.to_bytes(), held.quarantined)
