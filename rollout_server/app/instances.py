"""Instances: which process runs what. The proof of a rollback is read here.

Everybody seen in the last hour who did not say goodbye counts, connected or not. Memory is bounded: beyond the limit
the process that has been out of reach longest is forgotten, of the same token first, and no certificate calls itself
complete while one that was forgotten would still count.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import Position
from rollout_server.app.fleet import AckTimes, FleetSummary
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rollout_sdk.wire.messages import Acknowledgement, Greeting
    from rollout_server.app.record_log import Mark
    from rollout_server.ports import Clock

COUNTS_FOR_MS = 3_600_000
"""How long a process counts after it was last heard of, unless it says goodbye."""

ACKNOWLEDGED_MAX = 256
"""Revisions of which the times of acknowledgements are remembered."""

_Key = tuple[str, str]
_NOWHERE = Position("", 0)


class InstanceState(Enum):
    """How a process stands to a revision."""

    IN_FORCE = "in_force"
    QUARANTINED = "quarantined"
    """At the revision, but for flags it refused; kill acts on those too."""
    STRAGGLING = "straggling"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Instance:
    """One process.

    Attributes:
        greeting: who it said it is.
        in_force: what it decides with; revision 0 of no epoch before its first acknowledgement.
        lag_ms: from the commit of that revision to its acknowledgement, by this server's clock; -1 when it joined
            later or the commit was not seen.
        joined_revision: where the environment stood when it connected.
        quarantined: flags it refused.
        error: what it said of the first of them.
        is_connected: it has a stream now, here or at its relay.
        behind: name of the relay that serves it; empty where this server does.
        is_out_of_sight: that relay is out of reach, and nobody knows how its processes are.
    """

    greeting: Greeting
    token_id: str
    connected_at_ms: int
    last_seen_at_ms: int
    joined_revision: int
    in_force: Position = _NOWHERE
    lag_ms: int = -1
    quarantined: tuple[str, ...] = ()
    error: str = ""
    is_connected: bool = True
    behind: str = ""
    is_out_of_sight: bool = False

    @property
    def name(self) -> str:
        """For people: "web@host-1 (pid 7)", "web@host-1 (pid 7) behind eu-west"."""
        service = self.greeting.service or "unnamed"
        host = f"@{self.greeting.host}" if self.greeting.host else ""
        return f"{service}{host} (pid {self.greeting.pid}){f' behind {self.behind}' if self.behind else ''}"


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A process as it stands to the environment now."""

    instance: Instance
    state: InstanceState
    missing_capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who has a revision in force, each by name.

    Attributes:
        forgotten: processes that count, and of which nothing more is known than that they were.
    """

    revision: int
    in_force: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    straggling: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    forgotten: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every process that counts has the revision in force."""
        return not (self.quarantined or self.straggling or self.unreachable or self.forgotten)


