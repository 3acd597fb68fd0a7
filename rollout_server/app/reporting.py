"""Who reports: tells a quiet night from blindness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rollout_server.domain.guardrails.look import Feed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_server.app.census import Census
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.instance import Instance
    from rollout_server.ports import Clock

MISSED_AFTER_MS: Final = 30_000
"""Who was cut off comes back within seconds; who does not is missed, and may be exposing people all the while."""


class Reporting:
    """Who reports in one environment, for the length of a tick.

    The answer is the same for every guardrail of every run that waits as long, and thousands of processes are looked
    at to give it: it is found once.
    """

    def __init__(self, ingest: IngestTelemetry, instances: Census, clock: Clock) -> None:
        """Know nothing yet.

        Args:
            ingest: takes the environment's reports.
            instances: its processes.
            clock: they connect by.
        """
        self._ingest = ingest
        self._instances = instances
        self._clock = clock
        self._feeds: dict[int, Feed] = {}

    async def up_to(self, window: int) -> Feed:
        """Say who should have reported all up to the end of a window, and who did.

        Raises:
            Unavailable: the telemetry store is away.
        """
        feed = self._feeds.get(window)
        if feed is None:
            windows = self._ingest.clock
            since_ms = (window + 1) * windows.window_ms
            connected_by_ms = self._clock.now_ms() - max(0, windows.now_ms() - since_ms)
            heard = await self._ingest.store.heard(since_ms)
            feed = who_reports(
                self._instances.known(),
                heard,
                since_ms=since_ms,
                connected_by_ms=connected_by_ms,
                began_at_ms=self._instances.began_at_ms,
            )
            if not feed.expected and self._instances.given_up:
                feed = Feed(self._instances.given_up, 0)  # gone for longer than they count, and nobody has come since
            self._feeds[window] = feed
        return feed


def who_reports(
    instances: Sequence[Instance], heard: Mapping[str, int], *, since_ms: int, connected_by_ms: int, began_at_ms: int
) -> Feed:
    """Count who should have reported by the watermark, and who did, if only that they live.

    Where nobody is connected, those are expected who are out of reach without a goodbye: a whole fleet that is cut off
    is blindness, and no quiet night. It has time to come back first, also from a restart of this server.

    Args:
        instances: the processes that count.
        heard: when each was heard last, by name, as `TelemetryStore.heard` says it.
        since_ms: the watermark, by the clock of windows: who was heard at or after it has reported all before it.
        connected_by_ms: who connected later than this, by the server's clock, is not expected yet.
        began_at_ms: when this server began to know of processes, by its clock.
    """
    expected = [one for one in instances if one.is_connected and one.connected_at_ms <= connected_by_ms]
    if not expected:
        missed_by_ms = connected_by_ms - MISSED_AFTER_MS
        expected = [
            one for one in instances if not one.is_connected and max(one.last_seen_at_ms, began_at_ms) <= missed_by_ms
        ]
    reporting = sum(heard.get(report_name(one), -1) >= since_ms for one in expected)
    return Feed(len(expected), reporting)


def report_name(instance: Instance) -> str:
    """Return the name under which a process reports, `Intake.instance`."""
    return f"{instance.token_id}/{instance.greeting.instance_id}"
