"""A room in which anything happens, and whose laws are checked after whatever happened."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import PPM, Arm, Origin
from rollout_server.app.apply import Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.environment import Environment
from rollout_server.app.freeze import Freeze, Thaw, freeze, thaw
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.window_clock import WindowClock
from rollout_server.domain.frozen import is_frozen
from rollout_server.domain.guardrails.data import Cell
from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import EXPOSING, FINISH, Phase, Run
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId
from rollout_server.domain.telemetry import ArmReport, Outcome, Place, Report, RunCheckpoint, RunId, WindowReport
from rollout_server.errors import RolloutError
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.doubles.memory_telemetry import MemoryTelemetry
from tests.journal_judge import JournalJudge, run_of
from tests.rollout_room import KAI, MIA, POLICY, TICK_MS, Room
from tests.small_environment import document

ROLLOUTS = ("launch", "relaunch", "gate-launch")
FLAGS = ("checkout", "gate")
FLAG_OF = {"launch": "checkout", "relaunch": "checkout", "gate-launch": "gate"}
VERBS = ("pause", "resume", "promote", "approve", "reject", "finish", "ack", "cancel")
REPORTS = ("none", "quiet", "fine", "fine", "bad", "skewed", "late", "impossible", "repeated", "silent arm")
ORIGIN = Origin()
UNITS = 100
POPULATION = tuple(Context(f"u-{number}", plan=("pro", "free", "pro", "team")[number % 4]) for number in range(60))
TEAMS = {"attribute": "plan", "equals": "team"}
ERRORS = {"measures": "proportion", "per": "unit", "bad": "high", "late": "0s"}
CLICKS = {"measures": "proportion", "per": "event", "bad": "low", "late": "0s"}
CAREFUL: dict[str, Any] = {
    "stages": [
        {"name": "staff", "audience": {"cohort": "staff"}, "share": "100%", "soak": "2s"},
        {"name": "canary", "share": "20%", "soak": "3s", "exit": {"guardrails": "healthy"}},
        {"name": "pro", "audience": {"attribute": "plan", "equals": "pro"}, "share": "40%", "ramp": "3s", "soak": "2s"},
        {"name": "half", "share": "50%", "soak": "2s", "exit": {"approval": {"from": "managers", "count": 2}}},
    ],
    "finish": {"share": "100%", "watch": "4s"},
    "guardrails": [
        {"metric": "errors", "limit": "+20%", "action": "rollback"},
        {"metric": "errors", "limit": {"absolute": 0.4}, "action": "rollback"},
        {"metric": "clicks", "limit": "-30%", "action": "hold"},
    ],
    "on_blind": {"hold": "8s", "then": "rollback"},
    "escalation": [{"after": "0s", "notify": "team"}, {"after": "5s", "notify": "team"}],
}
BRISK: dict[str, Any] = {
    "stages": [
        {"name": "tenth", "share": "10%", "soak": "2s"},
        {"name": "most", "share": "90%", "ramp": "5s", "soak": "2s"},
    ],
    "finish": {"share": "100%", "watch": "0s"},
}


def flag_of(key: str, seed: int = 0) -> Document:
    """A flag as some edit leaves it; 0 is how it began."""
    if key == "gate":
        launch = {"id": "launch", "when": {"attribute": "plan", "equals": "pro"}, "rollout": "gate-launch"}
        return document("Flag", "gate", {"default": "off" if seed % 2 else "on", "rules": [launch]})
    rules: list[dict[str, Any]] = [
        {"id": "launch", "when": {"not": TEAMS}, "rollout": "launch"},
        {"id": "again", "rollout": "relaunch"},
    ]
    if seed % 2:
        rules.insert(0, {"id": "vip", "when": {"unit": "user", "in": ["u-1", "u-2"]}, "serve": "on"})
    if seed % 4 > 1:
        rules[-2:] = [{"id": "again", "rollout": "relaunch", "when": {"cohort": "staff"}}, *rules[-2:-1]]
    never = ["banned"] if seed > 3 else []
    requires = [{"flag": "gate", "variants": ["on"]}]
    return document("Flag", "checkout", {"rules": rules, "never": never, "requires": requires}, tags=["web"])


def documents() -> list[Document]:
    """Two rollouts of one flag, one of its prerequisite, and what they rest on."""
    moves = {"from": "off", "to": "on"}
    return [
        POLICY,
        document("Channel", "team", {"webhook": "https://example.com/hook"}),
        document("Metric", "errors", ERRORS),
        document("Metric", "clicks", CLICKS),
        document("Cohort", "staff", {"include": ["u-1", "u-2", "u-3"]}),
        document("Cohort", "banned", {"include": ["u-5"]}),
        document("Pipeline", "careful", CAREFUL),
        document("Pipeline", "brisk", BRISK),
        flag_of("gate"),
        flag_of("checkout"),
        document("Rollout", "launch", {**moves, "flag": "checkout", "pipeline": "careful"}),
        document("Rollout", "relaunch", {**moves, "flag": "checkout", "pipeline": "brisk"}),
        document("Rollout", "gate-launch", {**moves, "flag": "gate", "pipeline": "brisk"}),
    ]


class Died(BaseException):
    """The process is gone, in the middle of a tick: nothing after it happens."""


class MortalTelemetry(MemoryTelemetry):
    """A store at whose door the controller dies: before so many more checkpoints, or never."""

    lives: int | None = None

    async def keep(self, checkpoint: RunCheckpoint) -> None:
        if self.lives is not None:
            if self.lives <= 0:
                raise Died
            self.lives -= 1
        await super().keep(checkpoint)


class RoughRoom:
    """An environment, its controller, one process that reports, and everything that may go wrong."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(clock=self.clock)
        self.store = MortalTelemetry(window_ms=TICK_MS)
        self.judge = JournalJudge()
        self.sequence = 0
        self.unit = 0
        self.freezes = 0
        self.given_ms = 0
        self.fence = 1
        self.exposed: dict[str, frozenset[int]] = {}

    async def open(self) -> None:
        await self._serve()
        await apply(self.environment, Apply(tuple(documents())), MIA, self.stand.instances)
        self.exposed = self.decided()
        await self.check()

    async def _serve(self) -> None:
        self.environment = Environment(self.journal, self.clock)
        await self.environment.start()
        self.stand = Room(self.environment, self.clock, self.store)
        self.stand.fence = self.journal.newest_fence = self.fence
        self.stand.connect()

    async def close(self) -> None:
        self.journal.is_away = self.store.is_away = False
        await self.check()
        assert self.judge.resources == self.environment.state.resources, "the state is the fold of the journal"
        assert (await self.journal.verify(self.environment.position)).intact
        await self.environment.close()
        await self.journal.close()

    # ------------------------------------------------------------------------------------------- what may happen

    async def live(self, count: int, report: str) -> None:
        """Let ticks pass during which the process reports, or does not."""
        for _ in range(count):
            for key in ROLLOUTS:
                await self.report(key, report)
            await self.tick()

    async def tick(self) -> None:
        """One tick: runs only grow, or end; what is frozen stands; what is broken is rolled back."""
        self.clock.advance(TICK_MS)
        before, was = {key: self.run(key) for key in ROLLOUTS}, self.exposed
        resources = self.environment.state.resources
        frozen = {key for key in ROLLOUTS if is_frozen(resources, FLAG_OF[key], self.clock.now_ms())}
        with contextlib.suppress(Died):
            await self.stand.runs.tick()
        self.exposed = self.decided()
        is_shrunk = any(self._has_ended(before[key], self.run(key)) for key in ROLLOUTS)
        for key in ROLLOUTS:
            if self._has_ended(before[key], self.run(key)):
                assert not self.exposed[key]
            elif not is_shrunk:
                assert was[key] <= self.exposed[key], f"{key} shrinks although nothing ended"
            if frozen == set(ROLLOUTS):
                assert self.exposed[key] <= was[key], f"{key} grows while frozen"
            if not self.journal.is_away and self.store.lives is None and self.fence == self.journal.newest_fence:
                self._check_obeyed(key)
        await self.check()

    def _has_ended(self, before: Run | None, after: Run | None) -> bool:
        return before is not None and before.phase in EXPOSING and after is not None and after.phase not in EXPOSING

    def _check_obeyed(self, key: str) -> None:
        """Degraded with action rollback has ended the run in the tick that saw it."""
        run = self.run(key)
        if run is None or run.phase not in EXPOSING or run.is_finished:
            return
        memory = self.stand.runs.memories.get(RunId(key, run.number))
        broken = {guard.name for guard in run.guards if guard.action is Action.ROLLBACK}
        for name, verdict in memory.verdicts if memory is not None else ():
            assert verdict.standing is not Standing.DEGRADED or name not in broken, f"{key} goes on: {verdict.sentence}"

    async def start(self, key: str, who: str) -> None:
        frozen = is_frozen(self.environment.state.resources, FLAG_OF[key], self.clock.now_ms(), frozenset({who}))
        run = self.run(key)
        # A finished run whose rule was applied anew exposes everybody: a start from the first stage takes them back.
        may = "shrink" if run is not None and run.is_finished else "grow"
        async with self.acting("stand" if frozen else may):
            await self.stand.start(key, who)

    async def drive(self, key: str, verb: str, who: str, to: int, *, is_there: bool) -> None:
        run, actor = self.run(key), KAI if who == "kai" else MIA
        stage = run.stage_name if run is not None and is_there else "elsewhere"
        names = [*(one.name for one in run.pipeline.stages), FINISH] if run is not None else [FINISH]
        place = to % len(names)
        may = "stand"
        if verb == "rollback":
            may = "shrink"
        elif verb == "promote" and run is not None:
            frozen = is_frozen(self.environment.state.resources, run.flag, self.clock.now_ms(), frozenset({who}))
            may = "shrink" if place < run.place else "stand" if frozen else "grow"
        elif verb == "finish":
            may = "any"
        async with self.acting(may):
            await drive(
                self.environment,
                Drive(Verb(verb), key, stage, names[place], Intent(reason="so it is wanted")),
                actor,
                self.stand.runs.known,
            )
            if verb == "rollback":
                assert not self.decided()[key]

    async def kill(self, flag: str) -> None:
        async with self.acting("shrink"):
            await kill(self.environment, Kill(flag), MIA)

    async def unkill(self, flag: str) -> None:
        async with self.acting("grow"):
            await unkill(self.environment, Unkill(flag), MIA)

    async def freeze(self, length_s: int, stagger_s: int) -> None:
        self.freezes += 1
        asked = Freeze(f"f-{self.freezes}", for_ms=length_s * 1_000, stagger_ms=stagger_s * 1_000)
        async with self.acting("stand"):
            await freeze(self.environment, asked, MIA)

    async def thaw(self) -> None:
        async with self.acting("stand"):
            await thaw(self.environment, Thaw(f"f-{self.freezes}"), MIA)

    async def edit(self, what: str, seed: int) -> None:
        """Apply another version of something that runs rest on, or of what they have a copy of."""
        moves = {"from": "off", "to": "on"}
        edited = {
            "cohort": lambda: document("Cohort", "staff", {"include": [f"u-{seed + at}" for at in range(1 + seed)]}),
            "gate": lambda: flag_of("gate", seed),
            "flag": lambda: flag_of("checkout", seed),
            "pipeline": lambda: document("Pipeline", "careful", {**CAREFUL, "stages": CAREFUL["stages"][seed % 4 :]}),
            "metric": lambda: document("Metric", "errors", {**ERRORS, "late": f"{seed % 2}s"}),
            "never": lambda: document(
                "Rollout",
                "launch",
                {**moves, "flag": "checkout", "pipeline": "careful", "never": ["banned"] if seed % 2 else []},
            ),
        }[what]()
        async with self.acting("stand" if what in {"pipeline", "metric"} else "any"):
            await apply(self.environment, Apply((edited,)), MIA, self.stand.instances)

    async def restart(self, *, is_whole: bool) -> None:
        """A fresh controller; or a fresh server over the same stores, its process connected again."""
        if is_whole and not (self.journal.is_away or self.store.is_away):
            await self.environment.close()
            await self._serve()
            self.stand.ingest.clock = WindowClock(self.clock, TICK_MS, await self.store.last_window())
        self.stand.controller()
        before = self.exposed
        self.exposed = self.decided()
        assert self.exposed == before, "a restart moves nobody"
        await self.check()

    async def crash(self, lives: int) -> None:
        """Die in the middle of a tick, between an entry and a checkpoint, and come back."""
        self.store.lives = lives
        await self.live(1, "fine")
        self.store.lives = None
        await self.restart(is_whole=True)

    async def outage(self, what: str, count: int) -> None:
        """Stores are away for some ticks; runs go on as they were, or hold."""
        self.store.is_away, self.journal.is_away = what != "journal", what != "telemetry"
        for _ in range(count):
            await self.live(1, "fine")
        self.store.is_away = self.journal.is_away = False
        await self.environment.catch_up()

    async def jump(self, by_ms: int, count: int) -> None:
        """The wall clock is set; no run may skip anything for it."""
        places = {key: run.place for key in ROLLOUTS if (run := self.run(key)) is not None}
        self.clock.step(by_ms)
        self.given_ms += 2 * TICK_MS
        await self.tick()
        for key, place in places.items():
            run = self.run(key)
            assert run is not None
            assert run.place <= place + 1, "a jump skips no stage"
        for _ in range(count - 1):
            await self.live(1, "fine")

    async def taken_over(self, count: int) -> None:
        """Another controller has the lease: this one, which does not know yet, writes nothing."""
        self.fence, self.journal.newest_fence = self.fence, self.journal.newest_fence + 1
        revision = self.environment.position.revision
        for _ in range(count):
            await self.tick()
            assert self.environment.position.revision == revision, "an old lease writes nothing"
        self.fence = self.stand.fence = self.journal.newest_fence
        self.stand.controller()

    async def report(self, key: str, what: str) -> None:
        """Report of one rollout's arms; "none" is silence, "quiet" only says that the process lives."""
        run = self.run(key)
        if what == "none" or run is None:
            return
        arms: tuple[ArmReport, ...] = ()
        if run.entered and what != "quiet":
            arms = tuple(self._arms(run, what))
        if what != "repeated":
            self.sequence += 1
        age_ms = 25 * TICK_MS if what == "late" else 0
        with contextlib.suppress(RolloutError):
            await self.stand.ingest.take("t", Report("i", max(1, self.sequence), (WindowReport(age_ms, arms),)))

    def _arms(self, run: Run, what: str) -> list[ArmReport]:
        share_ppm = run.entered[-1].share_ppm
        arms = []
        for arm in (Arm.CANDIDATE, Arm.CONTROL):
            share = share_ppm if arm is Arm.CANDIDATE else PPM - share_ppm
            count = UNITS * share // PPM
            if what == "skewed":
                count = UNITS // 2
            if what == "silent arm" and arm is Arm.CANDIDATE:
                count = 0
            bad = count // 2 if what == "bad" and arm is Arm.CANDIDATE else count // 50
            units = tuple(range(self.unit, self.unit + count))
            self.unit += count
            place = Place(RunId(run.rollout, run.number), run.allocation, share_ppm, "", arm)
            outcomes = tuple(Outcome(unit, float(at < bad)) for at, unit in enumerate(units))
            clicks = Cell(count, float(count + 5 if what == "impossible" else count // 3), float(count // 3))
            arms.append(ArmReport(place, False, (("clicks", clicks),), (("errors", outcomes),), units, units))
        return arms

    # ------------------------------------------------------------------------------------------- what must be so

    def run(self, key: str) -> Run | None:
        return run_of(self.environment.resource(ResourceId(Kind.ROLLOUT, key)))

    def decided(self) -> dict[str, frozenset[int]]:
        """Decide everybody as SDKs would; nobody is exposed by what is over, or under a kill."""
        ruleset = self.environment.ruleset
        decider = compile_ruleset(ruleset).bind(ORIGIN)
        exposed: dict[str, set[int]] = {key: set() for key in ROLLOUTS}
        for flag in FLAGS:
            stands = self.environment.resource(ResourceId(Kind.FLAG, flag))
            assert stands is not None
            assert isinstance(stands.status, FlagStatus)
            for number, context in enumerate(POPULATION):
                decision = decider.decide(flag, context)
                if stands.status.killed:
                    assert decision.value is False, f"{flag} is killed and serves {decision.variant}"
                if decision.rollout and decision.arm is Arm.CANDIDATE:
                    exposed[decision.rollout].add(number)
        for key in ROLLOUTS:
            run = self.run(key)
            if run is None or run.phase not in EXPOSING:
                assert not exposed[key], f"{key} exposes somebody and is {run.phase if run else 'not started'}"
            elif run.phase is Phase.SCHEDULED:
                raise AssertionError("a run is started in the entry that opens it")
        return {key: frozenset(units) for key, units in exposed.items()}

    @contextlib.asynccontextmanager
    async def acting(self, may: str) -> AsyncIterator[None]:
        """Do something that may be refused, and compare whom it exposes with whom it may."""
        before = self.exposed
        with contextlib.suppress(RolloutError):
            yield
        self.exposed = self.decided()
        for key in ROLLOUTS:
            was, now = before[key], self.exposed[key]
            lawful = {"grow": was <= now, "shrink": now <= was, "stand": now == was, "any": True}[may]
            assert lawful, f"{key}: what may {may} moved {sorted(was ^ now)}"
        await self.check()

    async def check(self) -> None:
        """Judge what the journal says since."""
        if not self.journal.is_away:
            now_ms = self.clock.monotonic_ms() + self.given_ms  # a step of the clock may count as three ticks
            self.judge.follow(await self.journal.entries(self.judge.revision, 500), now_ms)
