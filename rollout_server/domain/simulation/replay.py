"""One run from its start to its end: simulated users in, what each stage saw and when it was stopped out.

Every window some users come for the first time. Who of them a stage reaches is drawn from the shares of its audiences,
who is exposed from the reach. Sums are judged once they may be late no more, the machine gets one tick a window, and
approvals come at once. Freezes and schedules are left out: `rollout plan` knows those.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import PPM
from rollout_server.domain import judging
from rollout_server.domain.guardrails.data import ExposureSums, UnitCounts, WindowSums, last_passed
from rollout_server.domain.machine import ENDED, EXPOSING, Approve, Phase, Run, Start, Tick, guards_of, step
from rollout_server.domain.machine.sentences import sentence
from rollout_server.domain.simulation.chance import Chance
from rollout_server.domain.simulation.outcomes import cell, usual_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.domain.resources import Evidence as Verdicts
    from rollout_server.domain.rollouts import PipelineSpec

MINUTE_MS = 60_000
WINDOW_MAX_MS = 10 * MINUTE_MS
WINDOWS_WANTED = 1_000
PATIENCE = 5
"""A run that takes this many times as long as its pipeline at least does is left where it is."""
WINDOWS_LEAST = 200


@dataclass(frozen=True, slots=True)
class Group:
    """Users who are in the same audiences.

    Attributes:
        share: of all users.
        places: indices of the stages whose audience holds them; everybody is in the finish.
    """

    share: float
    places: frozenset[int]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is simulated.

    Attributes:
        metrics: by key; those of the pipeline's guardrails are there.
        groups: whose shares add up to at most 1; the rest is in no audience but everyone's.
        levels: of the control, by metric; one that is not here has a usual one.
        effects: by metric, what the candidate's level is multiplied with from the onset on.
        onset_ms: after the start.
        window_ms: 0 chooses one that suits the length of the pipeline.
    """

    pipeline: PipelineSpec
    metrics: Mapping[str, MetricSpec]
    groups: tuple[Group, ...]
    units_per_minute: float
    levels: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    effects: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    onset_ms: int = 0
    window_ms: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class StageSeen:
    """What one stage saw.

    Attributes:
        name: "finish" for the finish.
        entered_ms: after the start.
        exposed: users exposed in this run when it was left.
        control: users who were reached by then and not exposed.
        verdicts: sentence of each guard when it was left.
    """

    name: str
    entered_ms: int
    left_ms: int
    exposed: int
    control: int
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """How a run went.

    Attributes:
        phase: its last one; a run that was left is still running, held or watching.
        sentence: why it is there.
        ended_ms: after the start.
        caught_ms: from the onset to the rollback; None where it was not rolled back after it.
        exposed: users exposed in all.
        harmed: of these, since the onset.
    """

    stages: tuple[StageSeen, ...]
    phase: Phase
    sentence: str
    ended_ms: int
    caught_ms: int | None
    exposed: int
    harmed: int
    window_ms: int


def replay(scene: Scene) -> Replay:
    """Let a run go from its start to its end; the same scene always goes the same way."""
    return _Replay(scene).go()


def length_of(pipeline: PipelineSpec) -> int:
    """Return how long a run takes at the least, in milliseconds."""
    return sum(stage.ramp_ms + stage.soak_ms for stage in pipeline.stages) + pipeline.finish.watch_ms


