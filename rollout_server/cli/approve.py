"""`rollout approve` and `rollout reject`: a person's word about a change that waits, or a rollout's next stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages
from rollout_server.cli.drive import do
from rollout_server.cli.screen import DIM, GOOD, Mark
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session
from rollout_server.cli.stored_changes import named, number_of, still_asked

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2


@click.command(cls=Command)
@click.argument("target", metavar="change/N|FLAG", shell_complete=key_completion.rollouts)
@intent_options
@pass_session
def approve(session: Session, target: str, reason: str | None, idempotency_key: str | None) -> None:
    """Agree to a change that waits, or to a rollout's next stage.

    The last approval that is asked for applies the change at once. Nobody approves what they asked for themselves.
    """
    from rollout_sdk.wire.v1 import control_pb2

    number = number_of(target)
    if number is None:
        do(session, "approve", target, reason, idempotency_key)
        return
    session.begin(target)
    intent = session.intent(reason, idempotency_key)
    connection, screen = session.connection, session.screen
    request = control_pb2.ApproveChangeRequest(intent=intent, number=number)
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.ApproveChange, request))
    change = answer.change
    if messages.CHANGE_STATES.get(change.state) == "applied":
        how = "approved, and applied" if answer.entry.revision else "nobody is missing any more: it was applied"
        screen.tell(Mark("✔ ", GOOD), f"{named(change)}: {how} as revision {change.ended_revision}")
        screen.tell(Mark("undo: ", DIM), f"rollout revert {change.ended_revision}")
    else:
        how = f"approved (revision {answer.entry.revision})" if answer.entry.revision else "you approved it before"
        screen.tell(Mark("✔ ", GOOD), f"{named(change)}: {how}; it is applied when the last approval is given")
        still_asked(session, change)
    _data(session, change, answer.entry)


@click.command(cls=Command)
@click.argument("target", metavar="change/N|FLAG", shell_complete=key_completion.rollouts)
@intent_options
@pass_session
def reject(session: Session, target: str, reason: str | None, idempotency_key: str | None) -> None:
    """Refuse a change that waits, or a rollout's next stage.

    Whoever is asked may say no; the author of a change withdraws it so. It can be asked for again.
    """
    from rollout_sdk.wire.v1 import control_pb2

    number = number_of(target)
    if number is None:
        do(session, "reject", target, reason, idempotency_key)
        return
    session.begin(target)
    intent = session.intent(reason, idempotency_key)
    connection, screen = session.connection, session.screen
    request = control_pb2.RejectChangeRequest(intent=intent, number=number)
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.RejectChange, request))
    change = answer.change
    how = f"rejected (revision {answer.entry.revision})" if answer.entry.revision else "it was rejected before"
    screen.tell(Mark("✔ ", GOOD), f"{named(change)}: {how}; nothing was applied")
    _data(session, change, answer.entry)


def _data(session: Session, change: control_pb2.Change, entry: control_pb2.Entry) -> None:
    if session.screen.is_data:
        told = messages.entry(entry) if entry.revision else None
        session.screen.data({"environment": session.environment(), "change": messages.stored(change), "entry": told})
