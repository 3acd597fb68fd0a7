"""One transition of the rollout machine, and what really happened before it, as its laws look at both.

Nothing here asks the machine how it does it. A `Ghost` remembers what the machine may not forget: who approved, and how
much soak and blindness really passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rollout_sdk.engine.model import Condition
from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    FINISH,
    Approve,
    Effect,
    Event,
    Guard,
    Phase,
    Promote,
    Refusal,
    Reject,
    Run,
    SetReaches,
    Tick,
    reaches,
    visible,
)

UNSEEN = {Standing.BLIND, Standing.SKEWED}


@dataclass(frozen=True)
class Ghost:
    """What really happened, kept outside of the machine.

    Attributes:
        soaked_ms: in the place the run is in, as much as could have counted.
        unseen_ms: counted since a tick last saw all guards; None when it did.
        yes: stage and person.
        runs: since the last tick it did nothing but run where it is.
    """

    soaked_ms: int = 0
    unseen_ms: int | None = None
    yes: frozenset[tuple[str, str]] = frozenset()
    runs: bool = False


@dataclass(frozen=True)
class Moment:
    """One transition: what was, what happened, what is."""

    before: Run
    event: Event
    after: Run
    effects: tuple[Effect, ...]
    ghost: Ghost
    later: Ghost

    @property
    def is_refused(self) -> bool:
        """The machine said no."""
        return any(isinstance(effect, Refusal) for effect in self.effects)

    @cached_property
    def grows(self) -> bool:
        """Somebody may be exposed who was not."""
        return grows(self.before, self.after)

    @cached_property
    def was_visible(self) -> SetReaches:
        """What SDKs decided with."""
        return visible(self.before)

    @cached_property
    def is_visible(self) -> SetReaches:
        """What SDKs decide with."""
        return visible(self.after)

    @cached_property
    def is_unseen(self) -> bool:
        """A guard that should see does not."""
        return is_unseen(self.before, self.event)

    @cached_property
    def is_broken(self) -> bool:
        """A guard that rolls back is degraded."""
        return is_broken(self.before, self.event)

    @property
    def passed_ms(self) -> int:
        """What a tick may add."""
        return passed_ms(self.event)

    @property
    def is_back(self) -> bool:
        """A clock went back."""
        last_ms = self.before.progress.last_tick_ms
        return isinstance(self.event, Tick) and last_ms is not None and self.event.now_ms < last_ms


def passed_ms(event: Event) -> int:
    """What a tick may add; the last tick was at 0."""
    return max(0, min(event.now_ms, 3 * event.tick_ms)) if isinstance(event, Tick) else 0


def counted_ms(run: Run, event: Event) -> int:
    """What a tick adds where it is not the first since a verb interrupted."""
    return 0 if run.progress.last_tick_ms is None else passed_ms(event)


def standings(guard: Guard, tick: Tick) -> list[Standing]:
    """What was said of a guard; nothing is blind."""
    return [one.standing for one in tick.verdicts if one.guard == guard.name] or [Standing.BLIND]


def judging(run: Run) -> list[Guard]:
    """Guards that can judge where the run is."""
    return [guard for guard in run.guards if run.stage_name != FINISH or guard.is_absolute]


def is_unseen(run: Run, event: Event) -> bool:
    """A guard that should see does not."""
    return isinstance(event, Tick) and any(UNSEEN & set(standings(guard, event)) for guard in judging(run))


def is_broken(run: Run, event: Event) -> bool:
    """A guard that rolls back is degraded."""
    return isinstance(event, Tick) and any(
        guard.action is Action.ROLLBACK and Standing.DEGRADED in standings(guard, event) for guard in run.guards
    )


def is_holding(run: Run, event: Event) -> bool:
    """The engine must wait."""
    if not isinstance(event, Tick):
        return False
    names = {guard.name for guard in judging(run)}
    degraded = any(
        guard.action is Action.HOLD and Standing.DEGRADED in standings(guard, event) for guard in judging(run)
    )
    return degraded or is_unseen(run, event) or any(one.hold for one in event.verdicts if one.guard in names)


def is_healthy(run: Run, tick: Tick) -> bool:
    """All guards that blame say so, and one at least."""
    said = [one for guard in run.guards if guard.action is not Action.NOTIFY for one in standings(guard, tick)]
    return set(said) - {Standing.UNJUDGED} == {Standing.HEALTHY}


def shares(run: Run) -> dict[Condition | None, int]:
    """The largest share of each audience."""
    largest: dict[Condition | None, int] = {}
    for _, audience, share_ppm in reaches(run):
        largest[audience] = max(largest.get(audience, 0), share_ppm)
    everyone = largest.get(None, 0)
    return {audience: max(share_ppm, everyone) for audience, share_ppm in largest.items()}


def grows(before: Run, after: Run) -> bool:
    """Somebody may be exposed who was not."""
    if before.entered == after.entered and after.phase in {before.phase, Phase.ROLLED_BACK}:
        return False
    was, everyone = shares(before), shares(before).get(None, 0)
    return any(share_ppm > was.get(audience, everyone) for audience, share_ppm in shares(after).items())


def demanded_ms(run: Run) -> int:
    """Soak, or watch, of the place a run is in."""
    return run.stage.soak_ms if run.stage else run.pipeline.finish.watch_ms


def full_ppm(run: Run) -> int:
    """The share that the place asks for."""
    return run.stage.share_ppm if run.stage else run.pipeline.finish.share_ppm


def is_soaking(run: Run, event: Event) -> bool:
    """A running, unblind tick at full share, that holds nothing."""
    return (
        isinstance(event, Tick)
        and run.phase in {Phase.RUNNING, Phase.WATCHING}
        and run.entered[-1].share_ppm == full_ppm(run)
        and not is_broken(run, event)
        and not is_holding(run, event)
        and not (event.closure is not None and event.closure != run.closure)
    )


def follow_ghost(ghost: Ghost, before: Run, event: Event, after: Run, *, is_refused: bool) -> Ghost:
    """Return what really happened so far."""
    if after.phase in {Phase.ROLLED_BACK, Phase.CANCELLED}:
        return Ghost()
    if is_refused:
        return ghost
    yes = ghost.yes
    if isinstance(event, Approve):
        yes |= {(before.stage_name, event.by)}
    if isinstance(event, Reject):
        yes = frozenset(one for one in yes if one[0] != before.stage_name)
    if isinstance(event, Promote) and after.place < before.place:
        left = {before.name_of(place) for place in range(after.place, before.place + 1)}
        yes = frozenset(one for one in yes if one[0] not in left)
    soaked_ms, unseen_ms = ghost.soaked_ms, ghost.unseen_ms
    if ghost.runs and is_soaking(before, event):
        soaked_ms = min(demanded_ms(before), soaked_ms + passed_ms(event))
    if after.place != before.place:
        soaked_ms = 0
    if isinstance(event, Tick):
        allowed_ms = before.pipeline.on_blind.hold_ms if before.pipeline.on_blind else 0
        longer_ms = 0 if unseen_ms is None else min(allowed_ms, unseen_ms + counted_ms(before, event))
        unseen_ms = longer_ms if before.pipeline.on_blind and is_unseen(before, event) else None
    is_running = after.phase in {Phase.RUNNING, Phase.WATCHING}
    stays = after.phase is before.phase and after.place == before.place
    runs = is_running and (isinstance(event, Tick) or (ghost.runs and stays))
    return Ghost(soaked_ms, unseen_ms, yes, runs)
