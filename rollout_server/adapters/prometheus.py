"""Counters of a Prometheus server, through its HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/.

Counters are asked for as they were scraped (`selector[range]`), not as steps of a range query: those would hide a
counter that fell between two steps, and repeat the last sample of a target that is gone. Nothing is asked of a server
that just hung, so that a run with other metrics is looked at in time.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import httpx2

from rollout_sdk.engine.problems import Problem
from rollout_server.adapters.prometheus_answer import SERIES_MAX, BadAnswer, read_answer
from rollout_server.domain.counted_windows import Counted, bare_windows, counted_windows
from rollout_server.domain.guardrails.verdict import Reason
from rollout_server.domain.metric_source import MetricWindows
from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping

    from rollout_server.domain.counted_windows import Series
    from rollout_server.domain.metric_source import Asked, MetricQuery

WINDOWS_MAX = 60
"""Asked for at once; after a long pause the next call goes on."""

BYTES_MAX = 16 * 1024 * 1024
CONNECTIONS_MAX = 8
_RESTS = 5  # as long as it hung, times this

T = TypeVar("T")


@asynccontextmanager
async def open_prometheus(url: str, token_env: str, timeout_ms: int) -> AsyncIterator[Prometheus | None]:
    """Yield what asks the server at a URL; None where no URL is set. Connects when it is asked.

    Args:
        url: of its root, "http://prometheus:9090", with a path where it has one.
        token_env: environment variable that holds a bearer token; empty sends none.
        timeout_ms: for everything that is asked for one metric.

    Raises:
        InvalidInput: the variable is not set.
    """
    if not url:
        yield None
        return
    token = os.environ.get(token_env, "") if token_env else ""
    if token_env and not token:
        message = f"the environment variable {token_env} is not set, and the token for Prometheus should be in it"
        raise InvalidInput(
            [Problem("", "prometheus_token_env", "missing_token", message, "set it, or name no variable")]
        )
    client = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}"} if token else {},
        verify=ssl.create_default_context() if url.startswith("https:") else False,
        limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
        timeout=timeout_ms / 1_000,
        trust_env=False,
    )
    source = Prometheus(client, url.rstrip("/"), timeout_ms)
    try:
        yield source
    finally:
        await source.close()


@dataclass(frozen=True, slots=True)
class _Span:
    """A question's time: windows > `after` and <= `through`."""

    after: int
    through: int
    window_ms: int

    @property
    def end_ms(self) -> int:
        return (self.through + 1) * self.window_ms


class Prometheus:
    """Fulfils `ports.MetricSource`."""

    def __init__(self, client: httpx2.AsyncClient, url: str, timeout_ms: int) -> None:
        """Ask through a client, which `close` closes.

        Args:
            client: carries the token, if there is one.
            url: of the server's root, without a slash at its end.
            timeout_ms: for one call of `windows`.
        """
        self._client = client
        self._url = url
        self._timeout_s = timeout_ms / 1_000
        self._rests_until_s = 0.0

    async def windows(self, query: MetricQuery, after: int, through: int, window_ms: int) -> MetricWindows:
        """See `ports.MetricSource`."""
        span = _Span(min(after, through), min(through, after + WINDOWS_MAX), window_ms)
        if time.monotonic() < self._rests_until_s:
            return MetricWindows((), after, Reason.SLOW, "it hung a moment ago and is left alone for a while")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer(query, span)
        except TimeoutError:
            self._rests_until_s = time.monotonic() + _RESTS * self._timeout_s
            return MetricWindows((), after, Reason.SLOW, f"within {self._timeout_s:g} s")
        except BadAnswer as bad:
            return MetricWindows((), after, bad.reason, bad.detail)
        return answer if answer.through > after else MetricWindows((), after, answer.fault, answer.detail)

    async def close(self) -> None:
        """See `ports.MetricSource`."""
        await self._client.aclose()

    async def _answer(self, query: MetricQuery, span: _Span) -> MetricWindows:
        ask = self._values if query.is_bare else partial(self._counters, lookback_ms=query.lookback_ms)
        answers = await _all(ask(asked, span) for asked in query.asked)
        found = dict(zip([asked.slot for asked in query.asked], answers, strict=True))
        if query.is_bare:
            values = {slot: one.numerator for slot, one in found.items()}
            return bare_windows(query, values, span.after, span.through, span.window_ms)
        return counted_windows(query, found, span.after, span.through, span.window_ms)

    async def _counters(self, asked: Asked, span: _Span, *, lookback_ms: int) -> Counted:
        """Return the samples from before the first window to the end of the last."""
        range_ms = (span.through - span.after) * span.window_ms + lookback_ms
        numerator, denominator = await _all(
            [
                self._series(
                    "query",
                    f"{what} of the {asked.slot.arm.value}",
                    {"query": f"{selector}[{range_ms}ms]", "time": _seconds(span.end_ms)},
                )
                for what, selector in (("numerator", asked.numerator), ("denominator", asked.denominator))
            ]
        )
        return Counted(numerator, denominator)

    async def _values(self, asked: Asked, span: _Span) -> Counted:
        """Return one value for the end of each window; of the last one, where none is new."""
        first = min(span.after + 1, span.through)
        form = {
            "query": asked.numerator,
            "start": _seconds((first + 1) * span.window_ms),
            "end": _seconds(span.end_ms),
            "step": _seconds(span.window_ms),
        }
        return Counted(await self._series("query_range", f"query of the {asked.slot.arm.value}", form))

    async def _series(self, path: str, what: str, form: Mapping[str, str]) -> tuple[Series, ...]:
        limits = {"timeout": f"{round(self._timeout_s * 1_000)}ms", "limit": str(SERIES_MAX + 1)}
        try:
            status, body = await self._post(f"{self._url}/api/v1/{path}", {**form, **limits})
            return read_answer(status, body)
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except httpx2.ConnectError:
            raise BadAnswer(Reason.UNREACHABLE, "no connection") from None
        except httpx2.DecodingError:
            raise BadAnswer(Reason.UNREADABLE, "it is compressed wrongly") from None
        except httpx2.HTTPError as error:
            raise BadAnswer(Reason.UNREACHABLE, f"{type(error).__name__} in the middle of the answer") from None
        except BadAnswer as bad:
            raise BadAnswer(bad.reason, f"{what}: {bad.detail}") from None

    async def _post(self, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        body = bytearray()
        async with self._client.stream("POST", url, data=dict(form)) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > BYTES_MAX:
                    raise BadAnswer(Reason.TOO_LARGE, f"more than {BYTES_MAX // 1024 // 1024} MiB")
            return response.status_code, bytes(body)


async def _all(asking: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """Wait for all; raise the first of what went wrong only when none is under way any more."""
    answers = await asyncio.gather(*asking, return_exceptions=True)
    found = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found


def _seconds(at_ms: int) -> str:
    return f"{at_ms // 1_000}.{at_ms % 1_000:03d}"
