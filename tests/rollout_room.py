"""A controller in memory: journal, telemetry store, processes that report what a test says, and a clock it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from rollout_sdk.engine.capabilities import CAPABILITIES
from rollout_sdk.engine.model import Arm, Position
from rollout_sdk.wire.messages import Greeting
from rollout_server.app.actor import Actor
from rollout_server.app.environment import Environment
from rollout_server.app.gather_evidence import Sources
from rollout_server.app.ingest_telemetry import IngestTelemetry
from rollout_server.app.instances import Instances
from rollout_server.app.read_metrics import ReadMetrics
from rollout_server.app.run_rollouts import RunRollouts
from rollout_server.app.start_rollout import Moved, Starter, StartRollout, start_rollout
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.machine import Run
from rollout_server.domain.resources import Kind, Resource, ResourceId, RolloutStatus
from rollout_server.domain.rights import Role
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, RunId, WindowReport
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_metrics import MemoryMetrics
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.small_environment import document, flag, put

TICK_MS = 1_000
MINUTE_MS = 60_000
MIA = Actor("mia", "a1b2c3d4", Role.ADMIN)
KAI = Actor("kai", "e5f6a7b8", Role.APPROVER)
STAGES = [{"name": "canary", "share": "20%", "soak": "10s"}, {"name": "half", "share": "50%", "soak": "10s"}]
ERRORS = document("Metric", "errors", {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"})
POLICY = document("Policy", "people", {"groups": {"managers": ["mia", "kai"]}})
LAUNCH = ResourceId(Kind.ROLLOUT, "launch")
CHECKOUT = ResourceId(Kind.FLAG, "checkout")


def guarded(limit: Any = "+20%", action: str = "rollback") -> list[dict[str, Any]]:
    return [{"metric": "errors", "limit": limit, "action": action}]


def documents(*stages: dict[str, Any], pipeline: dict[str, Any] | None = None, **rollout: Any) -> list[Any]:
    """A flag that one rollout moves, and all that it needs."""
    spec = {"stages": list(stages or STAGES), "finish": {"share": "100%", "watch": "0s"}, **(pipeline or {})}
    return [
        ERRORS,
        POLICY,
        document("Pipeline", "quick", spec),
        document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}, tags=["web"]),
        document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "quick", **rollout}),
    ]


class Room:
    """One environment with its controller."""

    def __init__(self, environment: Environment, clock: FakeClock, store: MemoryTelemetry) -> None:
        self.environment = environment
        self.clock = clock
        self.store = store
        self.ingest = IngestTelemetry(
            store, WindowClock(clock, store.window_ms, -1), lambda: environment.ruleset, lambda: TICK_MS
        )
        self.instances = Instances(clock, lambda: environment.position, lambda _: None, frozenset)
        self.others: dict[str, Environment] = {}
        self.fence: int | None = 1
        if isinstance(environment.journal, MemoryJournal):
            environment.journal.newest_fence = 1
        self.metrics: Any = MemoryMetrics()
        self.runs = self.controller()
        self._sequence = 0
        self._unit = 0
        self.stream: object = None

    def controller(self) -> RunRollouts:
        """A fresh one, as after a restart."""
        reading = ReadMetrics(self.metrics, self.environment.name, self.clock, self.ingest.clock)
        sources = Sources(self.ingest, self.instances, self.clock, reading)
        self.runs = RunRollouts(self.environment, sources, self.instances, self.others.get, lambda: self.fence, TICK_MS)
        return self.runs

    async def start(self, target: str = "launch", who: str = "mia") -> Moved:
        starter = Starter(who, f"{who} (t)", frozenset({who}))
        return await start_rollout(self.environment, StartRollout(target), starter, self.instances, self.others.get)

    async def tick(self, count: int = 1) -> Run:
        """Let ticks pass."""
        for _ in range(count):
            self.clock.advance(TICK_MS)
            await self.runs.tick()
        return self.run()

    async def live(self, count: int = 1, **each: Any) -> Run:
        """Let ticks pass during which a process reports."""
        for _ in range(count):
            await self.report(**each)
            await self.tick()
        return self.run()

    def connect(self, capabilities: Iterable[str] = CAPABILITIES) -> None:
        """Let the one process of this environment hold a stream."""
        greeting = Greeting("i", "1", tuple(sorted(capabilities)), "shop", "host-1", 7, Position("e", 0), ())
        self.stream = self.instances.join(greeting, "t")

    async def report(self, candidate: tuple[int, int] = (0, 0), control: tuple[int, int] = (0, 0)) -> None:
        """Report units of both arms: how many, and how many of them failed."""
        self._sequence += 1
        run = self.run()
        arms = []
        for arm, (count, bad) in ((Arm.CANDIDATE, candidate), (Arm.CONTROL, control)):
            units = [self._next_unit() for _ in range(count)]
            place = Place(RunId("launch", run.number), run.allocation, run.entered[-1].share_ppm, "", arm)
            outcomes = tuple(Outcome(unit, float(at < bad)) for at, unit in enumerate(units))
            arms.append(
                ArmReport(place, outcomes=(("errors", outcomes),), exposed=tuple(units), reporting=tuple(units))
            )
        report = Report("i", self._sequence, (WindowReport(0, tuple(arms) if run.entered else ()),))
        await self.ingest.take("t", report)

    def rollout(self, key: str = "launch") -> Resource:
        resource = self.environment.resource(ResourceId(Kind.ROLLOUT, key))
        assert resource is not None
        return resource

    def run(self, key: str = "launch") -> Run:
        status = self.rollout(key).status
        assert isinstance(status, RolloutStatus)
        assert status.run is not None
        return status.run

    def metric(self) -> MetricSpec:
        """The one metric there is."""
        spec = self.environment.state.resources[ResourceId(Kind.METRIC, "errors")].spec
        assert isinstance(spec, MetricSpec)
        return spec

    async def actions(self) -> list[str]:
        """What the journal tells, oldest first."""
        return [one.action for one in await self.environment.journal.entries(0, 500)]

    def _next_unit(self) -> int:
        self._unit += 1
        return self._unit


@asynccontextmanager
async def room(*given: Any) -> AsyncIterator[Room]:
    """A room in which these documents stand."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    environment = Environment(journal, clock)
    await environment.start()
    await put(environment, *(given or documents()))
    try:
        yield Room(environment, clock, MemoryTelemetry(window_ms=1_000))
    finally:
        await environment.close()
        await journal.close()


def plain(key: str) -> Any:
    """A flag that no rollout moves."""
    return flag(key)
