"""Instances: which process runs what, of those that this server knows by a stream of theirs or of their relay.

Everybody seen in the last hour who did not say goodbye counts, connected or not. Memory is bounded: beyond the limit
the process that has been out of reach longest is forgotten, of the same token first, and no certificate calls itself
complete while one that was forgotten would still count.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from rollout_server.app.census import Census
from rollout_server.app.fleet import AckTimes
from rollout_server.app.instance import Instance
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_sdk.wire.messages import Acknowledgement, Greeting
    from rollout_server.app.record_log import Mark
    from rollout_server.ports import Clock

COUNTS_FOR_MS = 3_600_000
"""How long a process counts after it was last heard of, unless it says goodbye."""

ACKNOWLEDGED_MAX = 256
"""Revisions of which the times of acknowledgements are remembered."""

Key: TypeAlias = "tuple[str, str]"
"""What names a process here, its token and its id: one token's process cannot take the place of another's."""


@dataclass(slots=True)
class Seat:
    """The place of a process: the newest stream that greeted with its id holds it.

    Attributes:
        stream: names it; None where the process was only told of.
        since_ms: when it connected, by the clock that never steps.
    """

    instance: Instance
    stream: object
    since_ms: int

    @property
    def key(self) -> Key:
        """Of the process."""
        return self.instance.token_id, self.instance.greeting.instance_id


class Instances(Census):
    """The processes of one environment.

    Attributes:
        changes: counts who came and went.
        position, mark, needed: as they were given.
    """

    def __init__(
        self,
        clock: Clock,
        position: Callable[[], Position],
        mark: Callable[[int], Mark | None],
        needed: Callable[[], frozenset[str]],
        instances_max: int = 50_000,
        replica: str = "",
    ) -> None:
        """Know nobody yet.

        Args:
            clock: for times and the hour that processes count.
            position: where the environment stands.
            mark: what is remembered of one of its revisions.
            needed: every capability that the present ruleset needs.
            instances_max: processes remembered.
            replica: name of the server that serves them; empty for this one.
        """
        self._clock = clock
        self.position = self._position = position
        self.mark = self._mark = mark
        self.needed = self._needed = needed
        self._instances_max = instances_max
        self._replica = replica
        self._seats: dict[Key, Seat] = {}
        self._away: dict[str, OrderedDict[Key, None]] = {}  # by token; out of reach longest comes first
        self._acknowledged: OrderedDict[int, AckTimes] = OrderedDict()
        self._forgotten_at_ms: deque[int] = deque(maxlen=instances_max)
        self._began_at_ms = clock.now_ms()
        self.changes = 0
        self.given_up = 0

    @property
    def connected(self) -> int:
        """How many processes are connected."""
        return len(self._seats) - sum(map(len, self._away.values()))

    @property
    def began_at_ms(self) -> int:
        """See `Census`."""
        return self._began_at_ms

    @property
    def forgotten(self) -> int:
        """See `Census`."""
        since_ms = self._clock.now_ms() - COUNTS_FOR_MS
        while self._forgotten_at_ms and self._forgotten_at_ms[0] < since_ms:
            self._forgotten_at_ms.popleft()
        return len(self._forgotten_at_ms)

    @property
    def is_whole(self) -> bool:
        """Nobody else is asked."""
        return True

    def unheard(self, revision: int) -> tuple[str, ...]:
        """Nobody else is asked."""
        del revision
        return ()

    def known(self) -> tuple[Instance, ...]:
        """See `Census`."""
        return tuple(seat.instance for seat in self.counting().values())

    def mine(self, *, leads: bool = False) -> tuple[Instance, ...]:
        """All of them."""
        del leads
        return self.known()

    def join(self, greeting: Greeting, token_id: str, behind: str = "", connected_ms_ago: int = 0) -> object:
        """Seat a process that opened a stream; return what names the stream in the calls below.

        Args:
            greeting: what it said.
            token_id: what it came with.
            behind: the relay that it connected to; empty where it is connected to a server.
            connected_ms_ago: since then. Where it connected elsewhere later, this stream is over and has no seat.

        Raises:
            Unavailable: every remembered process is connected, and there is no room for one more.
        """
        key = (token_id, greeting.instance_id)
        now_ms, since_ms = self._clock.now_ms(), self._clock.monotonic_ms() - connected_ms_ago
        stream, known = (key, object()), self._seats.get(key)
        if connected_ms_ago and known and known.instance.is_connected and known.since_ms > since_ms:
            return stream
        if known is None:
            self._make_room(token_id)
        self._forget(key)
        here, connected_at_ms = self._position(), now_ms - connected_ms_ago
        instance = Instance(
            greeting, token_id, connected_at_ms, now_ms, here.revision, behind=behind, replica=self._replica
        )
        if greeting.held is not None:
            flags = tuple(one.flag for one in greeting.quarantined)
            error = greeting.quarantined[0].error if flags else ""
            instance = replace(instance, in_force=greeting.held, quarantined=flags, error=error)
        self._seats[key] = Seat(instance, stream, since_ms)
        self.changes += 1
        self.given_up = 0
        return stream

    def counting(self) -> Mapping[Key, Seat]:
        """Forget who was last heard of more than an hour ago, and return the rest."""
        since_ms = self._clock.now_ms() - COUNTS_FOR_MS
        gone = [
            key
            for key, seat in self._seats.items()
            if not seat.instance.is_connected and seat.instance.last_seen_at_ms < since_ms
        ]
        self.given_up += len(gone) if not self.connected else 0
        for key in gone:
            self._forget(key)
        return self._seats

    def seat_of(self, key: Key) -> Seat | None:
        """Return the seat of one process, counting or not."""
        return self._seats.get(key)

    def away(self) -> tuple[Key, ...]:
        """Return who is out of reach."""
        return tuple(key for away in self._away.values() for key in away)

    def drop(self, key: Key) -> None:
        """Forget a process that is out of reach here, and known elsewhere."""
        seat = self._seats.get(key)
        if seat is not None and not seat.instance.is_connected:
            self._forget(key)

    def to_recall(self) -> tuple[Instance, ...]:
        """Return them for `recall` after a restart: who is connected was heard of now."""
        now_ms = self._clock.now_ms()
        return tuple(replace(one, last_seen_at_ms=now_ms) if one.is_connected else one for one in self.known())

    def recall(self, known: Iterable[Instance]) -> None:
        """Seat processes that an earlier run, or a relay, knew and this one does not: out of reach until they come."""
        now_ms, steady_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        for one in sorted(known, key=lambda instance: instance.last_seen_at_ms)[-self._instances_max :]:
            away = replace(one, is_connected=False, replica=self._replica)
            seat = Seat(away, None, steady_ms - max(0, now_ms - one.connected_at_ms))
            if seat.key not in self._seats:
                self._seats[seat.key] = seat
                self._away.setdefault(one.token_id, OrderedDict())[seat.key] = None

    def acknowledge(self, stream: object, acknowledgement: Acknowledgement, ms_ago: int = 0) -> int:
        """Take note of what is in force in a process now.

        Args:
            stream: its.
            acknowledgement: what it said.
            ms_ago: how long ago that was on record.

        Returns:
            Its lag in ms; -1 where it says nothing about the way from commit to process.
        """
        seat = self._seat(stream)
        if seat is None:
            return -1
        now_ms = self._clock.now_ms() - ms_ago
        position = acknowledgement.position
        mark = self._mark(position.revision) if position.epoch == self._position().epoch else None
        is_news = position.revision > max(seat.instance.joined_revision, seat.instance.in_force.revision)
        lag_ms = max(0, now_ms - mark.at_ms) if mark and is_news else -1
        if mark and is_news:
            since = max(seat.instance.joined_revision, seat.instance.in_force.revision)
            self._note(range(max(since, position.revision - ACKNOWLEDGED_MAX) + 1, position.revision + 1), now_ms)
        error = acknowledgement.quarantined[0].error if acknowledgement.quarantined else ""
        if mark and mark.ruleset_digest and mark.ruleset_digest != acknowledgement.ruleset_digest and not error:
            error = "its records differ from those that were sent"
        seat.instance = replace(
            seat.instance,
            last_seen_at_ms=now_ms,
            in_force=position,
            lag_ms=lag_ms if lag_ms >= 0 else seat.instance.lag_ms,
            quarantined=tuple(one.flag for one in acknowledgement.quarantined),
            error=error,
        )
        return lag_ms

    def acknowledged(self, revision: int) -> AckTimes | None:
        """See `Census`."""
        return self._acknowledged.get(revision)

    def leave(self, stream: object) -> None:
        """Forget a process that said goodbye."""
        seat = self._seat(stream)
        if seat is not None:
            self._forget(seat.key)

    def strike(self, token_id: str, instance_id: str) -> None:
        """Forget a process that is out of reach: it is known to have said goodbye elsewhere."""
        seat = self._seats.get((token_id, instance_id))
        if seat is not None and not seat.instance.is_connected:
            self._forget(seat.key)

    def overlook(self) -> None:
        """Count a process that there is no room for: no certificate is complete while it counts."""
        self._forgotten_at_ms.append(self._clock.now_ms())

    def disconnect(self, stream: object, *, is_out_of_sight: bool = False) -> None:
        """Count a process as out of reach; one that said goodbye, or came back by another stream, is not touched."""
        seat = self._seat(stream)
        if seat is not None and seat.instance.is_connected:
            away = replace(seat.instance, is_connected=False, is_out_of_sight=is_out_of_sight)
            seat.instance = replace(away, last_seen_at_ms=self._clock.now_ms())
            self.changes += 1
            self._away.setdefault(seat.instance.token_id, OrderedDict())[seat.key] = None

    def _note(self, revisions: range, now_ms: int) -> None:
        for revision in revisions:
            mark, before = self._mark(revision), self._acknowledged.get(revision)
            if mark is not None:
                since_ms = max(0, now_ms - mark.at_ms)
                first_ms, last_ms = (before.first_ms, before.last_ms) if before else (since_ms, since_ms)
                self._acknowledged[revision] = AckTimes(min(first_ms, since_ms), max(last_ms, since_ms))
        while len(self._acknowledged) > ACKNOWLEDGED_MAX:
            self._acknowledged.popitem(last=False)

    def _seat(self, stream: object) -> Seat | None:
        if not isinstance(stream, tuple):
            return None
        seat = self._seats.get(stream[0])
        return seat if seat is not None and seat.stream is stream else None

    def _forget(self, key: Key) -> None:
        if self._seats.pop(key, None) is not None:
            self.changes += 1
        away = self._away.get(key[0])
        if away is not None:
            away.pop(key, None)
            if not away:
                del self._away[key[0]]

    def _make_room(self, token_id: str) -> None:
        if len(self._seats) < self._instances_max:
            return
        away = self._away.get(token_id) or max(self._away.values(), key=len, default=None)
        if not away:
            raise Unavailable(
                "room",
                f"{self._instances_max} processes are connected to this environment, and it takes no more",
                "raise instances_max, or find out with `rollout sdks` who connects so often",
            )
        key = next(iter(away))
        self._forgotten_at_ms.append(self._seats[key].instance.last_seen_at_ms)
        self._forget(key)