@dataclass(slots=True)
class _Seat:
    """The place of a process: the newest stream that greeted with its id holds it."""

    instance: Instance
    stream: object
    missing: dict[frozenset[str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> _Key:
        """What names the process here: one token's process cannot take the place of another's."""
        return self.instance.token_id, self.instance.greeting.instance_id


class Instances:
    """The processes of one environment. Fulfils `fleet.Fleet`.

    Attributes:
        changes: counts who came and went.
        began_at_ms: since when it knows of anybody, by this server's clock.
        given_up: processes that counted no more after an hour out of reach, while nobody was connected; 0 once
            somebody is.
    """

    def __init__(
        self,
        clock: Clock,
        position: Callable[[], Position],
        mark: Callable[[int], Mark | None],
        needed: Callable[[], frozenset[str]],
        instances_max: int = 50_000,
    ) -> None:
        """Know nobody yet.

        Args:
            clock: for times and the hour that processes count.
            position: where the environment stands.
            mark: what is remembered of one of its revisions.
            needed: every capability that the present ruleset needs.
            instances_max: processes remembered.
        """
        self._clock = clock
        self._position = position
        self._mark = mark
        self._needed = needed
        self._instances_max = instances_max
        self._seats: dict[_Key, _Seat] = {}
        self._away: dict[str, OrderedDict[_Key, None]] = {}  # by token; out of reach longest comes first
        self._acknowledged: OrderedDict[int, AckTimes] = OrderedDict()
        self._forgotten_at_ms: deque[int] = deque(maxlen=instances_max)
        self.changes = 0
        self.began_at_ms = clock.now_ms()
        self.given_up = 0

    @property
    def connected(self) -> int:
        """How many processes are connected."""
        return len(self._seats) - sum(map(len, self._away.values()))

    def join(self, greeting: Greeting, token_id: str, behind: str = "", connected_ms_ago: int = 0) -> object:
        """Seat a process that opened a stream; return what names the stream in the calls below.

        Args:
            greeting: what it said.
            token_id: what it came with.
            behind: the relay that it connected to; empty where it is connected to this server.
            connected_ms_ago: since then. Where it connected elsewhere later, this stream is over and has no seat.

        Raises:
            Unavailable: every remembered process is connected, and there is no room for one more.
        """
        key = (token_id, greeting.instance_id)
        now_ms = self._clock.now_ms()
        connected_at_ms, stream = now_ms - connected_ms_ago, (key, object())
        known = self._seats[key].instance if key in self._seats else None
        if connected_ms_ago and known and known.is_connected and known.connected_at_ms > connected_at_ms:
            return stream
        if key not in self._seats:
            self._make_room(token_id)
        self._forget(key)
        here = self._position()
        instance = Instance(greeting, token_id, connected_at_ms, now_ms, here.revision, behind=behind)
        if greeting.held is not None:
            flags = tuple(one.flag for one in greeting.quarantined)
            error = greeting.quarantined[0].error if flags else ""
            instance = replace(instance, in_force=greeting.held, quarantined=flags, error=error)
        self._seats[key] = _Seat(instance, stream)
        self.changes += 1
        self.given_up = 0
        return stream

    def known(self) -> tuple[Instance, ...]:
        """Return every process that counts."""
        return tuple(seat.instance for seat in self._counting())

    def to_recall(self) -> tuple[Instance, ...]:
        """Return them for `recall` after a restart: who is connected was heard of now."""
        now_ms = self._clock.now_ms()
        return tuple(replace(one, last_seen_at_ms=now_ms) if one.is_connected else one for one in self.known())

    def recall(self, known: Iterable[Instance]) -> None:
        """Seat processes that an earlier run, or a relay, knew and this one does not: out of reach until they come."""
        for one in sorted(known, key=lambda instance: instance.last_seen_at_ms)[-self._instances_max :]:
            seat = _Seat(one, None)
            if seat.key not in self._seats:
                self._seats[seat.key] = seat
                self._away.setdefault(one.token_id, OrderedDict())[seat.key] = None

    def acknowledge(self, stream: object, acknowledgement: Acknowledgement) -> int:
        """Take note of what is in force in a process now.

        Returns:
            Its lag in ms; -1 where it says nothing about the way from commit to process.
        """
        seat = self._seat(stream)
        if seat is None:
            return -1
        now_ms = self._clock.now_ms()
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
        """Return when processes acknowledged a recent revision, or one after it; None where none did, or long ago."""
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

    def views(self) -> tuple[InstanceView, ...]:
        """Return every process that counts, by name."""
        needed = self._needed()
        views = [self._view(seat, needed) for seat in self._counting()]
        return tuple(sorted(views, key=lambda view: (view.instance.name, view.instance.greeting.instance_id)))

    def certificate(self, revision: int) -> Certificate:
        """Say who has a revision of the present epoch, or a later one, in force."""
        names: dict[InstanceState, list[str]] = {state: [] for state in InstanceState}
        for seat in self._counting():
            names[self._state(seat.instance, revision)].append(seat.instance.name)
        by_state = {state.value: tuple(sorted(some)) for state, some in names.items()}
        return Certificate(revision=revision, forgotten=len(self._forgotten_at_ms), **by_state)

    def counts(self) -> dict[InstanceState, int]:
        """Count the processes in each state."""
        revision = self._position().revision
        counted = Counter(self._state(seat.instance, revision) for seat in self._counting())
        return {state: counted[state] for state in InstanceState}

    def summary(self) -> FleetSummary:
        """Count the processes as they stand now."""
        views = self.views()
        connected = [view for view in views if view.instance.is_connected]
        return FleetSummary(
            connected=len(connected),
            behind=sum(view.state is InstanceState.STRAGGLING for view in connected),
            quarantined=tuple(
                f"{view.instance.name}: {flag}" for view in connected for flag in view.instance.quarantined
            ),
            unreachable=tuple(view.instance.name for view in views if view.state is InstanceState.UNREACHABLE),
        )

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """Name who cannot evaluate what, one sentence each; empty when every connected SDK can."""
        lacking: dict[tuple[str, str], Counter[str]] = {}
        for seat in self._counting():
            if not seat.instance.is_connected:
                continue
            capabilities = frozenset(seat.instance.greeting.capabilities)
            for flag, wanted in needed.items():
                if not wanted <= capabilities:
                    missing = ", ".join(sorted(wanted - capabilities))
                    who = f"{seat.instance.name}, SDK {seat.instance.greeting.sdk_version or 'of unknown version'}"
                    lacking.setdefault((who, missing), Counter())[flag] += 1
        return tuple(
            f"{who}, lacks {missing}, which {', '.join(sorted(flags))} needs"
            for (who, missing), flags in sorted(lacking.items())
        )

    def _note(self, revisions: range, now_ms: int) -> None:
        for revision in revisions:
            mark, before = self._mark(revision), self._acknowledged.get(revision)
            if mark is not None:
                since_ms = max(0, now_ms - mark.at_ms)
                self._acknowledged[revision] = AckTimes(before.first_ms if before else since_ms, since_ms)
        while len(self._acknowledged) > ACKNOWLEDGED_MAX:
            self._acknowledged.popitem(last=False)

    def _seat(self, stream: object) -> _Seat | None:
        if not isinstance(stream, tuple):
            return None
        seat = self._seats.get(stream[0])
        return seat if seat is not None and seat.stream is stream else None

    def _view(self, seat: _Seat, needed: frozenset[str]) -> InstanceView:
        missing = seat.missing.get(needed)
        if missing is None:
            missing = tuple(sorted(needed - frozenset(seat.instance.greeting.capabilities)))
            seat.missing = {needed: missing}
        return InstanceView(seat.instance, self._state(seat.instance, self._position().revision), missing)

    def _state(self, instance: Instance, revision: int) -> InstanceState:
        if not instance.is_connected:
            return InstanceState.UNREACHABLE
        held = instance.in_force
        if held.epoch != self._position().epoch or held.revision < revision:
            return InstanceState.STRAGGLING
        return InstanceState.QUARANTINED if instance.quarantined or instance.error else InstanceState.IN_FORCE

    def _counting(self) -> list[_Seat]:
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
        while self._forgotten_at_ms and self._forgotten_at_ms[0] < since_ms:
            self._forgotten_at_ms.popleft()
        return list(self._seats.values())

    def _forget(self, key: _Key) -> None:
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
