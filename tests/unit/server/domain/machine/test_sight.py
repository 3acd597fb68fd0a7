"""What verdicts come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.guardrails.spec import Action
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine.events import Judged
from rollout_server.domain.machine.growth import enter
from rollout_server.domain.machine.run import Guard, HeldKind
from rollout_server.domain.machine.sight import look
from rollout_server.domain.rollouts import Finish, PipelineSpec, Stage
from tests.machine_worlds import scheduled

GUARDS = (
    Guard("latency", Action.ROLLBACK),
    Guard("orders", Action.HOLD),
    Guard("chatter", Action.NOTIFY),
    Guard("errors", Action.ROLLBACK, is_absolute=True),
)
RUN = replace(enter(scheduled(PipelineSpec((Stage("one", 1),), finish=Finish(watch_ms=1))), 0, 0), guards=GUARDS)
CALM = tuple(Judged(guard.name, Standing.HEALTHY) for guard in GUARDS)


def said(**standings: Standing) -> tuple[Judged, ...]:
    return tuple(replace(one, standing=standings.get(one.guard, one.standing)) for one in CALM)


def test_all_is_well() -> None:
    """Healthy verdicts hold nothing and say so."""
    sight = look(RUN, CALM)
    assert (sight.broken, sight.unseen, sight.holds, sight.alarms, sight.is_healthy) == (None, False, None, (), True)


@pytest.mark.parametrize(
    ("guard", "standing", "kind"),
    [
        ("latency", Standing.BLIND, HeldKind.BLIND),
        ("chatter", Standing.SKEWED, HeldKind.SKEWED),
        ("orders", Standing.DEGRADED, HeldKind.DEGRADED),
        ("latency", Standing.UNDECIDED, None),
        ("latency", Standing.UNJUDGED, None),
        ("chatter", Standing.DEGRADED, None),
    ],
)
def test_what_holds(guard: str, standing: Standing, kind: HeldKind | None) -> None:
    """Blind and skewed hold whatever the guard's action is; degraded holds where the action is hold."""
    holds = look(RUN, said(**{guard: standing})).holds
    assert (holds.kind if holds else None) is kind


def test_the_gravest_reason_is_the_one_that_is_said() -> None:
    """Of several reasons the one that a person should look at first, and every guard that gives it."""
    verdicts = said(latency=Standing.BLIND, orders=Standing.DEGRADED, errors=Standing.BLIND)
    holds = look(RUN, verdicts).holds
    assert holds is not None
    assert (holds.kind, holds.guards, holds.sentence) == (HeldKind.DEGRADED, ("orders",), "orders is degraded")
    blind = look(RUN, said(latency=Standing.BLIND, errors=Standing.BLIND)).holds
    assert blind is not None
    assert blind.guards == ("latency", "errors")


def test_an_outage_of_both_arms_is_held_and_not_blamed() -> None:
    """The statistics ask to wait without saying degraded."""
    sight = look(RUN, (*said()[1:], Judged("latency", Standing.UNDECIDED, "both arms", hold=True)))
    assert sight.broken is None
    assert sight.holds is not None
    assert (sight.holds.kind, sight.holds.sentence) == (HeldKind.OUTAGE, "both arms")


def test_silence_is_blind_and_no_order_hides_the_worse() -> None:
    """A guard without a verdict is blind; of two verdicts on one guard both count."""
    assert look(RUN, CALM[1:]).unseen
    assert look(RUN, (*CALM, Judged("latency", Standing.DEGRADED))).broken is not None
    assert look(RUN, (Judged("latency", Standing.DEGRADED), *CALM)).broken is not None
    assert not look(RUN, (*CALM, Judged("a stranger", Standing.DEGRADED))).broken


def test_healthy_needs_evidence() -> None:
    """Unjudged neither blocks nor counts; guards that blame nobody are not asked; none at all is no evidence."""
    assert look(RUN, said(latency=Standing.UNJUDGED, chatter=Standing.DEGRADED)).is_healthy
    assert not look(RUN, said(orders=Standing.UNDECIDED)).is_healthy
    assert not look(RUN, tuple(Judged(guard.name, Standing.UNJUDGED) for guard in GUARDS)).is_healthy
    assert not look(replace(RUN, guards=GUARDS[2:3]), CALM).is_healthy


def test_where_no_control_is_left_only_absolute_guards_hold() -> None:
    """In the finish a relative guard cannot see, and that is no blindness; degraded acts all the same."""
    finish = enter(RUN, 1, 0)
    assert look(finish, said(latency=Standing.BLIND, orders=Standing.DEGRADED)).holds is None
    assert look(finish, said(errors=Standing.BLIND)).unseen
    assert look(finish, said(latency=Standing.DEGRADED)).broken is not None
