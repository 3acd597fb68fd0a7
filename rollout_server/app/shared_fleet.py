"""The processes of all servers on one store: those of this one, and those that the others told of (docs/adr/0022).

Each server says what it knows of a process: since when it is connected there, and how it is. Of all that is said of one
process the newest connection counts, whoever says it, and in whatever order it was heard.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_server.app.census import Census
from rollout_server.app.fleet import AckTimes
from rollout_server.app.instances import COUNTS_FOR_MS
from rollout_server.app.peer import Peer
from rollout_server.app.roster import Remembering
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollout_server.app.instance import Instance
    from rollout_server.app.instances import Key, Seat
    from rollout_server.app.roster import Roster
    from rollout_server.domain.replicas import Roll, Spot, Word
    from rollout_server.ports import Clock

CURRENT_MS = 3_000
"""For how long an answer of the store says who there is. Servers ask once a second."""

LISTEN_MS = 2_500
"""How long others have to give a sign of life, once this server asks, or asks again: the store may have lost them."""

SAME_MS = 500
"""Two servers may tell of one connection, by way of a relay that moved, and ages are known to a few milliseconds."""


class SharedFleet(Census):
    """Everybody, read at one server. Fulfils `fleet.Fleet`.

    Attributes:
        peers: the other servers that gave a sign of life in the last hour, by id.
    """

    def __init__(self, own: Roster, clock: Clock, instances_max: int = 50_000) -> None:
        """Have heard of nobody yet.

        Args:
            own: the processes of this server.
            clock: its.
            instances_max: processes remembered of each other server.
        """
        self._own = own
        self._clock = clock
        self._instances_max = instances_max
        self._position = own.position
        self._needed = own.needed
        self.peers: dict[str, Peer] = {}
        self.given_up = 0
        self._missed: set[Key] = set()
        self._asked: Position = Position("", 0)
        self._answered_at_ms: int | None = None
        self._listening_since_ms = 0
        self._current_since_ms = own.began_at_ms
        self._forgot_until_ms = 0
        self._bell = asyncio.Event()

    # ------------------------------------------------------------------------------------------------------- hearing

    def look(self, roll: Roll, asked: Position) -> None:
        """Take note of who there is.

        Args:
            roll: the store's answer.
            asked: where this server stood when it asked.
        """
        now_ms, before = self._clock.monotonic_ms(), set(self.to_hear())
        if not self._is_current:
            self._current_since_ms, self._listening_since_ms = self._clock.now_ms(), now_ms
            for peer in self.peers.values():
                peer.doubt()
        self._answered_at_ms, self._asked = now_ms, asked
        if roll.forgot_ms_ago is not None:
            self._forgot_until_ms = now_ms + COUNTS_FOR_MS - roll.forgot_ms_ago
        for replica in roll.replicas:
            if replica.id not in self.peers and replica.seen_ms_ago <= COUNTS_FOR_MS:
                self.peers[replica.id] = Peer(replica, self._table, self._clock)
            if replica.id in self.peers:
                self.peers[replica.id].note(replica)
        since_ms = self._clock.now_ms() - COUNTS_FOR_MS
        for id_, peer in tuple(self.peers.items()):
            if peer.look():
                self._tell_gone(peer)
            if peer.is_over and peer.seen_at_ms < since_ms:
                del self.peers[id_]
        self._tidy()
        if set(self.to_hear()) != before:
            bell, self._bell = self._bell, asyncio.Event()
            bell.set()

    def to_hear(self) -> dict[str, Spot]:
        """Return whose words are missing or may come, each with the last one that was heard."""
        return {id_: peer.heard for id_, peer in self.peers.items() if not (peer.is_over and peer.is_read)}

    async def others_than(self, asked: Iterable[str]) -> None:
        """Return once there are others to be heard than these."""
        known = set(asked)
        while set(self.to_hear()) == known:
            await self._bell.wait()

    def take(self, words: Iterable[Word]) -> Iterator[None]:
        """Take note of what others told, of each in order; see `Peer.take`."""
        starting_over: set[str] = set()
        for word in words:
            peer = self.peers.get(word.replica)
            if peer is None or word.replica in starting_over:
                continue
            before = peer.heard
            yield from peer.take(word)
            if peer.heard < before:
                starting_over.add(word.replica)  # the rest of this answer begins behind what is missing

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def began_at_ms(self) -> int:
        """See `Census`: an outage of the store begins it anew, for the others' processes were out of sight."""
        return max(self._own.began_at_ms, self._current_since_ms) if self._is_current else self._clock.now_ms()

    @property
    def forgotten(self) -> int:
        """See `Census`."""
        return self._own.forgotten + sum(peer.forgotten + peer.table.forgotten for peer in self.peers.values())

    @property
    def is_whole(self) -> bool:
        """See `Census`."""
        return not self.unheard(0)

    def unheard(self, revision: int) -> tuple[str, ...]:
        """See `Census`. A server that has been gone for a while is not waited for: its processes are named instead."""
        if not self._is_current:
            return ("the other servers on this store: it does not answer, or was not asked yet",)
        epoch, missing = self._position().epoch, list[str]()
        if self._clock.monotonic_ms() - self._listening_since_ms < LISTEN_MS:
            missing.append("the other servers on this store: this one has only begun to listen to them")
        if self._asked.epoch != epoch or self._asked.revision < revision:
            missing.append(f"the store: it was not asked since revision {revision} which servers there are")
        if self._clock.monotonic_ms() < self._forgot_until_ms:
            missing.append("servers that started and ended too often to be remembered")
        for peer in self.peers.values():
            if peer.is_over:
                if not peer.is_read:
                    missing.append(f"server {peer.name}, which is gone: what it told last cannot be read")
            elif not peer.is_in_sight or peer.position is None or peer.position.epoch != epoch:
                missing.append(f"server {peer.name}: it is not heard now")
            elif peer.position.revision < revision:
                missing.append(f"server {peer.name}: it has not said that it stands at revision {revision}")
        return tuple(sorted(missing))

    def acknowledged(self, revision: int) -> AckTimes | None:
        """See `Census`."""
        tables = (self._own, *(peer.table for peer in self.peers.values()))
        found = [times for times in (table.acknowledged(revision) for table in tables) if times is not None]
        if not found:
            return None
        return AckTimes(min(one.first_ms for one in found), max(one.last_ms for one in found))

    def known(self) -> tuple[Instance, ...]:
        """See `Census`."""
        best: dict[Key, tuple[int, Peer | None, Seat]] = {}
        for peer, table in self._tables():
            is_in_sight = self._sees(peer)
            for key, seat in table.counting().items():
                rank, known = _rank(seat, is_in_sight=is_in_sight), best.get(key)
                if known is None or _is_newer((rank, seat), (known[0], known[2])):
                    best[key] = rank, peer, seat
        for _, table in self._tables():
            for key, seat in table.goodbyes().items():
                if key in best and seat.since_ms + SAME_MS > best[key][0]:
                    del best[key]
        found = tuple(self._seen(peer, seat) for _, peer, seat in best.values())
        self._count_given_up(best, is_anybody_connected=any(one.is_connected for one in found))
        return found

    def mine(self, *, leads: bool = False) -> tuple[Instance, ...]:
        """See `Census`."""
        own = [seat.instance for key, seat in self._own.counting().items() if self._holder(key)[1] is seat]
        left = [
            self._seen(peer, seat)
            for peer in self.peers.values()
            if leads and peer.is_over
            for key, seat in peer.table.counting().items()
            if self._holder(key)[1] is seat
        ]
        return (*own, *left)

    # ----------------------------------------------------------------------------------------------------------- own

    @property
    def _is_current(self) -> bool:
        answered_at_ms = self._answered_at_ms
        return answered_at_ms is not None and self._clock.monotonic_ms() - answered_at_ms < CURRENT_MS

    def _tables(self) -> Iterator[tuple[Peer | None, Remembering]]:
        yield None, self._own
        for peer in self.peers.values():
            yield peer, peer.table

    def _sees(self, peer: Peer | None) -> bool:
        return peer is None or (self._is_current and peer.is_in_sight)

    def _seen(self, peer: Peer | None, seat: Seat) -> Instance:
        """Return how a process is, as far as anybody here can know."""
        one = seat.instance
        if peer is None or not one.is_connected or self._sees(peer):
            return one
        last_seen_at_ms = max(one.last_seen_at_ms, peer.seen_at_ms)
        return replace(one, is_connected=False, is_out_of_sight=True, last_seen_at_ms=last_seen_at_ms)

    def _holder(self, key: Key) -> tuple[Peer | None, Seat | None]:
        """Return whose word on one process counts, and its seat there; no seat where it counts nowhere."""
        best: tuple[int, Peer | None, Seat] | None = None
        for peer, table in self._tables():
            seat = table.seat_of(key)
            if seat is not None:
                rank = _rank(seat, is_in_sight=self._sees(peer))
                if best is None or _is_newer((rank, seat), (best[0], best[2])):
                    best = rank, peer, seat
        if best is None:
            return None, None
        goodbyes = (table.goodbyes().get(key) for _, table in self._tables())
        if any(seat is not None and seat.since_ms + SAME_MS > best[0] for seat in goodbyes):
            return None, None
        return best[1], best[2]

    def _tidy(self) -> None:
        """Forget who was lost here and is known to have gone on elsewhere; and count whom everybody has given up."""
        for key in self._own.away():
            peer, seat = self._holder(key)
            if peer is not None or seat is None:
                self._own.drop(key)
        if not any(table.connected for peer, table in self._tables() if self._sees(peer)):
            self.known()
        else:
            self.given_up, self._missed = 0, set()

    def _count_given_up(self, best: Mapping[Key, object], *, is_anybody_connected: bool) -> None:
        if is_anybody_connected:
            self.given_up, self._missed = 0, set()
            return
        goodbyes = {key for _, table in self._tables() for key in table.goodbyes()}
        self.given_up += len(self._missed - best.keys() - goodbyes)
        self._missed = set(best)

    def _table(self, name: str) -> Remembering:
        own = self._own
        return Remembering(self._clock, own.position, own.mark, frozenset, self._instances_max, name)

    def _tell_gone(self, peer: Peer) -> None:
        get_logger().warning(
            "a server is gone without a goodbye; its processes are out of sight until they come back",
            server=peer.name,
            processes=peer.table.connected,
        )


def _rank(seat: Seat, *, is_in_sight: bool) -> int:
    """Return what says whose connection is the newest; of one and the same, whoever still has it knows better."""
    return seat.since_ms + (SAME_MS if seat.instance.is_connected and is_in_sight else 0)


def _is_newer(one: tuple[int, Seat], other: tuple[int, Seat]) -> bool:
    """Whether what one says of a process counts, and not what the other says."""
    (rank, seat), (than, beside) = one, other
    both = seat.instance.is_connected and beside.instance.is_connected
    if both and abs(rank - than) < SAME_MS and seat.instance.in_force.epoch == beside.instance.in_force.epoch:
        known, beside_known = seat.instance.in_force.revision, beside.instance.in_force.revision
        return (known, rank) > (beside_known, than)
    return rank > than
