"""Rollouts, events and certificates as the contract says them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from rollout_sdk.engine.model import Condition, InCohort, Leaf
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_rollouts as convert
from rollout_server.app.certify import certify
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.events import events
from rollout_server.app.intent import Intent
from rollout_server.app.rollout_view import rollout_view
from rollout_server.domain import machine
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.notification import Notified, Sending
from tests.rollout_room import MIA, Room, documents, guarded, room

STAGES: list[dict[str, Any]] = [
    {"name": "a", "audience": {"cohort": "staff"}, "share": "100%", "soak": "1m"},
    {"name": "b", "share": "10%", "soak": "1m"},
    {"name": "c", "share": "20%", "ramp": "1m", "soak": "1m", "exit": {"exposed": 5, "guardrails": "healthy"}},
]


async def shown(stand: Room) -> pb.Rollout:
    return convert.rollout(
        await rollout_view(stand.environment, stand.instances, stand.runs.known, stand.others.get, "launch")
    )


async def promoted(stand: Room, expects: str, to: str) -> None:
    command = Drive(Verb.PROMOTE, "launch", expects, to, Intent(reason="x"))
    await drive(stand.environment, command, MIA, stand.runs.known)


async def test_stages_are_done_skipped_here_or_ahead() -> None:
    """With what each asks for, and how far the present one is."""
    async with room(*documents(*STAGES)) as stand:
        await stand.start()
        await promoted(stand, "a", "c")
        await stand.tick(31)
        message = await shown(stand)
        assert [stage.state for stage in message.stages] == [
            pb.STAGE_STATE_DONE,
            pb.STAGE_STATE_SKIPPED,
            pb.STAGE_STATE_HERE,
            pb.STAGE_STATE_AHEAD,
        ]
        here = message.stages[2]
        assert (here.exposed_wanted, here.healthy_wanted, here.ramped_ms) == (5, True, 30_000)
        assert 0 < here.reached_ppm < here.share_ppm
        assert message.share_ppm == here.reached_ppm
        assert message.stages[0].soaked_ms == message.stages[0].soak_ms
        assert message.stages[3].name == "finish"


async def test_a_verdict_is_written_with_its_figures() -> None:
    """What cannot be told is absent, not zero."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        unseen = (await shown(stand)).guardrails[0]
        assert (unseen.name, unseen.standing, unseen.HasField("estimate")) == ("errors", "", False)
        await stand.live(8, candidate=(100, 2), control=(400, 8))
        seen = (await shown(stand)).guardrails[0]
        assert seen.HasField("estimate")
        assert seen.limit == 0.2
        assert seen.is_relative
        assert seen.sentence.startswith("errors ")


async def test_what_is_infinite_is_absent() -> None:
    """No reader should have to know how a float says so."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        await stand.live(8, candidate=(100, 2), control=(400, 8))
        view = await rollout_view(stand.environment, stand.instances, stand.runs.known, stand.others.get, "launch")
        odd = tuple((name, replace(one, high=math.inf, log_e=-math.inf)) for name, one in view.verdicts)
        message = convert.rollout(replace(view, verdicts=odd)).guardrails[0]
        assert not message.HasField("high")
        assert message.log_e == 0


async def test_a_rollback_is_certified_with_its_verdict() -> None:
    """Trigger, figures, whom it reached, who was told."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        await stand.live(20, candidate=(100, 20), control=(400, 8))
        found = await certify(stand.environment, stand.instances, stand.runs.known, "launch")
        metrics = {"errors": MetricSpec(stand.metric().measures, unit="")}
        message = convert.certificate(found, pb.Entry(revision=9), metrics)
        assert (message.what, message.variant, message.run) == ("rollback", "off", 1)
        assert (message.trigger.trigger, message.trigger.guardrail) == ("verdict", "errors")
        assert message.guardrails[0].standing == "degraded"
        assert message.exposed_units > 0
        assert message.straggling == ["shop@host-1 (pid 7)"]
        assert not message.HasField("first_ack_ms")
        assert (await shown(stand)).end.who == "engine"


async def test_events_and_lines() -> None:
    """One for each notice; a rollout that never ran and is not awaited has no line."""
    async with room() as stand:
        assert convert.summary(stand.rollout(), None, {}, {}) is None
        soon = convert.summary(stand.rollout(), None, {"launch": "launch starts by itself at noon"}, {})
        assert soon is not None
        assert (soon.phase, soon.exposing, soon.run, soon.sentence) == (
            "scheduled",
            False,
            0,
            "launch starts by itself at noon",
        )
        await stand.start()
        line = convert.summary(stand.rollout(), stand.run(), {}, {"launch": "a freeze is in force"})
        assert line is not None
        assert line.sentence.endswith("; a freeze is in force")
        assert (line.phase, line.exposing, line.run) == ("running", True, 1)
        (one,) = await events(stand.environment, "", 0, 0)
        message = convert.event(one)
        assert (message.id, message.kind, message.revision) == ("launch/1/1", "started", 2)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (None, "everyone"),
        (InCohort("staff"), "cohort staff"),
        (Leaf("plan", "equals", "pro"), '{"attribute":"plan","equals":"pro"}'),
        (Leaf("plan", "equals", "x" * 99), '{"attribute":"plan","equals":"' + "x" * 29 + "…"),
    ],
)
def test_an_audience_is_said_as_people_write_it(condition: Condition | None, text: str) -> None:
    """And short."""
    assert convert.audience(condition) == text


def test_what_became_of_telling_somebody() -> None:
    """Channel, outcome, and why not."""
    one = Notified("production/launch/1/1@5", "launch", 1, machine.NoticeKind.HELD, "pager", Sending.DELIVERED, 5)
    assert convert.delivery(one) == "pager: delivered"
    assert convert.delivery(replace(one, sending=Sending.GIVEN_UP, why="403")) == "pager: given up, 403"
