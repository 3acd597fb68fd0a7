"""Points of history: the state there, and what it decides. The present is one of them."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.engine.compile import compile_ruleset
from rollout_server.domain.journal import State, fold
from rollout_server.domain.ruleset import ruleset_after, ruleset_of
from rollout_server.domain.weight import weight
from rollout_server.errors import NotFound

if TYPE_CHECKING:
    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.model import Ruleset
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.ports import Journal

T = TypeVar("T")

_PAGE = 500
_KEPT = 4
_SINCE_MAX = 20_000
RECENT_WEIGHT_MAX = 200_000
"""Some 20 MiB of what recent entries found; of older ones, and of larger, the journal is asked."""


@dataclass(frozen=True, slots=True)
class At:
    """A point of history; with neither, now. A time means the last entry committed at or before it."""

    revision: int | None = None
    time_ms: int | None = None


NOW = At()


@dataclass(frozen=True, slots=True)
class Moment:
    """A state with what SDKs receive of it, and that compiled."""

    state: State
    ruleset: Ruleset
    compiled: CompiledRuleset


class Moments:
    """The present state of one environment, and the way to its earlier ones.

    Attributes:
        state: the present.
        recent: what the last entries found of each resource that they changed, by revision.
    """

    def __init__(self, journal: Journal, state: State) -> None:
        self.state = state
        self._journal = journal
        self._ruleset: tuple[State, Ruleset] | None = None
        # (revision, what it changed), ascending: all that may differ from the state of `_ruleset`.
        self._since: list[tuple[int, ResourceId]] = []
        self._planned: tuple[State, Ruleset] | None = None
        self.recent: OrderedDict[int, Mapping[ResourceId, Resource | None]] = OrderedDict()
        self._recent_weights: deque[int] = deque()
        self._recent_weight = 0
        self._moment: Moment | None = None
        self._replayed: OrderedDict[int, State] = OrderedDict()
        self._past: OrderedDict[int, Moment] = OrderedDict()
        # Two, so that who looks into the past does not keep those waiting who look at the present.
        self._making, self._replaying = asyncio.Lock(), asyncio.Lock()

    def follow(self, entry: Entry) -> None:
        """Go on by one entry.

        Raises:
            ValueError: it is not the next one.
        """
        before = self.state.resources
        self.state = fold(self.state, (entry,))
        self._remember(entry.revision, {change.id: before.get(change.id) for change in entry.changes})
        self._since.extend((entry.revision, change.id) for change in entry.changes)
        if len(self._since) > _SINCE_MAX:
            self._ruleset, self._since = None, []

    def restart(self, state: State) -> None:
        """Go on from a state that may be of another history: what was kept of the past is forgotten."""
        self.state = state
        self._ruleset, self._since, self._moment = None, [], None
        self._replayed, self._past = OrderedDict(), OrderedDict()
        self.recent, self._recent_weights, self._recent_weight = OrderedDict(), deque(), 0

    @property
    def ruleset(self) -> Ruleset:
        """What SDKs receive of the present; what did not change since it was last asked for is shared."""
        if self._ruleset is None or self._ruleset[0] is not self.state:
            self._settle(self.state, self._since, self._making_of(self.state)())
        return self._ruleset[1] if self._ruleset else ruleset_of(self.state)

    def offer(self, state: State, ruleset: Ruleset) -> None:
        """Take what was planned: cohorts that are committed as planned are not hashed again."""
        self._planned = (state, ruleset)

    async def state_at(self, at: At) -> State:
        """Return the state at a point.

        Raises:
            NotFound: the point is older than what is kept, or has not happened yet.
            Unavailable: the store is away, and the point is not in memory.
        """
        present = self.state
        if at == NOW:
            return present
        revision = at.revision if at.revision is not None else await self._revision_at(at.time_ms or 0)
        if revision == present.position.revision:
            return present
        if not 0 <= revision < present.position.revision:
            hint = f"the newest revision here is {present.position.revision}"
            raise NotFound("revision", str(revision), hint)
        replayed = self._replayed
        known = replayed.get(revision)
        if known is None:
            known = await self._replay(revision, replayed)
        _keep(replayed, revision, known)
        return known

    async def moment(self, at: At) -> Moment:
        """Return what decided at a point; raises as `state_at`. Hashing and compiling leave the event loop free."""
        while True:
            state = await self.state_at(at)
            if state is not self.state:
                async with self._replaying:
                    return await self._past_moment(state)
            async with self._making:
                # While this waited the present may have become the past: ask again, unless any present will do.
                if at == NOW or state is self.state:
                    return await self._present_moment(self.state)

    async def _present_moment(self, state: State) -> Moment:
        if self._moment is None or self._moment.state is not state:
            since = self._since
            ruleset = await asyncio.to_thread(self._making_of(state))
            compiled = self._moment.compiled if self._moment else None
            moment = Moment(state, ruleset, await asyncio.to_thread(compile_ruleset, ruleset, compiled))
            self._settle(state, since, ruleset)
            if since is not self._since:
                return moment
            self._moment = moment
        return self._moment

    def _making_of(self, state: State) -> Callable[[], Ruleset]:
        """Return what makes the ruleset of a state; it may run on any thread, while this goes on."""
        base, planned = self._ruleset, self._planned
        if base is None:
            return lambda: ruleset_of(state, planned)
        if base[0] is state:
            return lambda: base[1]
        past, present = base[0].position.revision, state.position.revision
        changed = {id_ for revision, id_ in self._since if past < revision <= present}
        return lambda: ruleset_after(base[1], base[0], state, changed, planned)

    def _settle(self, state: State, since: object, ruleset: Ruleset) -> None:
        """Build on this ruleset from now on, unless a later one is there, or the history was taken anew meanwhile."""
        revision = state.position.revision
        if since is not self._since or (self._ruleset and self._ruleset[0].position.revision > revision):
            return
        self._ruleset = (state, ruleset)
        del self._since[: bisect_right(self._since, revision, key=lambda pair: pair[0])]

    def _remember(self, revision: int, found: Mapping[ResourceId, Resource | None]) -> None:
        self.recent[revision] = found
        self._recent_weights.append(sum(weight(resource) for resource in found.values()))
        self._recent_weight += self._recent_weights[-1]
        while self._recent_weight > RECENT_WEIGHT_MAX:
            self.recent.popitem(last=False)
            self._recent_weight -= self._recent_weights.popleft()

    async def _past_moment(self, state: State) -> Moment:
        revision, past = state.position.revision, self._past
        if revision not in past:
            _keep(past, revision, await asyncio.to_thread(_replayed_moment, state, self._ruleset))
        return past[revision]

    async def _revision_at(self, time_ms: int) -> int:
        """Newest entry at or before the time. The clock may have stepped back in between: the newest still counts."""
        present = self.state
        if present.at_ms <= time_ms:
            return present.position.revision
        before = present.position.revision + 1
        while page := await self._journal.history(None, before, _PAGE):
            for entry in page:
                if entry.at_ms <= time_ms:
                    return entry.revision
            before = page[-1].revision
        oldest = (await self._journal.checkpoint()).state
        if oldest.position.revision and oldest.at_ms > time_ms:
            raise NotFound("point of history", str(time_ms), _too_old(oldest.position.revision))
        return oldest.position.revision

    async def _replay(self, revision: int, replayed: OrderedDict[int, State]) -> State:
        """Fold forward from the nearest state at hand."""
        checkpoint = (await self._journal.checkpoint()).state
        if revision < checkpoint.position.revision:
            raise NotFound("revision", str(revision), _too_old(checkpoint.position.revision))
        nearer = [state for known, state in replayed.items() if known <= revision]
        state = max([checkpoint, *nearer], key=lambda one: one.position.revision)
        while (missing := revision - state.position.revision) > 0:
            entries = await self._journal.entries(state.position.revision, min(missing, _PAGE))
            if not entries:
                raise NotFound("revision", str(revision), _too_old(checkpoint.position.revision))
            state = fold(state, entries)
        return state


def _replayed_moment(state: State, nearby: tuple[State, Ruleset] | None) -> Moment:
    """Lists that stand as they do now are not hashed again. Compiled from nothing: the past does not rest on now."""
    ruleset = ruleset_of(state, nearby)
    return Moment(state, ruleset, compile_ruleset(ruleset))


def _keep(cache: OrderedDict[int, T], revision: int, value: T) -> None:
    cache[revision] = value
    cache.move_to_end(revision)
    while len(cache) > _KEPT:
        cache.popitem(last=False)


def _too_old(oldest: int) -> str:
    return f"history is kept from revision {oldest} on; older entries were compacted away"
