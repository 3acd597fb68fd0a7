"""Who is connected to the server of a test, what each has in force, and what they reported."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rollout_sdk.engine.model import Arm, Position


@dataclass(frozen=True, slots=True)
class Process:
    """A process with an SDK, as the server sees it.

    Attributes:
        instance_id: new in every process and in every forked child.
        service, host, pid: as it said of itself.
        revision: that it said is in force; 0 before the first.
        quarantined: flag to why its newest rules are not in force there.
        connected: its stream stands.
        said_goodbye: it ended on purpose.
    """

    instance_id: str
    service: str
    host: str
    pid: int
    revision: int = 0
    quarantined: tuple[tuple[str, str], ...] = ()
    connected: bool = True
    said_goodbye: bool = False


class Ledger:
    """Written by the streams of a server, read by a test."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._processes: dict[str, Process] = {}
        self._streams: dict[str, object] = {}
        self._outcomes: dict[str, Counter[Arm | None]] = {}
        self._reports: dict[str, int] = {}

    @property
    def processes(self) -> tuple[Process, ...]:
        """Everybody who ever said hello, in that order."""
        with self._changed:
            return tuple(self._processes.values())

    def greet(self, process: Process, stream: object) -> None:
        """Note a hello on a stream."""
        with self._changed:
            self._processes[process.instance_id] = process
            self._streams[process.instance_id] = stream
            self._changed.notify_all()

    def acknowledge(self, instance_id: str, position: Position, quarantined: Iterable[tuple[str, str]]) -> None:
        """Note what is in force there."""
        self._update(instance_id, revision=position.revision, quarantined=tuple(quarantined))

    def say_goodbye(self, instance_id: str) -> None:
        """Note that it ends on purpose."""
        self._update(instance_id, said_goodbye=True)

    def leave(self, instance_id: str, stream: object) -> None:
        """Note that a stream has ended; a newer one of the same process stands."""
        with self._changed:
            if self._streams.get(instance_id) is stream:
                self._update(instance_id, connected=False)

    def _update(self, instance_id: str, **fields: object) -> None:
        with self._changed:
            self._processes[instance_id] = replace(self._processes[instance_id], **fields)  # type: ignore[arg-type] # by name, above
            self._changed.notify_all()

    def report(self, instance_id: str, sequence: int, outcomes: Mapping[tuple[str, Arm | None], int]) -> None:
        """Count what a report says, once."""
        with self._changed:
            if self._reports.get(instance_id, 0) >= sequence:
                return
            self._reports[instance_id] = sequence
            for (metric, arm), count in outcomes.items():
                self._outcomes.setdefault(metric, Counter())[arm] += count
            self._changed.notify_all()

    def outcomes(self, metric: str) -> dict[Arm | None, int]:
        """Return how many outcomes of a metric were reported of each arm; None is unattributed."""
        with self._changed:
            return dict(self._outcomes.get(metric, {}))

    def wait_for(self, holds: Callable[[tuple[Process, ...]], bool], timeout_s: float) -> bool:
        """Return whether something holds of the processes in time."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(tuple(self._processes.values())), timeout_s)
