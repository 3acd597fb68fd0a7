"""What a release manager does to a rollout: start, pause, resume, promote, finish, cancel, and acknowledge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from rollout_server.cli import key_completion, messages, rollout_answers
from rollout_server.cli.screen import DIM, GOOD, Mark
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.wire.v1 import control_pb2

    Click = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Verb:
    """One call.

    Attributes:
        call: name of the method.
        undo: the command that takes it back; "{key}" stands for the rollout.
        asks: for a reason.
        is_staged: names the stage that was seen.
        unchanged: what is said where nothing had to change.
    """

    call: str
    undo: str
    asks: bool = True
    is_staged: bool = False
    unchanged: str = "it is so already; nothing was written"


_BACK = "rollout rollback {key}"
VERBS = {
    "start": Verb("StartRollout", _BACK),
    "pause": Verb("PauseRollout", "rollout resume {key}"),
    "resume": Verb("ResumeRollout", "rollout pause {key}", is_staged=True),
    "promote": Verb("PromoteRollout", _BACK, is_staged=True),
    "approve": Verb("ApproveStage", "rollout reject {key} --reason ...", is_staged=True),
    "reject": Verb("RejectStage", "rollout resume {key}", is_staged=True),
    "finish": Verb("FinishRollout", _BACK, is_staged=True),
    "cancel": Verb("CancelRollout", "rollout start {key}"),
    "ack": Verb("Acknowledge", "", asks=False, unchanged="somebody acknowledged it before"),
}


def _verb(command: Click) -> Click:
    """Make a function of (session, flag, reason, idempotency_key) a command on a rollout."""
    named = click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
    return click.command(cls=Command)(named(intent_options(pass_session(command))))


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
@click.option("--allow-unsupported", is_flag=True, help="Although some connected SDKs cannot evaluate it.")
@intent_options
@pass_session
def start(
    session: Session, flag: str, reason: str | None, idempotency_key: str | None, *, allow_unsupported: bool
) -> None:
    """Open the next run of a rollout: expose its first stage.

    The pipeline is copied now; editing it later changes no running rollout. The same units come first in every run.
    """
    do(session, "start", flag, reason, idempotency_key, allow_unsupported=allow_unsupported)


@_verb
def pause(session: Session, flag: str, reason: str | None, idempotency_key: str | None) -> None:
    """Stop a rollout where it is. Whoever is exposed stays so, and the guardrails stay armed."""
    do(session, "pause", flag, reason, idempotency_key)


@_verb
def resume(session: Session, flag: str, reason: str | None, idempotency_key: str | None) -> None:
    """Let a paused rollout go on. The time of the pause is no soak."""
    do(session, "resume", flag, reason, idempotency_key)


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
@click.option("--to", "to", default="", metavar="STAGE", help="A stage, or finish; the next one unless given.")
@intent_options
@pass_session
def promote(session: Session, flag: str, to: str, reason: str | None, idempotency_key: str | None) -> None:
    """Go to another stage now, whatever this one still waits for.

    Forward needs a reason, and never passes an approval; back to a stage it was in takes units away.
    """
    do(session, "promote", flag, reason, idempotency_key, to=to)


@_verb
def finish(session: Session, flag: str, reason: str | None, idempotency_key: str | None) -> None:
    """Write the final variant into the flag of a completed rollout.

    The rollout's rule is dropped; whom its `never` kept from it stays with the old variant.
    """
    do(session, "finish", flag, reason, idempotency_key)


@_verb
def cancel(session: Session, flag: str, reason: str | None, idempotency_key: str | None) -> None:
    """Never start a run that is scheduled."""
    do(session, "cancel", flag, reason, idempotency_key)


@_verb
def ack(session: Session, flag: str, reason: str | None, idempotency_key: str | None) -> None:
    """Say that you look after it: nobody else is called.

    Whatever the rollout needs a person for is yours then.
    """
    do(session, "ack", flag, reason, idempotency_key)


def do(
    session: Session,
    word: str,
    target: str,
    reason: str | None,
    key: str | None,
    **more: Any,  # noqa: ANN401 - whatever fields the request has
) -> None:
    """Make the call of a verb, and tell what came of it.

    Args:
        session: of the command.
        word: one of `VERBS`.
        target: a rollout's key, or its flag's.
        reason: as it was typed.
        key: of idempotency, as it was typed.
        more: further fields of the request.

    Raises:
        ServerRefused: the machine says no.
    """
    from rollout_sdk.wire.v1 import control_pb2

    verb, connection, screen = VERBS[word], session.connection, session.screen
    seen = rollout_answers.fetch(session, target)
    session.begin(seen.key)
    if verb.is_staged:
        more["expects"] = seen.stage
    intent = session.intent(reason, key, asks=verb.asks)
    request = getattr(control_pb2, f"{verb.call}Request")(intent=intent, rollout=f"rollout/{seen.key}", **more)
    call = getattr(connection.stub, verb.call)
    moved: control_pb2.Moved = told_how_to_repeat(intent, lambda: connection.ask_again(call, request)).moved
    told(session, word, moved)
    if screen.is_data:
        entry = messages.entry(moved.entry) if moved.entry.revision else None
        rollout = rollout_answers.plain(moved.rollout)
        screen.data({"environment": session.environment(), "rollout": rollout, "entry": entry})


def told(session: Session, word: str, moved: control_pb2.Moved) -> None:
    """Say what came of a verb, and the command that undoes it."""
    verb, screen, rollout = VERBS[word], session.screen, moved.rollout
    if not moved.entry.revision:
        screen.tell(Mark("✔ ", GOOD), f"{verb.unchanged}: {rollout.sentence}")
        return
    screen.tell(Mark("✔ ", GOOD), f"{rollout.sentence} (revision {moved.entry.revision})")
    if verb.undo:
        screen.tell(Mark("undo: ", DIM), verb.undo.format(key=rollout.key))
    if word in {"start", "promote", "resume"}:
        screen.tell(Mark("look: ", DIM), f"rollout watch {rollout.key}")
