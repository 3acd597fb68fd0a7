"""The processes behind one relay, seated beside those that are connected here: a certificate counts them by name too.

What a relay says holds for as long as its stream does. When that breaks, all of its processes are out of reach; when it
is back, it says anew who they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.app.instance import Instance
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_sdk.wire.relaying import Joined, News
    from rollout_server.app.instances import Instances
    from rollout_server.ports import Clock


class BehindRelay:
    """What one stream of a relay has said."""

    def __init__(self, name: str, instances: Instances, clock: Clock, may_come: Callable[[str], bool]) -> None:
        """Know nobody yet.

        Args:
            name: of the relay.
            instances: of the environment.
            clock: theirs.
            may_come: whether a token, by its visible id, is one that processes come with. Others are passed over.
        """
        self._name = name
        self._instances = instances
        self._clock = clock
        self._may_come = may_come
        self._seats: dict[int, object] = {}
        self._away: dict[int, tuple[str, str]] = {}

    def take(self, news: News, ms_ago: int = 0) -> Iterator[int]:
        """Take note of it, while what is yielded is read.

        Args:
            news: of its processes.
            ms_ago: how long ago it was said.

        Yields:
            Of each acknowledgement that tells it, how long the revision took to the process, in ms.
        """
        for one in news.joined:
            self._join(one, ms_ago)
        for word, numbers in news.acknowledged:
            for number in numbers:
                lag_ms = self._instances.acknowledge(self._seats.get(number), word, ms_ago)
                if lag_ms >= 0:
                    yield lag_ms
        for number in news.left:
            self._instances.leave(self._seats.pop(number, None))
            if number in self._away:
                self._instances.strike(*self._away.pop(number))
        for number in news.lost:
            self._instances.disconnect(self._seats.pop(number, None))

    def close(self) -> None:
        """The stream is over: nobody knows how these processes are."""
        for seat in self._seats.values():
            self._instances.disconnect(seat, is_out_of_sight=True)

    def _join(self, one: Joined, ms_ago: int) -> None:
        if not self._may_come(one.token_id):
            return
        behind, connected_ms_ago = self._name or one.behind, one.connected_ms_ago + ms_ago
        if one.away_ms is not None:
            now_ms = self._clock.now_ms()
            since_ms, seen_at_ms = now_ms - connected_ms_ago, now_ms - one.away_ms - ms_ago
            away = Instance(one.greeting, one.token_id, since_ms, seen_at_ms, 0, is_connected=False, behind=behind)
            self._instances.recall((away,))
            self._away[one.number] = (one.token_id, one.greeting.instance_id)
            return
        try:
            seat = self._instances.join(one.greeting, one.token_id, behind, connected_ms_ago)
        except Unavailable:
            self._instances.overlook()
            return
        self._seats[one.number] = seat
