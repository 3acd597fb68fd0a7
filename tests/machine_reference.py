"""The rollout machine on one page, to compare with: one mutable object, no table, no effects, time in whole ticks.

It is told what a tick's verdicts come to. Every stage is for everyone. Whoever doubts `rollout_server.domain.machine`
reads this first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout_server.domain.rollouts import AfterHold, PipelineSpec

SAFE = ("rolled back", "cancelled")


@dataclass
class Sight:
    """What the verdicts of a tick come to."""

    broken: bool
    unseen: bool
    holding: bool
    healthy: bool


@dataclass
class Reference:
    pipeline: PipelineSpec
    tick_ms: int
    phase: str = "scheduled"
    shares: dict[int, int] = field(default_factory=dict)  # place to ppm; the last one is where it is
    soaked: int = 0  # ticks, in this place
    ramped_ms: int = 0
    unseen: int | None = None  # ticks
    ticked: bool = False  # since a verb interrupted
    yes: set[tuple[int, str]] = field(default_factory=set)
    finished: bool = False

    @property
    def place(self) -> int:
        return max(self.shares, default=-1)

    @property
    def at_finish(self) -> bool:
        return self.place == len(self.pipeline.stages)

    @property
    def exposed(self) -> dict[int, int]:
        return {} if self.phase in (*SAFE, "scheduled") else self.shares

    def tick(self, ticks: int, verdicts: Sight, *, exposed: int, frozen: bool) -> None:
        """`ticks` passed since the last one: more than three are three, fewer than none lead nowhere."""
        if self.phase in (*SAFE, "scheduled") or self.finished:
            return
        if verdicts.broken:
            self.phase = "rolled back"
        if self.phase in ("completed", "rolled back"):
            return
        is_back = self.ticked and ticks < 0
        passed, self.ticked = max(0, min(3, ticks)) if self.ticked else 0, True
        if not verdicts.unseen:
            self.unseen = None
        else:
            self.unseen = 0 if self.unseen is None else self.unseen + passed
        limit = self.pipeline.on_blind
        if (
            verdicts.unseen
            and limit
            and limit.then is AfterHold.ROLLBACK
            and (self.unseen or 0) * self.tick_ms >= limit.hold_ms
        ):
            self.phase = "rolled back"
        elif self.phase == "paused":
            return
        elif verdicts.unseen or verdicts.holding:
            self.phase = "held"
        elif is_back:
            return
        elif self.phase == "held":
            self.phase = "watching" if self.at_finish else "running"
        elif self.phase == "watching":
            self.soaked += passed
            if self.soaked * self.tick_ms >= self.pipeline.finish.watch_ms:
                self.phase = "completed"
        elif self.phase == "running":
            self.run(passed, healthy=verdicts.healthy, exposed=exposed, frozen=frozen)

    def run(self, passed: int, *, healthy: bool, exposed: int, frozen: bool) -> None:
        stage = self.pipeline.stages[self.place]
        if self.shares[self.place] < stage.share_ppm:  # ramping
            if not frozen:
                self.ramped_ms += passed * self.tick_ms
                self.shares[self.place] = self.ramp()
            return
        self.soaked += passed
        wanted = stage.exit
        if (
            self.soaked * self.tick_ms < stage.soak_ms
            or exposed < wanted.exposed
            or (wanted.is_healthy and not healthy)
        ):
            return
        if wanted.approval and self.given < wanted.approval.count:
            self.phase = "awaiting approval"
        elif not frozen:
            self.enter(self.place + 1)

    @property
    def given(self) -> int:
        return sum(place == self.place for place, _ in self.yes)

    def ramp(self) -> int:
        """Every stage here is everyone's, so a ramp starts from the largest share before."""
        stage = self.pipeline.stages[self.place]
        base = max((ppm for place, ppm in self.shares.items() if place < self.place), default=0)
        steps = max(1, min(20, stage.share_ppm - base))
        if stage.ramp_ms == 0 or steps == 1:
            return stage.share_ppm
        step = 1 + min(self.ramped_ms, stage.ramp_ms) * (steps - 1) // stage.ramp_ms
        return base + (stage.share_ppm - base) * step // steps

    def enter(self, place: int) -> None:
        self.shares[place] = 0
        self.soaked = self.ramped_ms = 0
        if self.at_finish:
            self.shares[place] = self.pipeline.finish.share_ppm
            self.phase = "watching" if self.pipeline.finish.watch_ms else "completed"
        else:
            self.shares[place] = self.ramp()
            self.phase = "running"

    def start(self) -> None:
        self.enter(0)
        self.ticked = False

    def pause(self) -> None:
        if self.phase != "paused":
            self.phase, self.ticked = "paused", False

    def resume(self) -> None:
        self.phase, self.ticked = "watching" if self.at_finish else "running", False

    def approve(self, person: str) -> None:
        approval = self.pipeline.stages[self.place].exit.approval
        self.yes.add((self.place, person))
        if self.phase == "awaiting approval" and approval and self.given >= approval.count:
            self.phase, self.ticked = "running", False

    def reject(self) -> None:
        self.yes = {one for one in self.yes if one[0] != self.place}
        self.phase, self.ticked = "paused", False

    def may_promote(self, place: int) -> bool:
        if place < self.place:
            return place in self.shares
        lacking = [
            index
            for index in range(self.place, min(place, len(self.pipeline.stages)))
            if (approval := self.pipeline.stages[index].exit.approval)
            and (index > self.place or self.given < approval.count)
        ]
        return self.phase in ("running", "held", "awaiting approval") and not lacking

    def promote(self, place: int) -> None:
        if place > self.place:
            self.enter(place)
        else:
            self.shares = {index: ppm for index, ppm in self.shares.items() if index <= place}
            self.yes = {one for one in self.yes if one[0] < place}
            self.soaked = self.ramped_ms = 0
            while self.ramp() < self.shares[place]:
                self.ramped_ms += 1
            self.phase = "paused" if self.phase == "paused" else "running"
        self.ticked = False

    def finish(self) -> None:
        self.finished = True

    def stop(self) -> None:
        if self.phase not in SAFE:
            self.phase = "rolled back"
