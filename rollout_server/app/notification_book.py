"""Which messages are on their way to which channels, and what became of the others; as a note it survives a restart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.notification import Notification, Notified, Sending, read_notification, write_notification

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json

DONE_MAX = 1_000
"""Messages that came to an end, and are remembered."""

SETTLED = frozenset({Sending.DELIVERED, Sending.GIVEN_UP})


@dataclass(frozen=True, slots=True)
class Message:
    """One notification to one channel that is not settled."""

    notification: Notification
    channel: str


class NotificationBook:
    """What was told to whom.

    Attributes:
        epoch, revision: of the journal: everything up to there was looked at.
        changes: grows with everything that is worth saving.
    """

    def __init__(self, epoch: str = "", revision: int = 0) -> None:
        self.epoch = epoch
        self.revision = revision
        self.changes = 0
        self._notified: dict[tuple[str, str], Notified] = {}
        self._waiting: dict[tuple[str, str], Message] = {}
        self._done: deque[tuple[str, str]] = deque()

    def add(self, notification: Notification, channel: str) -> Message | None:
        """Take a message in; None where it is known already."""
        key = (notification.id, channel)
        if key in self._notified:
            return None
        notified = Notified(
            notification.id,
            notification.rollout,
            notification.run,
            notification.kind,
            channel,
            Sending.WAITING,
            notification.at_ms,
        )
        return self._seat(notified, notification)

    def tried(self, message: Message, sending: Sending, at_ms: int, why: str = "", attempts: int = 1) -> None:
        """Note how an attempt ended, or, with `attempts` 0, that none will be made."""
        key = (message.notification.id, message.channel)
        if key not in self._waiting:
            return
        before = self._notified[key]
        self._notified[key] = replace(
            before, sending=sending, at_ms=at_ms, attempts=before.attempts + attempts, why=why
        )
        self.changes += 1
        if sending in SETTLED:
            del self._waiting[key]
            self._finish(key)

    def waiting(self, channel: str | None = None) -> tuple[Message, ...]:
        """Return what is not settled, the oldest first; of one channel if given."""
        return tuple(one for one in self._waiting.values() if channel is None or one.channel == channel)

    @property
    def waiting_count(self) -> int:
        """How many messages are not settled."""
        return len(self._waiting)

    def outcomes(self, rollout: str, run: int) -> tuple[Notified, ...]:
        """Return what became of each message of a run, in the order in which they were taken in."""
        return tuple(one for one in self._notified.values() if (one.rollout, one.run) == (rollout, run))

    def write(self) -> Json:
        """Return it as a note; `read` makes the same book of it."""
        return {
            "epoch": self.epoch,
            "revision": self.revision,
            "messages": [
                {"outcome": _write(one), "notification": self._stored(key)} for key, one in self._notified.items()
            ],
        }

    @classmethod
    def read(cls, tree: Json) -> NotificationBook:
        """Return the book of a note; of one that makes no sense, an empty one."""
        match tree:
            case {"epoch": str(epoch), "revision": int(revision), "messages": [*messages]}:
                book = cls(epoch, revision)
            case _:
                return cls()
        for message in messages:
            book._recall(message)
        book.changes = 0
        return book

    def _recall(self, tree: Json) -> None:
        if not isinstance(tree, dict):
            return
        notified, stored = _read(tree.get("outcome")), tree.get("notification")
        if notified is None or (notified.notification, notified.channel) in self._notified:
            return
        if notified.sending in SETTLED:
            self._seat(notified, None)
        elif (notification := read_notification(stored)) is not None and notification.id == notified.notification:
            self._seat(notified, notification)

    def _seat(self, notified: Notified, notification: Notification | None) -> Message | None:
        key = (notified.notification, notified.channel)
        self._notified[key] = notified
        self.changes += 1
        if notification is None:
            self._finish(key)
            return None
        self._waiting[key] = Message(notification, notified.channel)
        return self._waiting[key]

    def _finish(self, key: tuple[str, str]) -> None:
        self._done.append(key)
        if len(self._done) > DONE_MAX:
            del self._notified[self._done.popleft()]

    def _stored(self, key: tuple[str, str]) -> Json:
        message = self._waiting.get(key)
        return write_notification(message.notification) if message else None


def _write(one: Notified) -> Json:
    return [
        one.notification,
        one.rollout,
        one.run,
        one.kind.value,
        one.channel,
        one.sending.value,
        one.at_ms,
        one.attempts,
        one.why,
    ]


def _read(noted: Any) -> Notified | None:  # noqa: ANN401 - whatever a file held
    match noted:
        case [
            str(id_),
            str(rollout),
            int(run),
            str(kind),
            str(channel),
            str(sending),
            int(at_ms),
            int(attempts),
            str(why),
        ] if _is_known(kind, sending):
            return Notified(
                id_, rollout, run, NoticeKind(kind), channel, Sending(sending), at_ms, attempts=attempts, why=why
            )
        case _:
            return None


def _is_known(kind: str, sending: str) -> bool:
    return kind in [one.value for one in NoticeKind] and sending in [one.value for one in Sending]
