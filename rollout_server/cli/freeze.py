"""`rollout freeze` and `rollout thaw`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages
from rollout_server.cli.failures import usage
from rollout_server.cli.screen import DIM, GOOD, WARN, Mark
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session
from rollout_server.cli.times import duration_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.wire.v1 import control_pb2


@click.command(cls=Command)
@click.argument("key", required=False)
@click.option("--for", "lasts", default="", metavar="TIME", help="How long; until it is thawed unless given.")
@click.option("--tag", "tags", multiple=True, help="Only flags with this tag; may be repeated.")
@click.option("--except", "exempt", multiple=True, metavar="WHO", help="A person or group who may go on.")
@click.option("--stagger", default="", metavar="TIME", help="Afterwards rollouts go on one by one, this far apart.")
@intent_options
@pass_session
def freeze(
    session: Session,
    key: str | None,
    lasts: str,
    tags: tuple[str, ...],
    exempt: tuple[str, ...],
    stagger: str,
    reason: str | None,
    idempotency_key: str | None,
) -> None:
    """Let nothing grow from now on.

    Soak and evidence go on, and so do rollback and kill; nobody new is exposed until it is over.
    """
    from rollout_sdk.wire.v1 import control_pb2

    lengths = [_length_ms(text) for text in (lasts, stagger)]
    session.begin("freeze")
    intent, connection = session.intent(reason, idempotency_key), session.connection
    fields = {"except": exempt}  # a word of Python's own
    request = control_pb2.FreezeRequest(
        intent=intent, key=key or "", for_ms=lengths[0], tags=tags, stagger_ms=lengths[1], **fields
    )
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Freeze, request))
    name = answer.freeze.document.key
    whom = f"flags tagged {', '.join(tags)}" if tags else "every flag"
    how_long = f"for {lasts}" if lasts else "until it is thawed"
    _tell(session, answer, f"nothing grows of {whom} {how_long}", f"rollout thaw {name}", answer.warnings)


@click.command(cls=Command)
@click.argument("key", shell_complete=key_completion.freezes)
@intent_options
@pass_session
def thaw(session: Session, key: str, reason: str | None, idempotency_key: str | None) -> None:
    """End a freeze: its flags may grow again, one rollout after another."""
    from rollout_sdk.wire.v1 import control_pb2

    session.begin("thaw")
    intent, connection = session.intent(reason, idempotency_key), session.connection
    request = control_pb2.ThawRequest(intent=intent, key=key)
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Thaw, request))
    done = "is over: its flags may grow" if answer.entry.revision else "was over already; nothing was written"
    undo = f"rollout revert {answer.entry.revision}" if answer.entry.revision else ""
    _tell(session, answer, f"freeze {key} {done}", undo)


def _tell(
    session: Session,
    answer: control_pb2.FreezeResponse | control_pb2.ThawResponse,
    what: str,
    undo: str,
    warnings: Iterable[str] = (),
) -> None:
    screen, entry = session.screen, answer.entry
    revision = f" (revision {entry.revision})" if entry.revision else ""
    screen.tell(Mark("✔ ", GOOD), f"{what}{revision}")
    for warning in warnings:
        screen.talk(Mark("warning: ", WARN), f"it {warning}")
    if undo:
        screen.tell(Mark("undo: ", DIM), undo)
    if screen.is_data:
        told = messages.entry(entry) if entry.revision else None
        freeze_ = messages.parsed(answer.freeze.document.json)
        screen.data({"environment": session.environment(), "freeze": freeze_, "entry": told})


def _length_ms(text: str) -> int:
    try:
        return duration_ms(text) if text else 0
    except ValueError as error:
        raise usage(str(error)) from error
