"""Sums and evidence in Redis, beside the journal: one script a report, summed where they lie.

A report is answered without waiting for replicas: what a failover takes of sums goes together with the sequence that
says they were there, so that nothing is ever counted twice, and no rollback waits for a report.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rollout_server.adapters import redis_scripts as scripts
from rollout_server.adapters import redis_telemetry_rows as rows
from rollout_server.adapters.redis_link import InDoubt
from rollout_server.domain.telemetry import Ledger, ProcessWindow, Receipt, RunCheckpoint
from rollout_server.errors import Conflict, Unavailable, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollout_server.adapters.redis_link import RedisLink
    from rollout_server.adapters.redis_scripts import Script
    from rollout_server.domain.guardrails.data import ExposureSums, WindowSums
    from rollout_server.domain.telemetry import Intake, RunId


async def open_telemetry(link: RedisLink, environment: str, window_ms: int) -> RedisTelemetry:
    """Open an environment's store, or make it.

    Args:
        link: the store's connections; they are not closed by it.
        environment: whose.
        window_ms: of a new one; one that exists keeps its own.

    Raises:
        Corrupt: what lies there is not ours.
        Unavailable: Redis is away.
    """
    key = rows.telemetry_key(environment)
    await link.command("HSETNX", key, "window_ms", window_ms)
    return RedisTelemetry(link, key, int(await link.command("HGET", key, "window_ms")))


class RedisTelemetry:
    """One environment's `ports.TelemetryStore`."""

    def __init__(self, link: RedisLink, key: str, window_ms: int) -> None:
        self._link = link
        self._key = key
        self._window_ms = window_ms
        self._is_closed = False

    @property
    def window_ms(self) -> int:
        """See `ports.TelemetryStore`."""
        return self._window_ms

    async def commit(self, intake: Intake) -> Receipt:
        """See `ports.TelemetryStore`. Where no answer came, the same report again is counted once."""
        is_repeat, late = await self._tell(scripts.TELEMETRY_COMMIT, *rows.commit_arguments(intake))
        return Receipt(is_repeat=bool(is_repeat), late=int(late))

    async def sums(self, run: RunId, metric: str, after: int, through: int) -> tuple[WindowSums, ...]:
        """See `ports.TelemetryStore`."""
        answer = await self._ask(scripts.TELEMETRY_SUMS, rows.run_name(run), metric, after, through)
        return rows.read_sums(run, metric, answer)

    async def exposures(self, run: RunId, after: int, through: int) -> tuple[ExposureSums, ...]:
        """See `ports.TelemetryStore`."""
        answer = await self._ask(scripts.TELEMETRY_SUMS, rows.run_name(run), "", after, through)
        return rows.read_exposures(run, answer)

    async def heard(self, since_ms: int) -> Mapping[str, int]:
        """See `ports.TelemetryStore`."""
        found = await self._command("ZRANGEBYSCORE", f"{self._key}:heard", since_ms, "+inf", "WITHSCORES")
        return {name.decode(): int(at_ms) for name, at_ms in zip(found[::2], found[1::2], strict=True)}

    async def add_processes(self, processes: ProcessWindow) -> None:
        """See `ports.TelemetryStore`."""
        await self._tell(scripts.TELEMETRY_PROCESSES, "add", *processes)

    async def processes(self, after: int, through: int) -> tuple[ProcessWindow, ...]:
        """See `ports.TelemetryStore`."""
        numbers = [int(word) for word in await self._ask(scripts.TELEMETRY_PROCESSES, "read", after, through)]
        return tuple(ProcessWindow(*row) for row in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))

    async def ledger(self) -> Ledger:
        """See `ports.TelemetryStore`."""
        found = await self._command("HGETALL", f"{self._key}:ledger")
        books: dict[str, dict[str, int]] = {"unattributed": {}, "loss": {}}
        for field, count in zip(found[::2], found[1::2], strict=True):
            book, _, name = field.decode().partition(" ")
            books[book][name] = int(count)
        return Ledger(MappingProxyType(books["unattributed"]), MappingProxyType(books["loss"]))

    async def checkpoint(self, run: RunId) -> RunCheckpoint | None:
        """See `ports.TelemetryStore`."""
        found = await self._ask(scripts.TELEMETRY_CHECKPOINT, rows.run_name(run))
        if not found:
            return None
        fence, body, judged = found
        windows = {metric.decode(): int(window) for metric, window in zip(judged[::2], judged[1::2], strict=True)}
        return RunCheckpoint(run, int(fence), MappingProxyType(windows), body)

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        """See `ports.TelemetryStore`. The newest token of the lease counts too, before its holder has kept anything."""
        judged = (word for item in checkpoint.judged.items() for word in item)
        arguments = (rows.run_name(checkpoint.run), checkpoint.fence, checkpoint.body, *judged)
        match await self._tell(scripts.TELEMETRY_KEEP, *arguments):
            case [b"fenced", newest]:
                raise Conflict(
                    "the lease of this run", checkpoint.fence, int(newest), "another controller has taken over"
                )
            case [b"back", metric, window]:
                name = metric.decode()
                what = f"the evidence on {name or 'exposures'}"
                raise Conflict(what, checkpoint.judged[name], int(window), "read the checkpoint again")
            case _:
                pass

    async def last_window(self) -> int:
        """See `ports.TelemetryStore`."""
        return int(await self._ask(scripts.TELEMETRY_LAST_WINDOW))

    async def prune(self, before_window: int, runs: Collection[RunId]) -> int:
        """See `ports.TelemetryStore`."""
        arguments = (before_window, before_window * self._window_ms, *map(rows.run_name, runs))
        return int(await self._ask(scripts.TELEMETRY_PRUNE, *arguments))

    async def close(self) -> None:
        """Take nothing more; the connections are the store's."""
        self._is_closed = True

    async def _ask(self, script: Script, *arguments: Any) -> Any:  # noqa: ANN401 - as Redis answers
        self._check_open()
        return await self._link.ask(script, self._key, *arguments)

    async def _command(self, *words: Any) -> Any:  # noqa: ANN401 - as Redis answers
        self._check_open()
        return await self._link.command(*words)

    async def _tell(self, script: Script, *arguments: Any) -> Any:  # noqa: ANN401 - as Redis answers
        self._check_open()
        try:
            answer, _ = await self._link.tell(script, self._key, *arguments)
        except InDoubt as doubt:
            what = f"{self._link.where}: it did not answer ({doubt}): it may have counted this, or not"
            raise Unknown("telemetry", what, "send the same report again: it is counted once") from doubt
        return answer

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("telemetry", f"{self._link.where}: it was closed", "start the server again")
