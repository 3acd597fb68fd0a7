"""One environment in memory: its folded state, kept up with the journal by a tail.

Memory answers every read, also while the store is away; writes go through the store alone. A state is an immutable
snapshot: each entry copies the mapping of resources once, which costs 10 us with 5,000 of them, and nobody who reads
ever needs a lock or sees half an entry.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.model import Position
from rollout_server.app.moments import NOW, At, Moment, Moments
from rollout_server.domain.journal import State
from rollout_server.domain.waiting import with_voided
from rollout_server.errors import Conflict, NotFound, Unavailable, Unknown
from rollout_server.logs import get_logger, without_message

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Ruleset
    from rollout_server.domain.journal import Draft, Entry
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.ports import Clock, Journal

__all__ = ["NOW", "At", "Environment", "Listener", "Moment"]

Listener: TypeAlias = "Callable[[Entry | None, State, State], None]"
"""Called with (entry, state before, state after) in revision order, each entry once, on the event loop.

The entry is None where the whole state was read anew: the history is another one, or entries were lost from the log.
A listener must not block; one that raises is reported to the event loop's exception handler, and the rest go on.
"""

APPLY_WAIT_S = 10.0
CHANGE_WAIT_MS = 7 * 86_400_000
RETRY_FIRST_S = 0.05
RETRY_MAX_S = 2.0


class Environment:
    """One environment's truth in this process. Lives on one event loop; every public name is for that loop only.

    Attributes:
        journal: the store; verbs read history from it, and write through `commit` only.
        clock: wall time for what verbs write.
        change_wait_ms: how long a change may wait for approval.
        environments: names of all of this server, this one among them; empty where it is the only one at hand.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        change_wait_ms: int = CHANGE_WAIT_MS,
        environments: Collection[str] = (),
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.change_wait_ms = change_wait_ms
        self.environments = environments
        self._moments = Moments(journal, State(Position("", 0)))
        self._listeners: list[Listener] = []
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()
        self._is_following = False
        self._tail: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.journal.environment

    @property
    def state(self) -> State:
        """The state as far as this replica has applied it; a snapshot that never changes."""
        return self._moments.state

    @property
    def position(self) -> Position:
        """Where this replica stands."""
        return self.state.position

    @property
    def now_ms(self) -> int:
        """The wall clock, but never before the last entry: what has expired stays so when a clock is set back."""
        return max(self.clock.now_ms(), self.state.at_ms)

    @property
    def ruleset(self) -> Ruleset:
        """What SDKs receive at `position`; made on first use after an entry, from the ruleset before it."""
        return self._moments.ruleset

    @property
    def is_following(self) -> bool:
        """Whether the store answered when it was last asked: False says that reads may be out of date."""
        return self._is_following

    def resource(self, resource_id: ResourceId) -> Resource | None:
        """Return the resource as it stands."""
        return self.state.resources.get(resource_id)

    def before(self, revision: int) -> Mapping[ResourceId, Resource | None] | None:
        """Return what a recent entry found of each resource that it changed; None where that is not remembered."""
        return self._moments.recent.get(revision)

    async def start(self) -> None:
        """Load the state and start to follow the journal.

        Raises:
            Corrupt: what is stored does not parse.
            Unavailable: the store is away.
        """
        self._moments.restart(await self.journal.load())
        self._is_following = True
        self._tail = asyncio.create_task(self._follow(), name=f"tail of {self.name}")

    async def close(self) -> None:
        """Stop following. The journal stays open: whoever built it closes it."""
        if self._tail is not None:
            self._tail.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tail
            self._tail = None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each entry from now on; return what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    async def wait_for(self, revision: int) -> None:
        """Return once this replica has applied this revision of this history.

        Raises:
            Unavailable: it has not come for `APPLY_WAIT_S`.
        """
        if revision <= self.position.revision:
            return
        waiter = (revision, asyncio.get_running_loop().create_future())
        self._waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter[1], APPLY_WAIT_S)
        except TimeoutError:
            raise Unavailable(
                "journal",
                f"revision {revision} did not reach this server, which stands at {self.position.revision}",
                "ask another server, or look at this one's log: its store cannot be followed",
            ) from None
        finally:
            self._waiting.discard(waiter)

    async def wait_for_written(self, entry: Entry) -> None:
        """Return once this replica has applied an entry that somebody waits for who had it written.

        Raises:
            Unknown: it has not come for `APPLY_WAIT_S`. Not Unavailable, which says that nothing was written.
        """
        try:
            await self.wait_for(entry.revision)
        except Unavailable as error:
            hint = f"the change is written, as revision {entry.revision}; do not repeat it, look at `rollout history`"
            raise Unknown("journal", str(error), hint) from None

    async def commit(self, draft: Draft) -> Entry:
        """Commit through the journal, and return once this replica has applied the entry.

        Changes that wait for approval, and rest on what the draft changes, are void by the same entry.

        Raises:
            Conflict, Unavailable, Unknown: see `ports.Journal.commit`.
        """
        entry = await self.journal.commit(with_voided(self.state.resources, draft))
        self._is_following = True
        if entry.revision == self.position.revision + 1:
            # The tail brings it as well, a moment later; whoever comes second finds it done.
            self._apply(entry)
        await self.wait_for_written(entry)
        return entry

    async def state_at(self, at: At) -> State:
        """Return the state at a point of history.

        Raises:
            NotFound: the point is older than what is kept, or has not happened yet.
            Unavailable: the store is away, and the point is not in memory.
        """
        return await self._moments.state_at(at)

    async def moment(self, at: At = NOW) -> Moment:
        """Return state, ruleset and compiled ruleset at a point; compiled off the event loop. Raises as `state_at`."""
        return await self._moments.moment(at)

    async def catch_up(self) -> None:
        """Return once this replica has applied all that the store held when this was called.

        Raises:
            Unavailable: the store is away, or holds less than was applied here.
        """
        ours = self.position
        for newest in await self.journal.history(None, 0, 1):
            if newest.revision < ours.revision or (newest.revision == ours.revision and newest.digest != ours.digest):
                what = f"the store no longer has revision {ours.revision}, which this server had applied"
                raise Unavailable("journal", what, "the history is read anew, try again in a moment")
            await self.wait_for(newest.revision)

    def report(self, message: str, error: Exception) -> None:
        """Log what went wrong here and was survived. The message is a constant sentence."""
        get_logger().error(message, environment=self.name, **without_message(error))

    def offer(self, state: State, ruleset: Ruleset) -> None:
        """Take what was planned before it is committed: its cohorts need not be hashed a second time."""
        self._moments.offer(state, ruleset)

    async def _follow(self) -> None:
        """Apply what the journal brings, forever: no failure of the store ends this, only `close`."""
        retry_s = RETRY_FIRST_S
        while True:
            is_whole = True
            try:
                async for entry in self.journal.tail(self.position.revision):
                    self._is_following, retry_s = True, RETRY_FIRST_S
                    if entry.revision == self.position.revision + 1:
                        self._apply(entry)
                    elif entry.revision > self.position.revision:
                        is_whole = False
                        break
            except Unavailable:
                self._is_following = False
            except (Conflict, NotFound):
                is_whole = False
            except Exception as error:  # noqa: BLE001 - whatever it was, the stored state is what counts
                is_whole = False
                self.report("the tail of the journal failed; reading the state anew", error)
            await asyncio.sleep(retry_s)
            while not await self._catch_up(is_whole=is_whole):
                retry_s = min(retry_s * 2, RETRY_MAX_S)
                await asyncio.sleep(retry_s)

    async def _catch_up(self, *, is_whole: bool) -> bool:
        """Go on where we stand if the store still holds our history whole, else take over what it holds."""
        ours = self.position  # as of now: what is committed here while the store is read is not in what it answers
        try:
            stored = await self.journal.load()
            is_held = await self._is_held(ours, stored.position)
            if is_held is False:
                stored = await self._lost(stored)
        except Exception as error:  # noqa: BLE001 - memory answers on, and the store is asked again
            if self._is_following:
                self.report("the journal cannot be read; memory answers on", error)
            self._is_following = False
            return False
        is_ours = is_held is not False and stored.position.epoch == ours.epoch
        is_ahead = is_ours and self.position.revision >= stored.position.revision
        if not is_ahead and not (is_ours and is_held and is_whole):
            self._take_over(stored)
        self._is_following = True
        return True

    async def _lost(self, stored: State) -> State:
        """Say what happened, and make a history that lost what was applied here a new epoch, if it is not one yet.

        SDKs ahead of it would never hear it again. Another server may have been first; or an old copy of the store is
        back, under the name that it had.
        """
        if is_nameless := stored.position.epoch == self.position.epoch:
            await self.journal.renew_epoch()
        get_logger().error(
            "the store has lost entries that this server had applied; its history is a new epoch",
            environment=self.name,
            revision=self.position.revision,
            hint="see docs/redis.md on what may be lost; `rollout history` shows what the store kept",
        )
        return await self.journal.load() if is_nameless else stored

    async def _is_held(self, ours: Position, stored: Position) -> bool | None:
        """Whether the store holds what was applied here, under whatever name its history goes.

        None where that was compacted away, so that nobody can tell.
        """
        if stored.revision < ours.revision:
            return False
        if stored.revision == ours.revision:
            return stored.digest == ours.digest
        try:
            entries = await self.journal.entries(ours.revision - 1, 1) if ours.revision else ()
        except NotFound:
            return None
        return not ours.revision or (bool(entries) and entries[0].digest == ours.digest)

    def _apply(self, entry: Entry) -> None:
        before = self.state
        self._moments.follow(entry)
        self._tell(entry, before)

    def _take_over(self, stored: State) -> None:
        before = self.state
        self._moments.restart(stored)
        self._tell(None, before)

    def _tell(self, entry: Entry | None, before: State) -> None:
        after = self.state
        for listener in tuple(self._listeners):
            try:
                listener(entry, before, after)
            except Exception as error:  # noqa: BLE001 - one listener's bug must not stop the others, nor the tail
                self.report("a listener failed", error)
        for revision, future in tuple(self._waiting):
            if revision <= after.position.revision and not future.done():
                future.set_result(None)
