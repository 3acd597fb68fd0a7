"""A run: one numbered pass of a rollout, and all that may be read off it.

What is durable lives in the rollout's status in the journal; `Progress` is what ticks add up between two entries and is
checkpointed beside the journal. A checkpoint names the transition it belongs to, so that one of an earlier stage can
never count for a later one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action
from rollout_server.domain.rollouts import PipelineSpec, Stage

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition

FINISH = "finish"
"""What verbs call the place after the last stage."""

RAMP_STEPS_MAX = 20


class Phase(Enum):
    """What a run is doing."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    HELD = "held"
    PAUSED = "paused"
    AWAITING_APPROVAL = "awaiting approval"
    WATCHING = "watching"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled back"
    CANCELLED = "cancelled"


ENDED = frozenset({Phase.COMPLETED, Phase.ROLLED_BACK, Phase.CANCELLED})
EXPOSING = frozenset(Phase) - {Phase.SCHEDULED, Phase.ROLLED_BACK, Phase.CANCELLED}


@dataclass(frozen=True, slots=True)
class Guard:
    """A guardrail as the machine sees it; `process_lost` is one too.

    Attributes:
        name: unique in its run; verdicts come under it.
        is_absolute: needs no control, so that it still judges while watching.
    """

    name: str
    action: Action
    is_absolute: bool = False


@dataclass(frozen=True, slots=True)
class Entered:
    """A stage that was entered.

    Attributes:
        place: index of the stage; the number of stages is the finish.
        step: of its ramp, from 1; a stage without a ramp has one.
        share_ppm: reached with this step.
    """

    place: int
    step: int
    share_ppm: int


@dataclass(frozen=True, slots=True)
class Approved:
    """One person's yes to leaving one stage."""

    person: str
    stage: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Act:
    """Who did something, when and why. `who` is a person, or "engine" or "schedule"."""

    who: str
    at_ms: int
    why: str = ""


class HeldKind(Enum):
    """Why the engine waits, the gravest first."""

    DEGRADED = "degraded"
    OUTAGE = "outage"
    SKEWED = "skewed"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Held:
    """Why the engine waits.

    Attributes:
        guards: every guard that asked for it since the hold began.
        sentence: as it was said when the hold began.
    """

    kind: HeldKind
    guards: tuple[str, ...]
    sentence: str


class NoticeKind(Enum):
    """What people are told."""

    STARTED = "started"
    ADVANCED = "advanced"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting approval"
    DEGRADED = "degraded"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled back"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Need:
    """Something needs a person: who has been told, and who answered.

    Attributes:
        told: how many steps of the escalation, in order of time, have been told.
        acknowledged_by: empty while nobody did.
    """

    kind: NoticeKind
    sentence: str
    told: int = 0
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people.

    Attributes:
        id: unique in the environment, the same however often it is sent.
        channels: keys; empty is for the events feed only.
    """

    id: str
    kind: NoticeKind
    sentence: str
    channels: tuple[str, ...] = ()


class Trigger(Enum):
    """What ended a run."""

    DONE = "done"
    VERDICT = "verdict"
    BLIND = "blind"
    PERSON = "person"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended.

    Attributes:
        stage: where it was; empty when it exposed nobody.
        guard: that carried the evidence; empty unless the trigger is a verdict.
    """

    trigger: Trigger
    who: str
    why: str
    at_ms: int
    stage: str = ""
    guard: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What ticks add up. Every sum is of clamped tick lengths, never a difference of wall clocks.

    Attributes:
        transition: of the run, the last one that knew what ticks had added up; a checkpoint of another one is void.
        last_tick_ms: wall clock; None when the next tick must add nothing.
        soak_ms: at full share in this stage (or watched in the finish), at most what is asked for.
        ramp_ms: of the ramp of this stage, at most its length.
        blind_since_ms: wall clock, only to be shown; None when all guards are seen.
        blind_ms: without a break, at most what `on_blind` allows.
        waited_ms: since something needed a person, at most until the last step of the escalation.
        waits_for: what the last tick missed for going on: "ramp", "soak", "exposed", "healthy", "thaw", "turn".
    """

    transition: int = 0
    last_tick_ms: int | None = None
    soak_ms: int = 0
    ramp_ms: int = 0
    blind_since_ms: int | None = None
    blind_ms: int = 0
    waited_ms: int = 0
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of a rollout.

    Attributes:
        pipeline: the copy that this run follows whatever becomes of the template.
        guards: every guard of the run, `process_lost` included; one without a verdict is blind.
        closure: what reach depends on (flag, cohorts, prerequisites), each with a mark of its content that is only
            compared. Not a version: the entry that edits them does not know its own revision yet.
        entered: in the order of the pipeline; the last one is where the run is.
        allocation: from 1; 0 before the first exposure.
        approvals: given in this run.
        alarmed: guards with action notify that were told in this stage.
        is_frozen: as the last tick said.
        is_finished: the final variant is in the flag.
        notices: of the last transition, so that whoever restarts can send them again.
        notice_count: given out so far; numbers them.
        transition: counts what is worth a journal entry.
        scheduled_ms: wall clock of the moment at which the schedule was to open it, whatever held it then or cancelled
            it; 0 where a person opened it.
        changed_at_ms, grown_at_ms: wall clock of the last transition, and of the last growth; 0 is never.
    """

    rollout: str
    flag: str
    from_variant: str
    to_variant: str
    number: int
    pipeline: PipelineSpec
    guards: tuple[Guard, ...] = ()
    closure: tuple[tuple[str, str], ...] = ()
    phase: Phase = Phase.SCHEDULED
    entered: tuple[Entered, ...] = ()
    allocation: int = 0
    approvals: tuple[Approved, ...] = ()
    held: Held | None = None
    alarmed: tuple[str, ...] = ()
    is_frozen: bool = False
    is_finished: bool = False
    need: Need | None = None
    notices: tuple[Notice, ...] = ()
    notice_count: int = 0
    started: Act | None = None
    paused: Act | None = None
    end: End | None = None
    transition: int = 0
    scheduled_ms: int = 0
    changed_at_ms: int = 0
    grown_at_ms: int = 0
    progress: Progress = Progress()

    @property
    def in_line_ms(self) -> int | None:
        """Since when it stands in line for what a freeze holds; None before it was started."""
        if self.started is None:
            return None
        return min(self.started.at_ms, self.scheduled_ms or self.started.at_ms)

    @property
    def place(self) -> int:
        """Index of the stage it is in; the number of stages in the finish; -1 before the first."""
        return self.entered[-1].place if self.entered else -1

    @property
    def stage(self) -> Stage | None:
        """The stage it is in; None before the first and in the finish."""
        return self.pipeline.stages[self.place] if 0 <= self.place < len(self.pipeline.stages) else None

    @property
    def stage_name(self) -> str:
        """What verbs call where it is; empty before the first stage."""
        return self.name_of(self.place)

    def name_of(self, place: int) -> str:
        """Return what verbs call a place."""
        if place == len(self.pipeline.stages):
            return FINISH
        return self.pipeline.stages[place].name if place >= 0 else ""


