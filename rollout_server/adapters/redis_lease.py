"""The lease in Redis: a token that the newest holder has, and that every commit of a controller is compared with.

Two clocks say when it may be taken over, and either is enough: that of Redis, by the key's expiry, and that of whoever
waits, by how long the holder has not moved. So a clock that steps delays nobody for long. Neither can do harm: what
counts is the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters.redis_link import InDoubt
from rollout_server.adapters.redis_rows import gone, meta_key
from rollout_server.errors import Unavailable

if TYPE_CHECKING:
    from rollout_server.adapters.redis_link import RedisLink
    from rollout_server.ports import Clock

TERM_MS = 6_000


class RedisLease:
    """One holder of one environment's lease; see `ports.Lease`."""

    def __init__(self, link: RedisLink, environment: str, clock: Clock, term_ms: int = TERM_MS) -> None:
        self._link = link
        self._environment = environment
        self._key = meta_key(environment)
        self._clock = clock
        self._term_ms = term_ms
        self._token = 0
        self._seen: tuple[bytes, bytes] = (b"", b"")
        self._seen_at_ms = 0

    @property
    def term_ms(self) -> int:
        """How long it is held without being renewed."""
        return self._term_ms

    async def acquire(self) -> int | None:
        """Take it if it is free, has run out, or its holder stood still for a whole term."""
        now_ms = self._clock.monotonic_ms()
        is_still = self._seen[0] and now_ms - self._seen_at_ms >= self._term_ms
        still = self._seen if is_still else (b"", b"")
        word, *rest = await self._tell(scripts.LEASE_ACQUIRE, self._token, self._term_ms, *still)
        if word == b"gone":
            raise gone(self._environment)
        if word == b"held":
            self._token, self._seen = int(rest[0]), (b"", b"")
            return self._token
        self._token = 0
        token, beat = rest
        if (token, beat) != self._seen:
            self._seen, self._seen_at_ms = (token, beat), now_ms
        return None

    async def renew(self) -> bool:
        """Hold it for another term; a holder that was late goes on if nobody has taken it over."""
        if not self._token:
            return False
        if await self._tell(scripts.LEASE_RENEW, self._token, self._term_ms) != 1:
            self._token = 0
        return self._token != 0

    async def release(self) -> None:
        """Let go of it."""
        token, self._token = self._token, 0
        if token:
            await self._tell(scripts.LEASE_RELEASE, token)

    async def _tell(self, script: scripts.Script, *arguments: object) -> Any:  # noqa: ANN401 - as Redis answers
        try:
            answer, _ = await self._link.tell(script, self._key, *arguments)
        except InDoubt as doubt:
            what = f"{self._link.where}: it does not answer ({doubt})"
            raise Unavailable("redis", what, "the lease is asked for again; until then nothing is decided") from doubt
        return answer
