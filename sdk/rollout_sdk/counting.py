"""All that one client counts and reports: joins telemetry, outbox and reporter, and keeps them right across a fork."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollout_sdk import carry
from rollout_sdk.outbox import Outbox
from rollout_sdk.reporter import Reporter
from rollout_sdk.sums import LossReason
from rollout_sdk.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rollout_sdk.attribution import Attribution
    from rollout_sdk.engine.decide import Watch
    from rollout_sdk.held import Held
    from rollout_sdk.preview import Preview
    from rollout_sdk.settings import Settings
    from rollout_sdk.sums import Window


class Counting:
    """Implements `reporter.Source` and `scope.Desk`."""

    def __init__(self, settings: Settings, instance_id: Callable[[], str]) -> None:
        """Count, and report nothing before `start`.

        Args:
            settings: of the client.
            instance_id: returns how the server knows this process; a forked child is another.
        """
        self.telemetry = Telemetry(self)
        self._settings = settings
        self._instance_id = instance_id
        self._watching: tuple[Held | Preview, Watch] | None = None
        self._outbox = Outbox()
        self._reporter = Reporter(settings, self, self._outbox)

    def start(self) -> None:
        """Begin to report."""
        self._reporter.start()

    def ask_to_stop(self, *, says_all: bool) -> None:
        """End the reporter soon; returns at once.

        Args:
            says_all: try once to deliver everything first.
        """
        self._reporter.ask_to_stop(says_all=says_all)

    def join(self, timeout_s: float) -> bool:
        """Return whether the reporter has ended in time."""
        return self._reporter.join(timeout_s)

    def begin_anew(self) -> None:
        """Forget everything, in a forked child: what the parent counted is the parent's to report."""
        self.telemetry, self._watching, self._outbox = Telemetry(self), None, Outbox()

    def resume(self, *, in_child: bool) -> None:
        """Report on after `ask_to_stop`; a parent goes on with what it still holds."""
        previous = None if in_child else self._reporter
        self._reporter = Reporter(self._settings, self, self._outbox)
        self._reporter.start(after=previous)

    def watch(self, held: Held | Preview) -> Watch:
        """Return what counts whom these rules expose; the same while they stay in force."""
        if self._watching is None or self._watching[0] is not held:
            self._watching = (held, self.telemetry.put_in_force(held.counted, held.metrics))
        return self._watching[1]

    def flush(self, timeout_s: float) -> bool:
        """Return whether the server has acknowledged, in time, all that was counted until now."""
        return self._reporter.flush(timeout_s)

    def record_for(self, metric: str, value: object, attributions: Collection[Attribution], open_count: int) -> None:
        """See `scope.Desk`."""
        self.telemetry.record_for(metric, value, attributions, open_count)

    def read_token(self, token: str) -> tuple[Attribution, ...]:
        """Return what was carried here; of a token that cannot be read nothing, and that is counted."""
        try:
            return carry.read(token)
        except carry.BadToken:
            self.telemetry.tally.lose(LossReason.BAD_TOKEN)
            return ()

    def rotate(self) -> Window:
        """See `reporter.Source`."""
        return self.telemetry.tally.rotate(time.monotonic())

    @property
    def is_active(self) -> bool:
        """See `reporter.Source`."""
        return self.telemetry.is_active

    @property
    def instance_id(self) -> str:
        """See `reporter.Source`."""
        return self._instance_id()