def guards_of(pipeline: PipelineSpec, *built_in: Guard) -> tuple[Guard, ...]:
    """Return the guards of a pipeline, in its order, and those that are built in.

    A guard is named for its metric; the second one on the same metric is "checkout.latency#2".
    """
    metrics = [guardrail.metric for guardrail in pipeline.guardrails]
    earlier = [metrics[:index].count(metric) for index, metric in enumerate(metrics)]
    return (
        tuple(
            Guard(
                f"{guardrail.metric}#{count + 1}" if count else guardrail.metric,
                guardrail.action,
                is_absolute=isinstance(guardrail.limit, AbsoluteLimit),
            )
            for guardrail, count in zip(pipeline.guardrails, earlier, strict=True)
        )
        + built_in
    )


class Reached(NamedTuple):
    """An audience and the share of it that is exposed. `audience` None is everyone."""

    stage: str
    audience: Condition | None
    share_ppm: int


def reaches(run: Run) -> tuple[Reached, ...]:
    """Return what the engine decides with: one for each entered stage, none where the run exposes nobody."""
    if run.phase not in EXPOSING:
        return ()
    return tuple(
        Reached(run.name_of(entered.place), audience_of(run, entered.place), entered.share_ppm)
        for entered in run.entered
    )


def audience_of(run: Run, place: int) -> Condition | None:
    """Return the audience of a place: that of its stage, everyone in the finish."""
    return run.pipeline.stages[place].audience if place < len(run.pipeline.stages) else None


def approvers(run: Run) -> tuple[str, ...]:
    """Return who approved leaving the stage that the run is in, each once."""
    return tuple(dict.fromkeys(given.person for given in run.approvals if given.stage == run.stage_name))


def lacks_approval(run: Run) -> bool:
    """Whether leaving the stage still needs somebody's yes."""
    approval = run.stage.exit.approval if run.stage else None
    return approval is not None and len(approvers(run)) < approval.count


def is_transition(before: Run, after: Run) -> bool:
    """Whether anything changed that belongs in the journal; the rest is a matter of the next checkpoint."""
    return after is not before and replace(after, progress=before.progress) != before


def restored(run: Run, checkpoint: Progress | None) -> Run:
    """Return a run read from the journal with what was checkpointed since, if that belongs to it."""
    if checkpoint is None or checkpoint.transition != run.progress.transition:
        return run
    return replace(run, progress=checkpoint)
