"""Visiting every state of a small world, breadth first, so that the way to a broken law is a shortest one."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rollout_server.domain.machine import (
    Event,
    Outcome,
    Progress,
    Refusal,
    Run,
    read_progress,
    read_run,
    restored,
    step,
    write_progress,
    write_run,
)
from tests.machine_laws import LAWS
from tests.machine_moments import Ghost, Moment, follow_ghost
from tests.machine_worlds import NUMBER, World

RESTART = "a restart changes nothing, and a checkpoint of another transition counts for nothing"
TOTAL = "step is total"
Node = tuple[Run, Ghost]


def restart(run: Run, checkpoint: Progress) -> Run:
    """Return what a new process makes of a stored run and the last checkpoint."""
    tree = json.loads(json.dumps(write_run(run, lambda pipeline: "pipeline")))
    found = read_progress(json.loads(json.dumps(write_progress(checkpoint))))
    return restored(read_run(tree, lambda tree: run.pipeline), found)


@dataclass(frozen=True)
class Machine:
    """The real one, or one with a fault."""

    step: Callable[[Run, Event], Outcome] = step
    restart: Callable[[Run, Progress], Run] = restart


REAL = Machine()


@dataclass(frozen=True)
class Broken:
    """A law that does not hold, and the shortest way there."""

    law: str
    way: tuple[Event, ...]
    before: Run
    after: Run | None

    def __str__(self) -> str:
        way = "\n  ".join(str(event) for event in self.way)
        return f"{self.law}\n  {way}\nbefore: {self.before}\nafter:  {self.after}"


class Exploration:
    """All states that can be reached, and what was broken on the way."""

    def __init__(self, world: World, machine: Machine = REAL, nodes_max: int = 200_000) -> None:
        self.world = world
        self.machine = machine
        self.nodes_max = nodes_max
        self.came_from: dict[Node, tuple[Node, Event] | None] = {}
        self.steps = 0
        self.moves: set[tuple[str, str, str]] = set()

    def broken(self) -> Iterator[Broken]:
        """Yield each law that breaks, as it is found; the exploration goes on as long as it is asked."""
        first: Node = (self.world.scheduled, Ghost())
        self.came_from = {first: None}
        waiting = deque([first])
        while waiting:
            node = waiting.popleft()
            yield from self._restarts(node)
            for event in self.world.events(node[0]):
                self.steps += 1
                try:
                    moment = self._moment(node, event)
                except Exception as error:  # noqa: BLE001 - a machine that raises is what is looked for
                    yield Broken(f"{TOTAL}: {error!r}", (*self._way(node), event), node[0], None)
                    continue
                self.moves.add((node[0].phase.value, type(event).__name__, moment.after.phase.value))
                for name, holds in LAWS[type(event)].items():
                    if not holds(moment):
                        yield Broken(name, (*self._way(node), event), moment.before, moment.after)
                if moment.after is node[0] and moment.later == node[1]:
                    continue
                following = (self.world.canonical(moment.after), moment.later)
                if following not in self.came_from:
                    assert len(self.came_from) < self.nodes_max, "the world is not as small as it should be"
                    self.came_from[following] = (node, event)
                    waiting.append(following)

    def _moment(self, node: Node, event: Event) -> Moment:
        run, ghost = node
        after, effects = self.machine.step(run, event)
        is_refused = any(isinstance(effect, Refusal) for effect in effects)
        later = follow_ghost(ghost, run, event, after, is_refused=is_refused)
        return Moment(run, event, after, effects, ghost, later)

    def _restarts(self, node: Node) -> Iterator[Broken]:
        run = node[0]
        journaled = replace(run, progress=Progress(transition=NUMBER))
        stale = replace(run.progress, transition=NUMBER - 1, soak_ms=10**9, ramp_ms=10**9, blind_ms=10**9)
        for stored, checkpoint in ((journaled, run.progress), (run, stale)):
            after = self.machine.restart(stored, checkpoint)
            if after != run:
                yield Broken(RESTART, self._way(node), run, after)

    def _way(self, node: Node) -> tuple[Event, ...]:
        way: list[Event] = []
        origin = self.came_from.get(node)
        while origin is not None:
            way.append(origin[1])
            origin = self.came_from[origin[0]]
        return tuple(reversed(way))
