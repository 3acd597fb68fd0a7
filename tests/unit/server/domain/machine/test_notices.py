"""Who is told what, and when."""

from __future__ import annotations

from dataclasses import replace

from rollout_server.domain.machine.effects import Notify
from rollout_server.domain.machine.notices import call_person, escalate, tell
from rollout_server.domain.machine.run import NoticeKind, Run
from rollout_server.domain.rollouts import Escalation, PipelineSpec
from tests.machine_worlds import scheduled

RUN = scheduled(
    PipelineSpec((), escalation=(Escalation(900, "pager"), Escalation(0, "team"), Escalation(2_000, "boss")))
)


def told(outcome: tuple[Run, tuple[object, ...]]) -> list[tuple[str, ...]]:
    return [effect.notice.channels for effect in outcome[1] if isinstance(effect, Notify)]


def test_news_goes_to_those_who_are_told_at_once() -> None:
    """What needs nobody is said once, under an id of its own."""
    run, effects = tell(RUN, NoticeKind.STARTED, "it started")
    (first,) = effects
    assert isinstance(first, Notify)
    assert (first.notice.id, first.notice.channels, run.need) == ("launch/1/1", ("team",), None)
    again, (second,) = tell(run, NoticeKind.STARTED, "it started")
    assert isinstance(second, Notify)
    assert second.notice.id == "launch/1/2"
    assert again.notice_count == 2


def test_a_need_goes_on_until_somebody_answers() -> None:
    """One step of the escalation after another, in order of time however they are written."""
    outcome = call_person(RUN, NoticeKind.HELD, "it is held")
    assert told(outcome) == [("team",)]
    outcome = escalate(outcome[0], 899)
    assert told(outcome) == []
    outcome = escalate(outcome[0], 1)
    assert told(outcome) == [("pager",)]
    need = outcome[0].need
    assert need is not None
    acknowledged = replace(outcome[0], need=replace(need, acknowledged_by="ann"))
    assert escalate(acknowledged, 10_000) == (acknowledged, ())
    assert told(escalate(outcome[0], 10_000)) == [("boss",)]


def test_steps_that_are_due_together_are_told_together() -> None:
    """A late tick tells all whose time has come, once."""
    run, effects = escalate(call_person(RUN, NoticeKind.HELD, "it is held")[0], 5_000)
    assert told((run, effects)) == [("pager", "boss")]
    assert run.progress.waited_ms == 2_000
    assert escalate(run, 5_000) == (run, ())


def test_without_an_escalation_the_feed_is_told() -> None:
    """A pipeline that names no channel still leaves an event."""
    assert told(call_person(scheduled(PipelineSpec(())), NoticeKind.HELD, "held")) == [()]
