"""What people are told: the same words however often it is sent."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import Json
from rollout_server.domain.machine import Acknowledge, Kill, NoticeKind, Phase, Rollback, Run
from rollout_server.domain.notification import (
    Notification,
    notification_of,
    read_notification,
    text,
    title,
    write_notification,
)
from tests.small_notifications import AT_MS, STARTED, after, broken, message, tick


def test_it_says_where_the_run_was_when_it_was_noticed() -> None:
    """Environment, flag, variants, stage, share and both commands are those of the run with its notice."""
    one = message(units_exposed=1_204, link="https://look.example.com/{environment}/{rollout}/{run}?flag={flag}")
    assert one == Notification(
        id=f"production/checkout-v2-launch/2/2@{one.at_ms}",
        environment="production",
        kind=NoticeKind.HELD,
        sentence=one.sentence,
        at_ms=AT_MS + 10_000,
        rollout="checkout-v2-launch",
        run=2,
        flag="checkout-v2",
        from_variant="off",
        to_variant="on",
        phase=Phase.HELD,
        stage="canary",
        share_ppm=10_000,
        units_exposed=1_204,
        link="https://look.example.com/production/checkout-v2-launch/2?flag=checkout-v2",
        rollback="rollout -e production rollback checkout-v2",
        ack="rollout -e production ack checkout-v2",
    )
    assert "is held at canary (1 %)" in one.sentence


@pytest.mark.parametrize(
    ("run", "rollback", "ack", "share_ppm"),
    [
        (STARTED, True, False, 10_000),
        (tick(STARTED), True, True, 10_000),
        (after(Acknowledge("mia@example.com", AT_MS), run=tick(STARTED)), True, False, 10_000),
        (broken(), False, True, 0),
        (after(Rollback("mia@example.com", AT_MS), run=STARTED), False, False, 0),
        (after(Kill("mia@example.com", AT_MS), run=STARTED), False, False, 0),
    ],
    ids=["started", "held", "acknowledged", "rolled back by the engine", "rolled back by hand", "killed"],
)
def test_only_commands_that_do_something_are_shown(run: Run, rollback: bool, ack: bool, share_ppm: int) -> None:  # noqa: FBT001
    """No rollback where nobody is exposed, no ack where nobody is called."""
    one = notification_of("production", run, (run.notices or STARTED.notices)[-1])
    assert (bool(one.rollback), bool(one.ack), one.share_ppm) == (rollback, ack, share_ppm)


def test_messages_of_two_environments_or_two_lives_of_a_rollout_differ() -> None:
    """A receiver that drops repeats by id drops nothing else."""
    there = notification_of("staging", STARTED, STARTED.notices[0])
    again = replace(STARTED, changed_at_ms=AT_MS + 86_400_000)
    reborn = notification_of("production", again, again.notices[0])
    assert len({message(STARTED).id, there.id, reborn.id}) == 3
    assert message(STARTED).id == message(STARTED).id


NOTIFICATIONS = st.builds(
    Notification,
    **{
        field.name: {
            "kind": st.sampled_from(NoticeKind),
            "phase": st.sampled_from(Phase),
            "units_exposed": st.none() | st.integers(),
        }.get(field.name, st.integers() if field.name in {"at_ms", "run", "share_ppm"} else st.text(max_size=9))
        for field in fields(Notification)
    },
)


@given(NOTIFICATIONS)
def test_what_is_written_is_read(one: Notification) -> None:
    """Whoever restarts sends the same."""
    assert read_notification(write_notification(one)) == one


@given(st.sampled_from([*write_notification(message())]), st.sampled_from([None, 7.5, True, [], {}, "?"]))
def test_what_does_not_fit_is_no_notification(name: str, value: Json) -> None:
    """A note that was damaged harms nobody."""
    tree = {**write_notification(message()), name: value}
    read = read_notification(tree)
    assert read is None or write_notification(read) == tree
    assert read_notification({key: item for key, item in tree.items() if key != name}) is None


@pytest.mark.parametrize("tree", [None, 7, "x", [], {}])
def test_nonsense_is_no_notification(tree: Json) -> None:
    assert read_notification(tree) is None


def test_people_read_what_happened_and_what_to_type() -> None:
    one = message(units_exposed=1_204, link="https://look.example.com/")
    assert title(one) == "[production] checkout-v2: held"
    assert text(one).splitlines() == [
        one.sentence,
        "",
        "checkout-v2: off -> on, held at canary (1%), at least 1,204 units exposed",
        "checkout-v2-launch run 2, 2026-12-01 00:00:10 UTC",
        "make everybody safe: rollout -e production rollback checkout-v2",
        "stop calling people: rollout -e production ack checkout-v2",
        "https://look.example.com/",
    ]
    assert text(message(broken())).splitlines()[2:] == [
        "checkout-v2: off -> on, rolled back at canary (0%)",
        "checkout-v2-launch run 2, 2026-12-01 00:00:10 UTC",
        "stop calling people: rollout -e production ack checkout-v2",
    ]
