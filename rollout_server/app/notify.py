"""Tell people: every notice of every run to each of its channels, at least once, whatever happens to this server.

Of several servers the one that holds the lease tells; the others read its note, and the next holder goes on from it.
Notices are stored with the run, in the entry that they tell of; here the journal is followed and what it holds is sent.
Each message to each channel is on its own: a channel that is slow or broken delays neither another one nor the
controller. A note says how far the journal was followed and what is still on its way. Where it is lost, the journal of
the last day is followed again, which repeats messages under their old ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rollout_server.app.hand_over import HandOver
from rollout_server.app.notification_book import SETTLED, NotificationBook
from rollout_server.domain.journal import State
from rollout_server.domain.notification import Sending, notification_of
from rollout_server.domain.resources import Kind, RolloutStatus
from rollout_server.errors import Conflict, NotFound, RolloutError, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.app.hand_over import MakeChannel
    from rollout_server.app.notification_book import Message
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.machine import Notice, Run
    from rollout_server.domain.notification import Notified
    from rollout_server.domain.resources import Resource
    from rollout_server.ports import FencedNotes

Exposed: TypeAlias = Callable[[str, int], Awaitable[int | None]]
"""From rollout and run to how many units it exposed, at least; None where nobody knows."""
Fence: TypeAlias = Callable[[], int | None]
"""The lease's token while this server holds it, else None: `HoldLease.fence`."""
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

RETRY_FIRST_MS = 1_000
RETRY_MAX_MS = 300_000
GIVE_UP_MS = 3_600_000
WAITING_MAX = 500
"""Messages on their way to one channel; beyond it the oldest is given up."""
LOOK_BACK_MS = 86_400_000
SAVE_EVERY_ENTRIES = 1_000
"""Without any message, it is still noted now and then how far the journal was followed."""
SAVE_EVERY_S = 1.0
"""Between two notes at least: writing one costs milliseconds, and a crash in between only repeats messages."""
LOOK_EVERY_S = 0.2
"""At whether the lease is held: what tells whom changes hands that soon after the lease does."""
LOOKS_A_READING = 5
"""Between two readings of another server's note, so that this one can say who was told."""
_PAGE = 256
_UNITS_WITHIN_S = 2.0
_STORE_RETRY_S = 5.0
_WHY_CHARACTERS_MAX = 600


class _Mark(NamedTuple):
    """The transition whose notices were sent. The moment tells a rollout from one of the same key before it."""

    run: int
    transition: int
    changed_at_ms: int


