"""The laws of the machine, read off a journal alone: what a server did is judged by what it wrote, however it died."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from rollout_server.app.run_rollouts import ENGINE
from rollout_server.domain.files import read_stored, write_stored
from rollout_server.domain.journal import Entry
from rollout_server.domain.judging import as_seen
from rollout_server.domain.machine import (
    EXPOSING,
    Acknowledge,
    Approve,
    Cancel,
    ClosureEdited,
    Event,
    Finish,
    Kill,
    Notify,
    OpenAllocation,
    Pause,
    Phase,
    Promote,
    Reject,
    Resume,
    Rollback,
    Run,
    Start,
    Tick,
    reaches,
    visible,
)
from rollout_server.domain.machine.effects import SetReaches
from rollout_server.domain.machine.run import Trigger
from rollout_server.domain.resources import FlagStatus, Kind, Resource, ResourceId, RolloutStatus
from tests.machine_laws import LAWS
from tests.machine_moments import Ghost, Moment, demanded_ms, follow_ghost, full_ppm, is_healthy

READ_OFF = (
    "degraded rolls back from every phase that exposes anyone",
    "pause keeps who is exposed",
    "a paused run does not move",
    "only start, promote and a running tick grow",
    "frozen, nothing grows",
    "blind or skewed never advances",
    "no approval is skipped",
    "no stage runs twice or is skipped unless a person said so",
    "forward by hand needs a reason",
    "back by hand only shrinks",
    "verdicts of an earlier allocation lead nowhere",
    "an ended run stays ended",
    "reach stands still within an allocation",
    "a guard with action hold holds",
    "no share beyond what the pipeline says, and the control stands until the finish",
    "the table says where it leads",
    "transitions are numbered, and carry their notices",
)
"""Laws that need neither what ticks added up between two entries nor what was refused."""

_LAWS = {name: check for laws in LAWS.values() for name, check in laws.items()}


@dataclass(frozen=True)
class Passage:
    """One change of one run, as an entry tells it."""

    entry: Entry
    before: Run
    after: Run
    event: Event

    def __str__(self) -> str:
        was, now = self.before, self.after
        return (
            f"revision {self.entry.revision} {self.entry.action} by {self.entry.actor}: {now.rollout} run {now.number} "
            f"{was.stage_name} {was.phase.value} -> {now.stage_name} {now.phase.value}"
        )


class JournalJudge:
    """Follows one environment's journal entry by entry.

    Attributes:
        passages: every change of a run so far.
        stood_ms: by rollout and place, when the place that the run is in reached its full share.
    """

    def __init__(self, slack_ms: int = 0) -> None:
        """Begin with nothing.

        Args:
            slack_ms: how much later than an entry was decided its time may be taken.
        """
        self._slack_ms = slack_ms
        self.revision = 0
        self._now_ms = 0
        self.passages: list[Passage] = []
        self._resources: dict[ResourceId, Resource] = {}
        self._ghosts: dict[ResourceId, Ghost] = {}
        self._stood_ms: dict[ResourceId, int] = {}

    @property
    def resources(self) -> Mapping[ResourceId, Resource]:
        """The fold of what was followed."""
        return self._resources

    def follow(self, entries: Iterable[Entry], at_ms: int | None = None) -> None:
        """Judge what came since; raises AssertionError by the name of the law.

        Args:
            entries: that follow those judged before.
            at_ms: when they were written, by a clock that nobody sets; None trusts what they say themselves.
        """
        for entry in entries:
            assert entry.revision == self.revision + 1, "entries follow each other"
            self.revision, self._now_ms = entry.revision, entry.at_ms if at_ms is None else at_ms
            for change in entry.changes:
                if change.after is not None:
                    assert read_stored(write_stored(change.after)) == change.after, "what is stored reads back"
            before = dict(self._resources)
            for change in entry.changes:
                if change.after is None:
                    self._resources.pop(change.id, None)
                else:
                    self._resources[change.id] = change.after
            for change in entry.changes:
                if change.id.kind is Kind.ROLLOUT:
                    self._judge(entry, before.get(change.id), change.after)
            self._judge_together(entry)

    def _judge(self, entry: Entry, was: Resource | None, now: Resource | None) -> None:
        before, after = run_of(was), run_of(now)
        if now is None or after is None:
            assert before is None or before.phase not in EXPOSING or before.is_finished, "who exposes is not forgotten"
            return
        if before == after:
            return
        if before is None or after.number != before.number:
            assert after.number == (before.number if before else 0) + 1, "runs are numbered"
            assert before is None or before.phase not in EXPOSING or before.is_finished, "one run at a time"
            assert len(after.entered) == 1, "a new run begins at its first stage"
            assert after.entered[0].place == 0, "a new run begins at its first stage"
            assert not after.approvals, "approvals are given anew"
            self._ghosts[now.id], self._stood_ms[now.id] = Ghost(), self._now_ms
            return
        self._pass(now, Passage(entry, before, after, event_of(entry, now, before, after)))

    def _pass(self, now: Resource, passage: Passage) -> None:
        before, event, after = passage.before, passage.event, passage.after
        # What ticks added up is not in the journal: laws on it are checked against the machine itself.
        known = after.progress.transition if isinstance(event, ClosureEdited) else before.transition
        before = replace(before, progress=replace(after.progress, transition=known))
        ghost = self._ghosts.get(now.id, Ghost())
        later = follow_ghost(ghost, before, event, after, is_refused=False)
        moment = Moment(before, event, after, tuple(_effects(before, after)), ghost, later)
        for name in READ_OFF:
            if name in LAWS[type(event)]:
                assert _LAWS[name](moment), f"{name}: {passage}"
        if passage.entry.action in {"kill", "rollback"} and not isinstance(event, ClosureEdited):
            assert after.phase is Phase.ROLLED_BACK or before.is_finished, f"a stop ends the run: {passage}"
        self._judge_exit(now, passage)
        self._ghosts[now.id] = later
        if after.entered != before.entered:
            self._stood_ms[now.id] = self._now_ms
        self.passages.append(passage)

    def _judge_exit(self, now: Resource, passage: Passage) -> None:
        """Nobody but a person leaves a place before its soak, its share, and the health that it asks for."""
        before, event, after = passage.before, passage.event, passage.after
        is_left = after.place > before.place or (before.phase is Phase.WATCHING and after.phase is Phase.COMPLETED)
        if not is_left or not isinstance(event, Tick):
            return
        stood_ms = self._now_ms - self._stood_ms[now.id]
        assert stood_ms + self._slack_ms >= demanded_ms(before), f"the soak is over after {stood_ms} ms: {passage}"
        assert before.entered[-1].share_ppm == full_ppm(before), f"the ramp is over: {passage}"
        if before.stage is not None and before.stage.exit.is_healthy:
            assert is_healthy(before, event), f"healthy is asked for: {passage}"

    def _judge_together(self, entry: Entry) -> None:
        exposing: dict[str, list[str]] = {}
        for id_, resource in self._resources.items():
            run = run_of(resource) if id_.kind is Kind.ROLLOUT else None
            if run is not None and run.phase in EXPOSING and not run.is_finished:
                exposing.setdefault(run.flag, []).append(id_.key)
                flag = self._resources.get(ResourceId(Kind.FLAG, run.flag))
                killed = flag is not None and isinstance(flag.status, FlagStatus) and flag.status.killed
                assert not killed, f"revision {entry.revision}: {id_} runs on under a kill"
        assert all(len(keys) == 1 for keys in exposing.values()), f"revision {entry.revision}: {exposing} run at once"


def run_of(rollout: Resource | None) -> Run | None:
    """The run that a rollout's status holds."""
    return rollout.status.run if rollout is not None and isinstance(rollout.status, RolloutStatus) else None


