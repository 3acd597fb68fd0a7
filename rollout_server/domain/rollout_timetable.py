"""When a run enters each stage at the earliest: the real machine, driven by ideal ticks.

Ideal is: every guard healthy, enough units exposed, each approval given the moment its stage is entered, ticks on time.
Nothing here knows what a soak, a ramp or a freeze does to a run; it only asks `machine.step`. Stretches in which no
tick does anything but add time are taken in one tick of their whole length, which adds exactly what the many would
have; the tick that does something is found by halving, and given alone. So a year of soak costs twenty steps, and the
result is that of every tick in turn (tests/properties/test_rollout_plan.py).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.domain import calendar
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    ENDED,
    Approve,
    Judged,
    Phase,
    Resume,
    Run,
    Start,
    Tick,
    is_transition,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_server.domain.machine import Event
    from rollout_server.domain.rollouts import FreezeSpec

HORIZON_MS = 10 * 366 * 86_400_000
"""What does not happen within ten years is never planned."""

_WORDS = ("thaw", "turn")


@dataclass(frozen=True, slots=True)
class Course:
    """What the times of a run depend on, besides the run itself.

    Attributes:
        now_ms: Unix epoch, UTC. Ticks come at now + tick, now + 2 ticks, and so on.
        freezes: of the environment.
        tags: of the flag.
        line: the other runs, which take their turns after a freeze; one without an end is taken to go on.
        start: RFC 3339 moment before which a run that has not started does not; empty is now.
    """

    now_ms: int
    tick_ms: int
    freezes: tuple[FreezeSpec, ...] = ()
    tags: tuple[str, ...] = ()
    line: tuple[calendar.Line, ...] = ()
    start: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A moment at which a run exposes more, or ends.

    Attributes:
        run: from that moment on.
        waited_for: what kept it from coming sooner, besides soaks and ramps: "schedule", "thaw", "turn".
    """

    at_ms: int
    run: Run
    waited_for: tuple[str, ...] = ()

    @property
    def place(self) -> int:
        """Index of the stage; the number of stages is the finish."""
        return self.run.place

    @property
    def share_ppm(self) -> int:
        """Share of the stage's audience that is exposed from then on."""
        return self.run.entered[-1].share_ppm


@dataclass(frozen=True, slots=True)
class Timetable:
    """A run's way to its end.

    Attributes:
        arrivals: every stage entered and every step of a ramp, in order; of a run under way the first is where it
            stands now.
        completed_ms: None where it does not get there within the horizon.
    """

    arrivals: tuple[Arrival, ...]
    completed_ms: int | None


def timetable(run: Run, course: Course) -> Timetable:
    """Return when a run gets where, if all goes well from now on. A paused one is resumed now.

    Args:
        run: scheduled, or under way.
        course: what else counts.
    """
    drive = _Drive(run, course)
    arrivals = tuple(drive.arrivals())
    return Timetable(arrivals, drive.now_ms if drive.run.phase is Phase.COMPLETED else None)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """How many of the next ticks are alike, and what they say."""

    count: int
    is_frozen: bool
    may_grow: bool


