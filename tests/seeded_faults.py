"""What a fault in the rollout machine is, and how one is seeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    TABLE,
    Event,
    Outcome,
    Phase,
    Run,
    Tick,
    step,
)
from rollout_server.domain.machine.table import Cell, follow
from tests.machine_exploration import Machine
from tests.machine_worlds import World

Step = Callable[[Run, Event], Outcome]
DEGRADED = "degraded rolls back from every phase that exposes anyone"
NO_SOAK_SKIPPED = "no soak is skipped"
SOAK_COUNTS = "soak and evidence go on: each running, unblind tick at full share counts, frozen or not"
SOAK_BOUND = "no more soak than time passed running"
NO_APPROVAL_SKIPPED = "no approval is skipped"
NEVER_BLIND = "blind or skewed never advances"
ORDER = "no stage runs twice or is skipped unless a person said so"
FROZEN = "frozen, nothing grows"
CONTROL = "no share beyond what the pipeline says, and the control stands until the finish"
TOO_LONG = "blind too long leads to what the pipeline says, and not before"
EXIT = "a stage is left only when its exit is met"
ALLOCATION = "reach stands still within an allocation"


@dataclass(frozen=True)
class Fault:
    """One thing done wrong.

    Attributes:
        law: that breaks first or later; the exploration must name it.
    """

    name: str
    law: str
    world: World
    machine: Machine


class Faults(list[Fault]):
    """Faults of one concern, in the order in which they are named."""

    def seed(self, name: str, law: str, world: World) -> Callable[[Step], Step]:
        """Name a faulty step."""

        def add(faulty: Step) -> Step:
            self.append(Fault(name, law, world, Machine(step=faulty)))
            return faulty

        return add

    def seed_in_table(
        self, name: str, law: str, world: World, changed: Mapping[tuple[Phase, type[Event]], Cell]
    ) -> None:
        """Name a table with faulty cells."""
        table = {**TABLE, **changed}
        self.append(Fault(name, law, world, Machine(step=lambda run, event: follow(table, run, event))))


def other(run: Run, event: Event, **fields: object) -> Outcome:
    """Do what the event would do with other fields."""
    return step(run, replace(event, **fields))  # type: ignore[arg-type]  # fields of that event


def saying(tick: Tick, was: Standing, now: Standing, guards: tuple[str, ...] = ()) -> Tick:
    """Let the tick say something else of these guards, or of all."""
    verdicts = tuple(
        replace(one, standing=now) if one.standing is was and (not guards or one.guard in guards) else one
        for one in tick.verdicts
    )
    return replace(tick, verdicts=verdicts)
