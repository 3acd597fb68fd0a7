"""Who reports: tells a quiet night from blindness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_server.app.instances import Instance

SILENT_NAMES_MAX = 20


@dataclass(frozen=True, slots=True)
class Reporting:
    """Who should have reported by the watermark, and who did.

    Attributes:
        expected: processes that have been connected long enough to have reported.
        reporting: those of them that reported since, if only that they live.
        silent: names of the others, at most `SILENT_NAMES_MAX`.
    """

    expected: int
    reporting: int
    silent: tuple[str, ...]

    @property
    def is_blind(self) -> bool:
        """Whether nobody reported although somebody should have."""
        return self.expected > 0 and self.reporting == 0


def who_reports(
    instances: Iterable[Instance], heard: Mapping[str, int], *, since_ms: int, connected_by_ms: int
) -> Reporting:
    """Say who reported.

    Args:
        instances: the processes that count.
        heard: when each was heard last, by name, as `TelemetryStore.heard` says it.
        since_ms: the watermark, by the clock of windows: who was heard at or after it has reported all before it.
        connected_by_ms: who connected later than this, by the server's clock, is not expected yet.
    """
    expected = [one for one in instances if one.is_connected and one.connected_at_ms <= connected_by_ms]
    silent = sorted(one.name for one in expected if heard.get(report_name(one), -1) < since_ms)
    return Reporting(len(expected), len(expected) - len(silent), tuple(silent[:SILENT_NAMES_MAX]))


def report_name(instance: Instance) -> str:
    """Return the name under which a process reports, `Intake.instance`."""
    return f"{instance.token_id}/{instance.greeting.instance_id}"