def window_for(scene: Scene) -> int:
    """Return how long windows are: a minute, unless the pipeline is much shorter, or so long that nobody would wait."""
    if scene.window_ms:
        return scene.window_ms
    length_ms = length_of(scene.pipeline)
    if length_ms < WINDOWS_LEAST * MINUTE_MS:
        return max(1_000, length_ms // WINDOWS_LEAST // 1_000 * 1_000)
    return min(WINDOW_MAX_MS, max(1, length_ms // WINDOWS_WANTED // MINUTE_MS) * MINUTE_MS)


class _Replay:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._window_ms = window_for(scene)
        self._chance = Chance(scene.seed)
        pipeline = scene.pipeline
        self._run = Run("simulated", "simulated", "from", "to", 1, pipeline, guards_of(pipeline))
        names = {guard.name for guard in self._run.guards}
        self._guards = tuple(one for one in judging.watched(self._run, scene.metrics) if one.name in names)
        self._evidence = judging.begin(1)
        self._verdicts: Verdicts = ()
        self._waiting: defaultdict[str, list[WindowSums]] = defaultdict(list)
        self._exposures: list[ExposureSums] = []
        self._exposed = self._control = self._harmed = 0
        self._stages: list[StageSeen] = []
        self._entered_ms = 0

    def go(self) -> Replay:
        """Drive it."""
        self._run, _ = step(self._run, Start("schedule", 0))
        self._approve()
        now_ms, give_up_ms = 0, PATIENCE * max(length_of(self._scene.pipeline), WINDOWS_LEAST * self._window_ms)
        while self._run.phase not in ENDED and now_ms < give_up_ms:
            self._live(now_ms // self._window_ms)
            now_ms += self._window_ms
            self._judge(now_ms)
            before = self._run
            tick = Tick(now_ms, self._window_ms, judging.as_seen(self._verdicts), self._exposed)
            self._run, _ = step(self._run, tick)
            if self._run.place != before.place or self._run.phase in ENDED:
                self._leave(before, now_ms)
            self._approve()
        if self._run.phase not in ENDED:
            self._leave(self._run, now_ms)
        onset_ms = self._scene.onset_ms
        is_caught = self._run.phase is Phase.ROLLED_BACK and bool(self._scene.effects) and now_ms >= onset_ms
        return Replay(
            stages=tuple(self._stages),
            phase=self._run.phase,
            sentence=self._run.end.why if self._run.phase is Phase.ROLLED_BACK and self._run.end else self._why(),
            ended_ms=now_ms,
            caught_ms=now_ms - onset_ms if is_caught else None,
            exposed=self._exposed,
            harmed=self._harmed,
            window_ms=self._window_ms,
        )

    def _why(self) -> str:
        return sentence(self._run).removeprefix("simulated run 1 ").removeprefix("at ")

    def _approve(self) -> None:
        stage = self._run.stage
        approval = stage.exit.approval if stage and self._run.phase in EXPOSING else None
        for number in range(approval.count if approval else 0):
            self._run, _ = step(self._run, Approve(f"/{number}", 0, self._run.stage_name))

    def _live(self, window: int) -> None:
        """Let a window's users come."""
        scene, run = self._scene, self._run
        wanted = scene.units_per_minute * self._window_ms / MINUTE_MS
        by_reach: defaultdict[int, float] = defaultdict(float)
        rest = max(0.0, 1 - sum(group.share for group in scene.groups))
        for group in (*scene.groups, Group(rest, self._everyones())):
            by_reach[self._reach(group)] += group.share
        is_wrong = window * self._window_ms >= scene.onset_ms
        for reach_ppm, share in sorted(by_reach.items()):
            units = self._chance.poisson(wanted * share) if reach_ppm else 0
            if not units:
                continue
            candidate = self._chance.binomial(units, reach_ppm / PPM)
            control = units - candidate
            self._exposed += candidate
            self._control += control
            self._harmed += candidate if is_wrong and scene.effects else 0
            counts = UnitCounts(candidate, candidate), UnitCounts(control, control)
            self._exposures.append(ExposureSums(1, run.allocation, reach_ppm, "", window, *counts))
            for key in dict.fromkeys(guard.guardrail.metric for guard in self._guards):
                metric = scene.metrics[key]
                level = scene.levels.get(key, usual_level(metric))
                worse = level * (scene.effects.get(key, 1.0) if is_wrong else 1.0)
                self._waiting[key].append(
                    WindowSums(
                        1,
                        run.allocation,
                        reach_ppm,
                        "",
                        key,
                        window,
                        cell(metric, worse, candidate, self._chance),
                        cell(metric, level, control, self._chance),
                    )
                )

    def _everyones(self) -> frozenset[int]:
        return frozenset(at for at, stage in enumerate(self._scene.pipeline.stages) if stage.audience is None)

    def _reach(self, group: Group) -> int:
        last, places = len(self._scene.pipeline.stages), group.places | self._everyones()
        return max((one.share_ppm for one in self._run.entered if one.place == last or one.place in places), default=0)

    def _judge(self, now_ms: int) -> None:
        found = {}
        for key, windows in self._waiting.items():
            passed = last_passed(now_ms, self._scene.metrics[key].late_ms, self._window_ms)
            found[key] = judging.Found([one for one in windows if one.window <= passed], passed=passed)
            self._waiting[key] = [one for one in windows if one.window > passed]
        run = self._run
        wanted = run.stage.exit.exposed if run.stage else 0
        here = judging.Standpoint(1, run.stage_name, wanted, "user", self._window_ms)
        through = now_ms // self._window_ms - 1
        guards, exposures = self._guards, (self._exposures, through)
        self._evidence = judging.absorbed(self._evidence, guards, here, found, exposures)
        self._exposures = []
        self._verdicts = judging.judged(self._evidence, guards, here, found)

    def _leave(self, before: Run, now_ms: int) -> None:
        told = tuple(verdict.sentence for _, verdict in self._verdicts)
        self._stages.append(StageSeen(before.stage_name, self._entered_ms, now_ms, self._exposed, self._control, told))
        self._entered_ms = now_ms
