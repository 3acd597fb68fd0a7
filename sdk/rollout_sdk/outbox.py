"""Windows that wait for the server, in bounded room, and the one report that is under way.

Knows no clock and no network: times are given, in monotonic seconds.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rollout_sdk.sums import LossReason, Window

if TYPE_CHECKING:
    from rollout_sdk.sums import ArmKey, ArmSums, RunKey

WINDOWS_MAX: Final = 120
"""Windows that wait; beyond it the two oldest become one."""
CELLS_MAX: Final = 8_192
UNITS_MAX: Final = 262_144
"""Room of all that wait; beyond it the oldest window goes, and is counted as lost."""
AGE_MAX_S: Final = 6 * 3_600.0
"""Nobody judges a window that old any more."""
REPORT_CELLS_MAX: Final = 512
REPORT_UNITS_MAX: Final = 65_536
"""One report carries about as much, so that it is small beside what a server takes in one message."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is sent again, word for word but for the ages, until the server has acknowledged it.

    Attributes:
        sequence: from 1, one more for each report.
        windows: oldest first.
    """

    sequence: int
    windows: tuple[Window, ...]
    losses: tuple[tuple[LossReason, int], ...]


class Outbox:
    """What is still to be delivered. Belongs to one thread at a time."""

    def __init__(self) -> None:
        self._waiting: deque[Window] = deque()
        self._under_way: Report | None = None
        self._sequence = 0
        self._losses: Counter[LossReason] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether everything is acknowledged."""
        return self._under_way is None and not self._waiting and not self._losses

    def put(self, window: Window) -> None:
        """Add a closed window; make room where there is none."""
        self._losses.update(window.losses)
        window.losses = Counter()
        if not window.is_empty:
            self._waiting.append(window)
        while self._waiting and window.closed_at_s - self._waiting[0].closed_at_s > AGE_MAX_S:
            self._drop_oldest()
        while len(self._waiting) > WINDOWS_MAX:
            oldest = self._waiting.popleft()
            self._waiting[0].merge(oldest)
        while len(self._waiting) > 1 and (
            sum(each.cells for each in self._waiting) > CELLS_MAX
            or sum(each.units for each in self._waiting) > UNITS_MAX
        ):
            self._drop_oldest()

    def next_report(self, *, is_wanted: bool) -> Report | None:
        """Return the report to send now: the one under way if there is one.

        Args:
            is_wanted: make an empty one if there is nothing to say: it says that this process lives.
        """
        if self._under_way is None and (self._waiting or self._losses or is_wanted):
            self._sequence += 1
            losses, self._losses = tuple(sorted(self._losses.items())), Counter()
            self._under_way = Report(self._sequence, tuple(self._take()), losses)
        return self._under_way

    def acknowledge(self, sequence: int) -> None:
        """The server has this report, and will not take it twice."""
        if self._under_way is not None and self._under_way.sequence == sequence:
            self._under_way = None

    def refuse(self, sequence: int) -> None:
        """The server cannot read this report, and never will: it is lost, and the next goes on."""
        if self._under_way is not None and self._under_way.sequence == sequence:
            self._losses.update(dict(self._under_way.losses))
            self._losses[LossReason.REFUSED] += max(1, sum(map(_outcomes, self._under_way.windows)))
            self._under_way = None

    def _take(self) -> list[Window]:
        taken: list[Window] = []
        cells, units = REPORT_CELLS_MAX, REPORT_UNITS_MAX
        while self._waiting and cells > 0 and units > 0:
            window = self._waiting.popleft()
            head, rest = cut(window, cells, units)
            taken.append(head)
            cells -= head.cells
            units -= head.units
            if rest is not None:
                self._waiting.appendleft(rest)
                break
        return taken

    def _drop_oldest(self) -> None:
        self._losses[LossReason.TOO_OLD] += _outcomes(self._waiting.popleft())


def cut(window: Window, cells_max: int, units_max: int) -> tuple[Window, Window | None]:
    """Cut a window in two that add up to it; the first takes one arm at least, and has no more than this if it can."""
    head = Window(window.closed_at_s, unattributed=window.unattributed, losses=window.losses)
    rest = Window(window.closed_at_s)
    cells = units = 0
    for run, arms in window.runs.items():
        for key, sums in arms.items():
            fits = cells + sums.cells <= cells_max and units + sums.units <= units_max
            if (fits or not head.runs) and not rest.runs:
                cells += sums.cells
                units += sums.units
                _put(head, run, key, sums)
            else:
                _put(rest, run, key, sums)
    for part in (head, rest):
        part.bounds = {sample: bound for sample, bound in window.bounds.items() if sample[0] in part.runs}
    return head, rest if rest.runs else None


def _put(window: Window, run: RunKey, key: ArmKey, sums: ArmSums) -> None:
    window.runs.setdefault(run, {})[key] = sums


def _outcomes(window: Window) -> int:
    """Count what goes with a window."""
    return sum(
        sums.units + sum(events.n.total() for events in sums.events.values())
        for arms in window.runs.values()
        for sums in arms.values()
    )
