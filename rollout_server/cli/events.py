"""`rollout events`: what happened to rollouts, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages, rollout_answers, rollout_tree
from rollout_server.cli.screen import BAD, GOOD, WARN, Cell, Column, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import ago, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.wire.v1 import control_pb2

_LOOKS = {
    "rolled back": BAD,
    "killed": BAD,
    "degraded": BAD,
    "held": WARN,
    "awaiting approval": WARN,
    "completed": GOOD,
    "advanced": GOOD,
    "started": GOOD,
}


@click.command(cls=Command)
@click.argument("flag", metavar="[FLAG]", required=False, shell_complete=key_completion.rollouts)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many at most.")
@click.option("--before", type=click.IntRange(min=0), default=0, metavar="N", help="Only before this revision.")
@pass_session
def events(session: Session, flag: str | None, limit: int, before: int) -> None:
    """What happened to rollouts, newest first: one of them, or all."""
    from rollout_sdk.wire.v1 import control_pb2

    connection, screen = session.connection, session.screen
    request = control_pb2.ListEventsRequest(rollout=flag or "", before_revision=before, limit=limit)
    answer = connection.ask(connection.stub.ListEvents, request)
    session.begin(flag or "all rollouts")
    found = list(answer.events)

    def draw() -> None:
        if not found:
            screen.line("nothing happened to rollouts yet")
            return
        draw_events(session, found)
        if len(found) == limit:
            screen.note("more", f"rollout events {flag or ''} --before {found[-1].revision}".replace("  ", " "))

    screen.show({"environment": session.environment(), "events": [rollout_answers.plain(one) for one in found]}, draw)


def draw_events(session: Session, found: Sequence[control_pb2.Event]) -> None:
    """Draw a line for each event; the sentence has which rollout and who, so a narrow terminal has room for it."""
    columns = [Column("REV", is_number=True), Column("WHEN"), Column("ROLLOUT"), Column("WHAT"), Column("BY"),
               Column("SENTENCE", folds=True), Column("TOLD", folds=True)]  # fmt: skip
    now_ms, is_wide = session.now_ms, session.screen.is_wide
    is_narrow = session.screen.width < rollout_tree.NARROW and not is_wide
    kept = (0, 1, 3, 5) if is_narrow else range(len(columns) if is_wide else len(columns) - 1)
    rows: list[list[Cell]] = [
        [
            str(one.revision),
            stamp(one.at_ms) if is_wide else ago(one.at_ms, now_ms),
            f"{one.rollout} run {one.run}",
            Mark(one.kind, _LOOKS.get(one.kind, "")),
            messages.person(one.actor),
            one.sentence,
            "; ".join(one.deliveries),
        ]
        for one in found
    ]
    session.screen.table([columns[at] for at in kept], [[row[at] for at in kept] for row in rows])
