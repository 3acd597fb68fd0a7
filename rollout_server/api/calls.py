"""Calls under way: who makes them, how many at once, and how they are cut when their token falls."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout_server.app.tokens import is_standing
from rollout_server.errors import Forbidden, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.app.actor import Actor
    from rollout_server.app.tokens import Keyring
    from rollout_server.errors import RolloutError

ANONYMOUS_MAX = 100
"""Streams under way at once without a token; they can only watch health."""

TOKEN_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and the environment that the token names."""

    environment: Keyring
    actor: Actor


_CALLER: ContextVar[Caller] = ContextVar("caller")


def fallen() -> Forbidden:
    """Return what ends a stream whose token stands no longer."""
    return Forbidden("this token was revoked or has expired", "ask an admin for a new one")


def current_caller() -> Caller:
    """Return who makes the call that is being answered; only methods behind the door may ask."""
    return _CALLER.get()


@dataclass(slots=True, eq=False)
class Call:
    """One call under way, in the task that answers it."""

    caller: Caller | None
    task: asyncio.Task[object] | None = field(default_factory=asyncio.current_task)
    cut_by: RolloutError | None = None

    def cut(self, error: RolloutError) -> None:
        """End the call with this refusal, at whatever it is waiting for."""
        if self.cut_by is None and self.task is not None:
            self.cut_by = error
            self.task.cancel()


class Calls:
    """Calls under way; the streams among them by token."""

    def __init__(self, streams_max: int, streams_per_token_max: int) -> None:
        self._streams_max = streams_max
        self._streams_per_token_max = streams_per_token_max
        self._streams = 0
        self._open: dict[tuple[str, str], set[Call]] = {}

    @contextmanager
    def under_way(self, caller: Caller | None, *, is_stream: bool) -> Iterator[Call]:
        """Remember who calls while the call is answered; streams are counted, and can be cut.

        A question is never refused for being one too many: on-call must get in while streams fill the house.

        Raises:
            Unavailable: there are too many streams already.
        """
        call = Call(caller)
        if caller is not None:
            _CALLER.set(caller)
        if not is_stream:
            yield call
            return
        key = (caller.environment.name, caller.actor.token_id) if caller else ("", "")
        self._check_room(len(self._open.get(key, ())), caller)
        calls = self._open.setdefault(key, set())
        calls.add(call)
        self._streams += 1
        try:
            yield call
        finally:
            self._streams -= 1
            calls.discard(call)
            if not calls:
                self._open.pop(key, None)

    def cut_fallen(self) -> int:
        """Cut every stream whose token was revoked or has expired since; return how many."""
        count = 0
        for calls in list(self._open.values()):
            first = next(iter(calls), None)
            if first is None or first.caller is None:
                continue
            if not is_standing(first.caller.environment, first.caller.actor.token_id):
                for call in tuple(calls):
                    call.cut(fallen())
                    count += 1
        return count

    async def keep_cutting(self) -> None:
        """Look after the tokens of open streams until cancelled."""
        while True:
            await asyncio.sleep(TOKEN_CHECK_S)
            self.cut_fallen()

    def _check_room(self, count: int, caller: Caller | None) -> None:
        if caller is None and count >= ANONYMOUS_MAX:
            limit, name = ANONYMOUS_MAX, "streams without a token"
        elif caller is not None and count >= self._streams_per_token_max:
            limit, name = self._streams_per_token_max, "streams of this token (streams_per_token_max)"
        elif self._streams >= self._streams_max:
            limit, name = self._streams_max, "streams of this server (streams_max)"
        else:
            return
        raise Unavailable(
            "room", f"{limit} {name} are open, and that is the limit", "close some, or raise the limit and restart"
        )
