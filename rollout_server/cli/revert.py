"""`rollout revert`: undo one revision."""

from __future__ import annotations

import click

from rollout_server.cli import changes, messages, stored_changes
from rollout_server.cli.screen import DIM, GOOD, Mark
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session
from rollout_server.cli.times import ago


@click.command(cls=Command)
@click.argument("revision", type=click.IntRange(min=1))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--allow-unsupported", is_flag=True, help="Publish what some connected SDKs cannot evaluate.")
@intent_options
@pass_session
def revert(
    session: Session,
    revision: int,
    reason: str | None,
    idempotency_key: str | None,
    *,
    yes: bool,
    allow_unsupported: bool,
) -> None:
    """Undo one revision.

    Each resource that the revision changed goes back to the spec it had before. What verbs wrote stays: it lifts no
    kill. Refused where a later edit stands in the way; stored as a change, exit 6, where a policy demands approval.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    session.begin(f"revert of revision {revision}")
    if not session.screen.is_data:
        _show(session, revision)
    if not yes:
        session.confirm(f"undo this in {session.environment()}?")
    intent = session.intent(reason, idempotency_key, asks=not yes)
    request = control_pb2.RevertRequest(intent=intent, revision=revision, allow_unsupported=allow_unsupported)
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Revert, request))
    screen = session.screen
    if answer.HasField("change"):
        if screen.is_data:
            change = messages.stored(answer.change)
            screen.data({"environment": session.environment(), "reverted": revision, "entry": None, "change": change})
        stored_changes.waits(session, answer.change)
        return
    if not answer.entry.revision:
        screen.tell(Mark("✔ ", GOOD), "nothing changed: everything already stands as it did before that revision")
    else:
        screen.tell(
            Mark("✔ ", GOOD), f"reverted as revision {answer.entry.revision}: {changes.count(answer.entry.changes)}"
        )
        screen.tell(Mark("undo: ", DIM), messages.undo(answer.entry))
    if screen.is_data:
        entry = messages.entry(answer.entry) if answer.entry.revision else None
        screen.data({"environment": session.environment(), "reverted": revision, "entry": entry})


def _show(session: Session, revision: int) -> None:
    """Show what is about to be undone. A revision that is not there is refused by the call itself."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    request = control_pb2.ListHistoryRequest(before_revision=revision + 1, limit=1)
    for entry in connection.ask(connection.stub.ListHistory, request).entries:
        if entry.revision == revision:
            who, when = messages.person(entry.actor), ago(entry.at_ms, session.now_ms)
            why = f": {entry.reason}" if entry.reason else ""
            session.screen.line(f"undoes: {entry.action} by {who}, {when}{why}")
            changes.draw(session.screen, entry.changes)
            session.screen.line()
