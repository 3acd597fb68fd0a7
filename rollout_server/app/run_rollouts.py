"""The controller: every few seconds it reads what came in, asks the statistics, and steps each run of an environment.

What a step changes for people or SDKs is one entry of the journal; the rest (soak, evidence) is kept beside it. The
order makes every instant safe to die at: evidence is kept before the entry that rests on it, so windows are judged
once; progress after it, so that a stage's soak is never counted for the next. docs/adr/0015 has the reasons.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.model import DEFAULT_UNIT
from rollout_server.app.gather_evidence import Gathered, Sources, gather
from rollout_server.app.read_metrics import ReadMetrics
from rollout_server.app.start_rollout import SCHEDULE, Starter, StartRollout, start_rollout
from rollout_server.app.tick_times import TickTimes
from rollout_server.domain.closures import closure_of
from rollout_server.domain.frozen import is_frozen, may_grow
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.journal import Draft, versions
from rollout_server.domain.judging import (
    Standpoint,
    Watched,
    absorbed,
    as_seen,
    exposed_units,
    judged,
    standpoint_of,
    unseen,
    watched,
)
from rollout_server.domain.machine import EXPOSING, Phase, Run, Tick, is_transition, restored, sentence, step
from rollout_server.domain.resources import FlagSpec, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollout_states import rollout_state_of
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.domain.run_memory import RunMemory, fresh, read_memory, write_memory
from rollout_server.domain.schedule import awaited_ms
from rollout_server.domain.telemetry import PROCESS_LOST, RunId
from rollout_server.domain.transitions import changes_of
from rollout_server.errors import Conflict, RolloutError, Unavailable
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_server.app.environment import Environment
    from rollout_server.app.fleet import Fleet
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.served import Served
    from rollout_server.domain.machine.effects import Outcome
    from rollout_server.domain.resources import Resource
    from rollout_server.ports import MetricSource

Fence: TypeAlias = "Callable[[], int | None]"
"""Returns the token of the lease while this server holds it; None while another one drives."""

ENGINE = "engine"
_ACTIONS = {
    Phase.ROLLED_BACK: "rollback",
    Phase.HELD: "hold",
    Phase.AWAITING_APPROVAL: "await approval",
    Phase.WATCHING: "watch",
    Phase.COMPLETED: "complete",
}


class RunRollouts:
    """Drives the runs of one environment. Lives on one event loop.

    Attributes:
        memories: what is known of each run under way, as of the last tick.
        ticks: how they go.
    """

    def __init__(
        self,
        environment: Environment,
        sources: Sources,
        fleet: Fleet,
        elsewhere: Callable[[str], Environment | None],
        fence: Fence,
        tick_ms: int,
    ) -> None:
        """Know of no run yet.

        Args:
            environment: whose.
            sources: of evidence.
            fleet: the connected SDKs.
            elsewhere: returns another environment of this server by name.
            fence: of the lease under which this server drives.
            tick_ms: how far apart ticks should be.
        """
        self.memories: dict[RunId, RunMemory] = {}
        self.ticks = TickTimes()
        self._environment = environment
        self._sources = sources
        self._fleet = fleet
        self._elsewhere = elsewhere
        self._fence = fence
        self._tick_ms = tick_ms
        self._token = 0
        self._reporting = sources.reporting()
        self._complained: dict[str, str] = {}
        self._is_store_away = False

    @property
    def ingest(self) -> IngestTelemetry:
        """Where its evidence comes in."""
        return self._sources.ingest

    @property
    def tick_ms(self) -> int:
        """How far apart ticks should be."""
        return self._tick_ms

    async def keep_ticking(self) -> None:
        """Tick until cancelled; whatever a tick fails at, the next one tries again."""
        clock = self._environment.clock
        while True:
            began_ms = clock.monotonic_ms()
            await self.tick()
            rest_ms = self._tick_ms - (clock.monotonic_ms() - began_ms)
            await asyncio.sleep(max(rest_ms, self._tick_ms // 10) / 1_000)

    async def known(self, run: Run) -> RunMemory:
        """Return what ticks learned of a run, here or on the server that drives it; never raises."""
        memory = self.memories.get(_id(run))
        if memory is not None:
            return memory
        try:
            kept = await self._sources.ingest.store.checkpoint(_id(run))
        except RolloutError:
            kept = None
        return fresh(_id(run), run.progress) if kept is None else read_memory(kept, run.progress)

    async def tick(self) -> None:
        """Look at every rollout once. One that fails is said, and stops no other."""
        token = self._fence()
        if token is None:
            self.memories.clear()
            self.ticks.rests()
            return
        clock = self._environment.clock
        began_ms = clock.monotonic_ms()
        self.ticks.began(began_ms)
        self._token = token  # the whole tick is decided under it, whatever is taken over or back meanwhile
        self._reporting = self._sources.reporting()
        resources = self._environment.state.resources
        for id_ in sorted((one for one in resources if one.kind is Kind.ROLLOUT), key=str):
            try:
                await self._look_after(id_)
            except RolloutError as error:
                self.ticks.failures += 1
                self._complain(id_, error)
            except Exception as error:  # noqa: BLE001 - one run's bug must not leave the others unguarded
                self.ticks.failures += 1
                self._environment.report(f"the tick of {id_} failed", error)
            else:
                self._complained.pop(str(id_), None)
        self._forget()
        self.ticks.ended(began_ms, clock.monotonic_ms())

    async def _look_after(self, id_: ResourceId) -> None:
        rollout = self._environment.resource(id_)
        if rollout is None or not isinstance(rollout.spec, RolloutSpec):
            return
        run = _status(rollout).run
        start_ms = awaited_ms(rollout)
        now_ms = self._environment.clock.now_ms()
        if start_ms is not None and start_ms <= now_ms:
            if may_grow(self._environment.state.resources, id_.key, rollout.spec.flag, now_ms):
                await self._start(rollout)
        elif run is not None and run.phase in EXPOSING and not run.is_finished:
            await self._guard(rollout, run)
        elif run is not None and run.need is not None and not run.need.acknowledged_by:
            memory = await self._remembered(run)
            await self._step(rollout, restored(run, memory.progress), memory, Tick(now_ms, self._tick_ms))

    async def _start(self, rollout: Resource) -> None:
        command = StartRollout(str(rollout.id))
        starter = Starter(SCHEDULE, SCHEDULE, fence=self._token)
        await start_rollout(self._environment, command, starter, self._fleet, self._elsewhere)

    async def _guard(self, rollout: Resource, run: Run) -> None:
        """Judge a run that exposes somebody, and step it."""
        memory = await self._remembered(run)
        run = restored(run, memory.progress)
        state = self._environment.state
        metrics = {one.key: each.spec for one, each in state.resources.items() if isinstance(each.spec, MetricSpec)}
        guards = watched(run, metrics)
        if memory.is_unread:
            memory = replace(memory, verdicts=unseen(guards))
        else:
            try:
                seen = rollout_state_of(rollout, state.resources)
                gathered = await gather(self._sources, self._reporting, seen, guards, memory.evidence)
                memory = await asyncio.to_thread(_judged, memory, guards, self._standpoint(run), gathered)
            except Unavailable:
                memory = replace(memory, verdicts=unseen(guards))
        await self._step(rollout, run, memory, self._tick(run, memory))

    def _tick(self, run: Run, memory: RunMemory) -> Tick:
        resources, now_ms = self._environment.state.resources, self._environment.clock.now_ms()
        return Tick(
            now_ms=now_ms,
            tick_ms=self._tick_ms,
            verdicts=as_seen(memory.verdicts),
            exposed_units=exposed_units(run, memory.evidence),
            is_frozen=is_frozen(resources, run.flag, now_ms),
            may_grow=may_grow(resources, run.rollout, run.flag, now_ms),
            closure=closure_of(resources, ResourceId(Kind.ROLLOUT, run.rollout)),
        )

    async def _step(self, rollout: Resource, run: Run, memory: RunMemory, tick: Tick) -> None:
        """Step, and write what follows."""
        outcome = step(run, tick)
        after = outcome[0]
        if is_transition(run, after):
            await self._keep(run, memory)
            if not await self._commit(rollout, run, outcome, memory, tick):
                return
        memory = replace(memory, progress=after.progress)
        self.memories[_id(run)] = memory
        await self._keep(run, memory)

    async def _commit(self, rollout: Resource, before: Run, outcome: Outcome, memory: RunMemory, tick: Tick) -> bool:
        """Write the transition; False where somebody else wrote first, and the next tick decides on that ground."""
        environment, after = self._environment, outcome[0]
        resources = environment.state.resources
        changes = changes_of(
            resources, rollout, outcome, by=ENGINE, at_ms=tick.now_ms, verdicts=memory.verdicts or None
        )
        draft = Draft(
            reads={**versions(environment.state, changes), rollout.id: rollout.version},
            changes=changes,
            actor=ENGINE,
            action=_action(before, after),
            at_ms=tick.now_ms,
            reason=after.notices[-1].sentence if after.notices else sentence(after),
            fence=self._token,
            epoch=environment.position.epoch,
        )
        try:
            await environment.commit(draft)
        except Conflict:
            return False
        return True

    async def _remembered(self, run: Run) -> RunMemory:
        """Return what is known of a run: from the last tick, else as it was kept, else nothing.

        Where the store is away nothing is known and nothing is judged: time goes on, and blindness with it.
        """
        memory = self.memories.get(_id(run))
        if memory is not None and not memory.is_unread:
            return memory
        progress = memory.progress if memory is not None else run.progress
        try:
            kept = await self._sources.ingest.store.checkpoint(_id(run))
        except Unavailable:
            return replace(fresh(_id(run), progress), is_unread=True)
        if kept is None:
            return self._from_now(fresh(_id(run), progress))
        read = read_memory(kept, run.progress)
        for damage in read.damage:
            get_logger().error("evidence is left behind", environment=self._environment.name, what=damage)
        return read if memory is None else replace(read, progress=progress)

    def _from_now(self, memory: RunMemory) -> RunMemory:
        """Processes are counted whether or not a run is under way: those before it are none of its evidence."""
        now = self._sources.ingest.clock.window_at(self._sources.ingest.clock.now_ms())
        return replace(memory, evidence=replace(memory.evidence, judged={PROCESS_LOST: now - 1}))

    async def _keep(self, run: Run, memory: RunMemory) -> None:
        """Keep what a tick learned; where the store is away a later tick does.

        Raises:
            Conflict: another controller has taken over.
        """
        if memory.is_unread:
            return
        try:
            await self._sources.ingest.store.keep(write_memory(_id(run), self._token, memory))
        except Unavailable as error:
            if not self._is_store_away:
                self._environment.report("evidence cannot be kept; ticks go on with what they remember", error)
            self._is_store_away = True
        else:
            self._is_store_away = False

    def _standpoint(self, run: Run) -> Standpoint:
        flag = self._environment.resource(ResourceId(Kind.FLAG, run.flag))
        unit = flag.spec.unit if flag is not None and isinstance(flag.spec, FlagSpec) else DEFAULT_UNIT
        return standpoint_of(run, unit, self._sources.ingest.clock.window_ms)

    def _forget(self) -> None:
        present = {
            _id(status.run)
            for one in self._environment.state.resources.values()
            if isinstance(status := one.status, RolloutStatus) and status.run is not None
        }
        for gone in self.memories.keys() - present:
            del self.memories[gone]

    def _complain(self, id_: ResourceId, error: RolloutError) -> None:
        """Say once, and again only when it is something else, why a rollout cannot go on."""
        if self._complained.get(str(id_)) != str(error):
            self._complained[str(id_)] = str(error)
            get_logger().warning(
                "a rollout waits", environment=self._environment.name, rollout=id_.key, why=str(error), hint=error.hint
            )


def controllers(
    served: Mapping[str, Served],
    telemetry: Mapping[str, IngestTelemetry],
    source: MetricSource | None,
    fences: Mapping[str, Fence],
    tick_ms: int,
) -> dict[str, RunRollouts]:
    """Return a controller for each environment of this server, by name.

    Args:
        served: environments by name.
        telemetry: of the same.
        source: of metrics that SDKs do not report.
        fences: of each environment; see `RunRollouts`.
        tick_ms: how far apart ticks should be.
    """

    def elsewhere(name: str) -> Environment | None:
        return served[name].environment if name in served else None

    return {
        name: RunRollouts(
            one.environment,
            Sources(
                telemetry[name],
                one.fleet,
                one.environment.clock,
                ReadMetrics(source, name, one.environment.clock, telemetry[name].clock),
            ),
            one.fleet,
            elsewhere,
            fences[name],
            tick_ms,
        )
        for name, one in served.items()
    }


def _judged(memory: RunMemory, guards: tuple[Watched, ...], standpoint: Standpoint, gathered: Gathered) -> RunMemory:
    evidence = absorbed(memory.evidence, guards, standpoint, gathered.found, gathered.exposures)
    return replace(memory, evidence=evidence, verdicts=judged(evidence, guards, standpoint, gathered.found))


def _action(before: Run, after: Run) -> str:
    if after.phase is not before.phase and after.phase in _ACTIONS:
        return _ACTIONS[after.phase]
    if after.place != before.place or after.entered != before.entered:
        return "advance"
    if before.phase is Phase.HELD and after.phase is not Phase.HELD:
        return "go on"
    is_called = after.need is not None and before.need is not None and after.need.told > before.need.told
    return "escalate" if is_called else "note"


def _id(run: Run) -> RunId:
    return RunId(run.rollout, run.number)


def _status(rollout: Resource) -> RolloutStatus:
    if not isinstance(rollout.status, RolloutStatus):
        raise TypeError(f"{rollout.id} has no status of a rollout")
    return rollout.status