def event_of(entry: Entry, rollout: Resource, before: Run, after: Run) -> Event:  # noqa: PLR0911 - one for each verb
    """What happened, by the words of the entry."""
    by, at_ms, why = entry.actor.split(" ")[0], entry.at_ms, entry.reason
    if _reopened(before, after) == after:
        return ClosureEdited(by, at_ms, after.closure)
    match entry.action:
        case "start":
            return Start(by, at_ms, why)
        case "pause":
            return Pause(by, at_ms, why)
        case "resume":
            return Resume(by, at_ms, before.stage_name, why)
        case "approve":
            return Approve(by, at_ms, before.stage_name)
        case "reject":
            return Reject(by, at_ms, before.stage_name, why)
        case "promote":
            return Promote(by, at_ms, before.stage_name, after.stage_name, why)
        case "finish":
            return Finish(by, at_ms, before.stage_name, why)
        case "cancel":
            return Cancel(by, at_ms, why)
        case "ack":
            return Acknowledge(by, at_ms)
        case "kill":
            return Kill(by, at_ms, why)
        case "rollback" if entry.actor != ENGINE:
            return Rollback(by, at_ms, why)
        case _:
            assert entry.actor == ENGINE, f"{entry.actor} may not {entry.action} a run"
    status = rollout.status
    verdicts = as_seen(status.verdicts) if isinstance(status, RolloutStatus) else ()
    is_blind = after.end is not None and after.end.trigger is Trigger.BLIND and after.phase is Phase.ROLLED_BACK
    assert verdicts or not before.guards or is_blind or after.phase not in EXPOSING, "a transition keeps its verdicts"
    return Tick(at_ms, 1_000, verdicts, 0, is_frozen=after.is_frozen, closure=after.closure)


def _reopened(before: Run, after: Run) -> Run:
    """The run if nothing but an edit below it happened."""
    return replace(
        before,
        closure=after.closure,
        allocation=after.allocation,
        notices=after.notices,
        transition=after.transition,
        changed_at_ms=after.changed_at_ms,
        progress=after.progress,
    )


def _effects(before: Run, after: Run) -> Iterator[Notify | OpenAllocation | SetReaches]:
    """What an entry's reader may conclude that the machine asked for."""
    if visible(before) != visible(after):
        yield visible(after)
        if before.allocation != after.allocation:
            yield OpenAllocation(after.allocation)
    elif before.allocation != after.allocation and reaches(after):
        yield OpenAllocation(after.allocation)
    for notice in after.notices if after.transition != before.transition else ():
        yield Notify(notice)