class _Drive:
    def __init__(self, run: Run, course: Course) -> None:
        self.run = run
        self.now_ms = course.now_ms
        self._course = course
        self._waited_for: tuple[str, ...] = ()

    def arrivals(self) -> Iterator[Arrival]:
        """Yield them, driving."""
        if self.run.phase is Phase.SCHEDULED and not self._begins():
            return
        if self.run.phase is Phase.PAUSED:
            self._do(Resume("", self.now_ms, self.run.stage_name))
        while True:
            self._approve()
            yield Arrival(self.now_ms, self.run, self._waited_for)
            self._waited_for = ()
            entered = self.run.entered
            while self.run.entered == entered:
                if self.run.phase in ENDED or not self._advances():
                    return

    def _do(self, event: Event) -> None:
        self.run, _ = step(self.run, event)

    def _approve(self) -> None:
        """Give every approval that leaving the stage may ask for. The machine takes more than it needs."""
        stage = self.run.stage
        approval = stage.exit.approval if stage else None
        for number in range(approval.count if approval else 0):
            self._do(Approve(f"/{number}", self.now_ms, self.run.stage_name))

    def _begins(self) -> bool:
        """Start at the first tick that is due, not frozen, and the run's turn after a freeze that held it."""
        course = self._course
        due_ms = calendar.parse_moment_ms(course.start) if course.start else course.now_ms
        if due_ms is None:  # refused at publish
            return False
        if due_ms > course.now_ms:
            self._waited_for = ("schedule",)
            self.now_ms += -(-(due_ms - course.now_ms) // course.tick_ms) * course.tick_ms
        own = [calendar.Line(self.run.rollout, due_ms, None, course.tags)] if course.start else []
        while True:
            frozen = calendar.is_frozen(course.freezes, course.tags, self.now_ms)
            free_ms = calendar.next_thaw(course.freezes, course.tags, self.now_ms) if frozen else self._turn_ms(own)
            if free_ms is not None and free_ms <= self.now_ms:
                break
            if free_ms is None or free_ms > course.now_ms + HORIZON_MS:
                return False
            self._waited_for = tuple(dict.fromkeys((*self._waited_for, "thaw" if frozen else "turn")))
            self.now_ms += -(-(free_ms - self.now_ms) // course.tick_ms) * course.tick_ms
        self.run = replace(self.run, scheduled_ms=due_ms if course.start else 0)
        self._do(Start("schedule", self.now_ms))
        return self.run.phase is not Phase.SCHEDULED

    def _turn_ms(self, own: list[calendar.Line]) -> int:
        """Return from when on a start that stood in line may go; what a person starts never stood there."""
        course = self._course
        past = calendar.thaws(course.freezes, course.tags, self.now_ms) if own else ()
        turns_ms = (calendar.turn_ms(self.run.rollout, thaw, [*own, *course.line]) for thaw in past)
        return max(turns_ms, default=self.now_ms)

    def _advances(self) -> bool:
        """Give ticks up to the next that does something, or to the next that is another kind of tick.

        Returns:
            Whether there is any use in going on.
        """
        stretch = self._stretch()
        if self._does(stretch, stretch.count):
            low, high = 0, stretch.count  # low ticks at once do nothing, high do
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._does(stretch, middle) else (middle, high)
            self._tick(stretch, low)
            self._tick(stretch, 1)
        else:
            self._tick(stretch, stretch.count)
        found = tuple(word for word in _WORDS if word in self.run.progress.waits_for)
        self._waited_for = tuple(dict.fromkeys((*self._waited_for, *found)))
        return self.now_ms <= self._course.now_ms + HORIZON_MS

    def _stretch(self) -> _Stretch:
        course, run, first_ms = self._course, self.run, self.now_ms + self._course.tick_ms
        own = [] if run.in_line_ms is None else [calendar.Line(run.rollout, run.in_line_ms, None, course.tags)]
        past = calendar.thaws(course.freezes, course.tags, first_ms)
        turns_ms = [calendar.turn_ms(run.rollout, thaw, [*own, *course.line]) for thaw in past]
        change_ms = calendar.next_change(course.freezes, course.tags, first_ms)
        changes_ms = [*turns_ms, first_ms + HORIZON_MS, *([] if change_ms is None else [change_ms])]
        until_ms = min(moment_ms for moment_ms in changes_ms if moment_ms > first_ms)
        # After a tick at another moment the next one adds nothing, or another length: it goes alone.
        is_regular = run.progress.last_tick_ms == self.now_ms
        return _Stretch(
            count=-(-(until_ms - first_ms) // course.tick_ms) if is_regular else 1,
            is_frozen=calendar.is_frozen(course.freezes, course.tags, first_ms),
            may_grow=all(first_ms >= turn_ms for turn_ms in turns_ms),
        )

    def _does(self, stretch: _Stretch, count: int) -> bool:
        return is_transition(self.run, step(self.run, self._event(stretch, count))[0])

    def _tick(self, stretch: _Stretch, count: int) -> None:
        if count:
            self._do(self._event(stretch, count))
            self.now_ms += count * self._course.tick_ms

    def _event(self, stretch: _Stretch, count: int) -> Tick:
        length_ms = count * self._course.tick_ms
        return Tick(
            now_ms=self.now_ms + length_ms,
            tick_ms=length_ms,
            verdicts=tuple(Judged(guard.name, Standing.HEALTHY) for guard in self.run.guards),
            exposed_units=sys.maxsize,
            is_frozen=stretch.is_frozen,
            may_grow=stretch.may_grow,
        )