class Notifier:
    """Sends the notices of one environment while the lease is held. Lives on its event loop.

    Attributes:
        counts: attempts since the start, by how they left the message.
    """

    def __init__(
        self,
        environment: Environment,
        make_channel: MakeChannel,
        notes: FencedNotes,
        *,
        fence: Fence,
        exposed: Exposed,
        link: str = "",
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; `keep_notifying` does the work.

        Args:
            environment: started.
            make_channel: from what is written of a channel to one that delivers.
            notes: kept for this alone, by all servers that share the lease.
            fence: of the environment's lease.
            exposed: asked once for each notice.
            link: template, see `notification_of`.
            sleep: between attempts, seconds.
            jitter: from 0 to 1, anew for each wait.
        """
        self.counts: Counter[Sending] = Counter()
        self._environment = environment
        self._hand_over = HandOver(environment, make_channel)
        self._notes = notes
        self._fence = fence
        self._exposed = exposed
        self._link = link
        self._sleep = sleep
        self._jitter = jitter
        self._book = NotificationBook()
        self._token: int | None = None
        self._is_recalled = False
        self._saved = (0, 0)
        self._may_save = True
        self._marks: dict[str, _Mark] = {}
        self._heard: list[Entry | State] = []
        self._wake = asyncio.Event()
        self._tasks: dict[Message, asyncio.Task[None]] = {}

    def outcomes(self, rollout: str, run: int) -> tuple[Notified, ...]:
        """Return who was told what of a run and what became of it, in order; the last thousand are remembered.

        Where another server tells, as its note said a moment ago.
        """
        return self._book.outcomes(rollout, run)

    @property
    def waiting_count(self) -> int:
        """How many messages are on their way from here."""
        return self._book.waiting_count if self._is_recalled else 0

    async def keep_notifying(self) -> None:
        """Send whenever the lease is held, until cancelled. It may be called again then: it goes on from the note."""
        overtaken: int | None = None
        while True:
            token = self._fence()
            if token is None or token == overtaken:
                await self._read_along()
                for _ in range(LOOKS_A_READING):
                    if self._fence() not in {None, overtaken}:
                        break
                    await asyncio.sleep(LOOK_EVERY_S)
            elif not await self._notify_under(token):
                overtaken = token

    async def _notify_under(self, token: int) -> bool:
        """Send for as long as this token is held; False where the note says that another one is newer."""
        work = asyncio.create_task(self._notify(token))
        try:
            while self._fence() == token:
                done, _ = await asyncio.wait({work}, timeout=LOOK_EVERY_S)
                if done:
                    work.result()  # raises what is a bug
                    return False
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return True

    async def _notify(self, token: int) -> None:
        """Send until cancelled, or overtaken."""
        self._heard, is_own = [], token == self._token
        unsubscribe = self._environment.subscribe(self._hear)
        try:
            await self._recall(self._environment.state, is_known=is_own)
            self._token = token
            while True:
                await self._take_heard()
                if not await self._save(token):
                    return
                await self._wake.wait()
                self._wake.clear()
        finally:
            unsubscribe()
            tasks = tuple(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._is_recalled:  # else the note knows more than the book
                self._token, self._is_recalled = token, False
                await self._keep_at_last(token)

    async def _read_along(self) -> None:
        """Take over the note of whoever holds the lease; what this server still knows better is noted first."""
        with contextlib.suppress(RolloutError):  # while the store is away, the book stays as it is
            if self._token is not None:
                await self._keep(self._token)
            self._book = NotificationBook.read(await self._notes.load())
            self._token = None

    def _hear(self, entry: Entry | None, _before: State, after: State) -> None:
        self._heard.append(after if entry is None else entry)
        self._wake.set()

    async def _recall(self, state: State, *, is_known: bool) -> None:
        """Go on with what the note says is on its way, and read what the journal brought since, up to this state."""
        while not is_known:  # else the book is this server's own, and nobody was there in between
            try:
                noted = await self._notes.load()
            except RolloutError as error:
                self._environment.report("what was told to whom cannot be read; nobody is told until it can", error)
                await self._sleep(_STORE_RETRY_S)
                continue
            self._book = NotificationBook.read(noted)
            # Where there is no note yet one is made at once: what is told from now on is told once, however this ends.
            self._saved = (-1, 0) if noted is None else (self._book.changes, self._book.revision)
            break
        self._is_recalled = True
        for message in self._book.waiting():
            self._send(message)
        while True:
            try:
                await self._replay(state)
            except Unavailable:
                await self._sleep(_STORE_RETRY_S)
            except Exception as error:  # noqa: BLE001 - an old history, or damage, must not silence what comes
                self._environment.report("the journal cannot be followed from the note on; what stands is told", error)
                await self._follow_state(state)
                return
            else:
                return

    async def _replay(self, state: State) -> None:
        journal, here = self._environment.journal, state.position
        if self._book.epoch == here.epoch and self._book.revision <= here.revision:
            start = await journal.state_at(revision=self._book.revision)
        else:
            start = await journal.state_at(at_ms=self._environment.clock.now_ms() - LOOK_BACK_MS)
            self._book.changes += 1
        self._marks = {key: _mark(run) for key, run in _runs(start)}
        self._book.epoch, self._book.revision = here.epoch, start.position.revision
        while self._book.revision < here.revision:
            page = await journal.entries(self._book.revision, _PAGE)
            if not page:
                raise NotFound("revision", str(here.revision))
            for entry in page:
                await self._follow(entry)

    async def _take_heard(self) -> None:
        heard, self._heard = self._heard, []
        for one in heard:
            if isinstance(one, State):
                await self._follow_state(one)
            elif one.revision > self._book.revision:
                await self._follow(one)

    async def _follow(self, entry: Entry) -> None:
        for change in entry.changes:
            run = _run_of(change.after)
            if run is not None:
                await self._tell(change.id.key, run)
        self._book.revision = entry.revision

    async def _follow_state(self, state: State) -> None:
        """Tell what stands where entries are missing; not what has stood for long, as after a restored backup."""
        since_ms = self._environment.clock.now_ms() - LOOK_BACK_MS
        for key, run in _runs(state):
            if run.changed_at_ms >= since_ms:
                await self._tell(key, run)
            else:
                self._marks[key] = _mark(run)
        self._book.epoch, self._book.revision = state.position.epoch, state.position.revision
        self._book.changes += 1

    async def _tell(self, key: str, run: Run) -> None:
        """Take the run's notices in, unless those of its transition were."""
        mark = _mark(run)
        if self._marks.get(key) == mark:
            return
        self._marks[key] = mark
        for notice in run.notices:
            try:
                await self._take(run, notice)
            except Exception as error:  # noqa: BLE001 - a bug over one notice must not silence the others
                self._environment.report("a notice cannot be sent", error)

    async def _take(self, run: Run, notice: Notice) -> None:
        if not notice.channels:
            return
        units = await self._units(run)
        notification = notification_of(self._environment.name, run, notice, units_exposed=units, link=self._link)
        for channel in dict.fromkeys(notice.channels):
            message = self._book.add(notification, channel)
            if message is not None:
                self._make_room(channel)
                self._send(message)

    async def _units(self, run: Run) -> int | None:
        """Ask for the figure, and go without it where it takes long."""
        try:
            async with asyncio.timeout(_UNITS_WITHIN_S):
                return await self._exposed(run.rollout, run.number)
        except (RolloutError, TimeoutError):
            return None

    def _make_room(self, channel: str) -> None:
        waiting = self._book.waiting(channel)
        for message in waiting[: max(0, len(waiting) - WAITING_MAX)]:
            if task := self._tasks.get(message):
                task.cancel()
            why = f"more than {WAITING_MAX} messages wait for it"
            self._give_up(message, Unavailable("channel", why, "mend the channel"), attempts=0)

    def _send(self, message: Message) -> None:
        task = asyncio.create_task(self._deliver(message), name=f"to channel {message.channel}")
        self._tasks[message] = task
        task.add_done_callback(lambda _task: self._tasks.pop(message, None))

    async def _deliver(self, message: Message) -> None:
        """Try, with full jitter between, for as long as it may help."""
        clock = self._environment.clock
        started_ms, tries = clock.monotonic_ms(), 0
        while (error := await self._hand_over.attempt(message)) is not None:
            left_ms = GIVE_UP_MS - (clock.monotonic_ms() - started_ms)
            if left_ms <= 0 or not isinstance(error, Unavailable):
                self._give_up(message, error)
                return
            self._note(message, Sending.RETRYING, error)
            bound_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** min(tries, 32))
            await self._sleep(min(self._jitter() * bound_ms, left_ms) / 1_000)
            tries += 1
        self._note(message, Sending.DELIVERED)

    def _give_up(self, message: Message, error: RolloutError, attempts: int = 1) -> None:
        self._note(message, Sending.GIVEN_UP, error, attempts)
        get_logger().error(
            "a notification was given up",
            environment=self._environment.name,
            channel=message.channel,
            notification=message.notification.id,
            code=error.code,
            hint=error.hint,
        )

    def _note(self, message: Message, sending: Sending, error: RolloutError | None = None, attempts: int = 1) -> None:
        why = "; ".join(filter(None, (str(error), error.hint if sending in SETTLED else ""))) if error else ""
        at_ms = self._environment.clock.now_ms()
        self._book.tried(message, sending, at_ms, why[:_WHY_CHARACTERS_MAX], attempts)
        self.counts[sending] += 1
        self._wake.set()

    async def _save(self, token: int) -> bool:
        """Save where there is something to save, but not too often; a store that takes nothing is tried again later.

        Returns:
            False where another server holds the lease by now.
        """
        changes, revision = self._saved
        if self._book.changes == changes and self._book.revision < revision + SAVE_EVERY_ENTRIES:
            return True
        if not self._may_save:
            return True  # the timer below wakes this again
        saving, written = (self._book.changes, self._book.revision), self._book.write()
        try:
            await self._notes.save(written, token)
        except Conflict:
            self._token, self._is_recalled = None, False  # the note of the newer holder is the one that counts
            return False
        except RolloutError as error:
            self._environment.report("what was told to whom cannot be noted; a restart would tell it again", error)
            wait_s = _STORE_RETRY_S
        else:
            self._saved, wait_s = saving, SAVE_EVERY_S
        self._may_save = False
        asyncio.get_running_loop().call_later(wait_s, self._let_save)
        return True

    def _let_save(self) -> None:
        self._may_save = True
        self._wake.set()

    async def _keep(self, token: int) -> None:
        try:
            await self._notes.save(self._book.write(), token)
        except Conflict:
            self._token = None  # another server has gone on from the note

    async def _keep_at_last(self, token: int) -> None:
        try:
            await self._keep(token)
        except RolloutError as error:
            self._environment.report("what was told to whom cannot be noted; a restart tells it again", error)


def _run_of(resource: Resource | None) -> Run | None:
    status = resource.status if resource is not None else None
    return status.run if isinstance(status, RolloutStatus) else None


def _runs(state: State) -> tuple[tuple[str, Run], ...]:
    found = ((id_.key, _run_of(one)) for id_, one in state.resources.items() if id_.kind is Kind.ROLLOUT)
    return tuple((key, run) for key, run in found if run is not None)


def _mark(run: Run) -> _Mark:
    return _Mark(run.number, run.transition, run.changed_at_ms)
