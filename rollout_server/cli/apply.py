"""`rollout apply`: what was seen is what happens, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from rollout_server.cli import changes, documents, messages, preview, saved_plan, stored_changes
from rollout_server.cli.connection import DOCUMENTS_TIMEOUT_MS
from rollout_server.cli.failures import CommandFailed, Exit, usage
from rollout_server.cli.plan import begin, data, files_option, population_options
from rollout_server.cli.preview import Preview, Question
from rollout_server.cli.saved_plan import SavedPlan
from rollout_server.cli.screen import DIM, GOOD, Mark, quantity
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data


@dataclass(frozen=True, slots=True)
class _Consent:
    """What the options allow without asking."""

    yes: bool
    unsupported: bool
    reason: str | None
    key: str | None


@click.command(cls=Command)
@click.argument("saved", required=False, metavar="[PLAN.json]")
@files_option
@click.option("--prune", is_flag=True, help="Also delete every flag and cohort that no document holds.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--allow-unsupported", is_flag=True, help="Publish what some connected SDKs cannot evaluate.")
@population_options
@intent_options
@pass_session
def apply(  # noqa: PLR0913 - one parameter per option
    session: Session,
    saved: str | None,
    files: tuple[str, ...],
    population: str | None,
    synthetic: int,
    moves_limit: int,
    reason: str | None,
    idempotency_key: str | None,
    *,
    prune: bool,
    dry_run: bool,
    yes: bool,
    allow_unsupported: bool,
) -> None:
    """Make the environment hold what the files say.

    Shows the plan first, asks on a terminal, and applies exactly what it showed: in one transaction, or not at all.
    Writes specs only; it lifts no kill. PLAN.json is a plan that `rollout plan --save` wrote.

    Where a policy demands approval it stores a change instead, says who must agree, and exits 6.
    """
    if saved and (files or prune or population):
        raise usage("a saved plan holds its documents", "give PLAN.json alone, or files with -f")
    kept = saved_plan.load(saved) if saved else None
    if kept is not None:
        _check_environment(session, kept)
        wire = _wire(kept)
        question = Question(wire, prune=kept.prune, synthetic=0)
    else:
        read = documents.load_all(files, session.environment())
        wire = documents.messages(read)
        question = Question(wire, read, prune, None, population, synthetic, moves_limit)
    answer = preview.ask(session, question)
    begin(session, answer)
    if kept is not None:
        _check_still_stands(kept, answer)
    if dry_run or not answer.changes:
        session.screen.show(data(session, answer), lambda: preview.draw(session.screen, answer))
        session.screen.talk(Mark("nothing was changed", DIM))
        return
    if not session.screen.is_data:
        preview.draw(session.screen, answer, counted_before=_saved_moves(kept) if kept is not None else ())
    _apply(session, question, answer, _Consent(yes, allow_unsupported, reason, idempotency_key))


def _apply(session: Session, question: Question, answer: Preview, consent: _Consent) -> None:
    from rollout_sdk.wire.v1 import control_pb2

    screen, connection = session.screen, session.connection
    allow = consent.unsupported or _may_be_unsupported(session, answer)
    if not consent.yes:
        session.confirm(f"apply this to {session.environment()}?")
    intent = session.intent(consent.reason, consent.key, asks=not consent.yes)
    request = control_pb2.ApplyRequest(
        intent=intent,
        documents=question.wire,
        prune=question.prune,
        plan_hash=answer.summary.hash,
        allow_unsupported=allow,
    )
    apply_once = partial(connection.ask_again, connection.stub.Apply, request, timeout_ms=DOCUMENTS_TIMEOUT_MS)
    try:
        applied = told_how_to_repeat(intent, apply_once)
    except CommandFailed as failed:
        raise _refused(failed, question) from failed
    if not screen.is_data:
        screen.line()
    if applied.HasField("change"):
        if screen.is_data:
            screen.data(_waiting(session, answer, applied.change))
        stored_changes.waits(session, applied.change)
        return
    if not applied.entry.revision:
        screen.tell(Mark("✔ ", GOOD), "nothing changed: the environment holds this already")
    else:
        screen.tell(Mark("✔ ", GOOD), f"applied as revision {applied.entry.revision}: {changes.count(applied.changes)}")
        screen.tell(Mark("undo: ", DIM), messages.undo(applied.entry))
    if screen.is_data:
        entry = messages.entry(applied.entry) if applied.entry.revision else None
        plan = messages.summary(answer.summary, answer.moves)
        screen.data({"environment": session.environment(), "entry": entry, "plan": plan})


def _waiting(session: Session, answer: Preview, change: control_pb2.Change) -> dict[str, Data]:
    plan = messages.summary(answer.summary, answer.moves)
    return {"environment": session.environment(), "entry": None, "change": messages.stored(change), "plan": plan}


def _refused(failed: CommandFailed, question: Question) -> CommandFailed:
    from rollout_server.cli.failures import ServerRefused

    if not isinstance(failed, ServerRefused):
        return failed
    if failed.exit_code is Exit.CONFLICT:
        return CommandFailed(
            f"{failed.what}; what you saw is no longer what would happen, and nothing was changed",
            failed.hint or "look again: rollout plan, then repeat the command",
            exit_code=Exit.CONFLICT,
        )
    return documents.placed(failed, question.documents)


def _may_be_unsupported(session: Session, answer: Preview) -> bool:
    """Ask whether to publish what connected SDKs cannot evaluate.

    Raises:
        CommandFailed: nobody to ask, or they said no.
    """
    unsupported = answer.summary.unsupported
    if not unsupported:
        return False
    if not session.world.is_interactive():
        raise CommandFailed(
            f"{quantity(len(unsupported), 'connected SDK')} cannot evaluate this; nothing was changed",
            "upgrade them first, or add --allow-unsupported: they keep the last rules they understood",
            details=tuple(unsupported),
        )
    session.confirm("these SDKs keep the last rules they understood; publish anyway?")
    return True


def _check_environment(session: Session, kept: SavedPlan) -> None:
    if not kept.can_apply:
        raise usage("this plan was made against the past and cannot be applied", "plan again without --at and --rev")
    if kept.environment != session.environment():
        raise usage(
            f"this plan is for environment {kept.environment}, and the command goes to {session.environment()}",
            f"add --environment {kept.environment}, or plan again for {session.environment()}",
        )


def _wire(kept: SavedPlan) -> list[control_pb2.Document]:
    from rollout_sdk.wire.v1 import control_pb2

    wire = []
    for origin, text in kept.documents:
        tree = messages.parsed(text)
        kind = tree.get("kind") if isinstance(tree, dict) else None
        metadata = tree.get("metadata") if isinstance(tree, dict) else None
        key = metadata.get("key") if isinstance(metadata, dict) else None
        wire.append(control_pb2.Document(kind=str(kind or ""), key=str(key or ""), json=text, origin=origin))
    return wire


def _check_still_stands(kept: SavedPlan, answer: Preview) -> None:
    if answer.summary.hash == kept.hash:
        return
    moved = saved_plan.moved(kept.reads, answer.summary.reads)
    raise CommandFailed(
        "what the saved plan rests on has moved since; nothing was changed",
        "plan again and look at what is different now: rollout plan",
        details=moved or ("the server plans these documents differently now",),
        exit_code=Exit.CONFLICT,
    )


def _saved_moves(kept: SavedPlan) -> list[str]:
    """Return who moves as it was counted when the plan was saved: the population is not in the plan."""
    moves, population = kept.plan.get("moves"), kept.plan.get("population")
    if not isinstance(moves, list) or not isinstance(population, int) or not population:
        return []
    of = f"of {population:,} {'synthetic contexts' if kept.plan.get('population_is_synthetic') else 'contexts'}"
    told = [
        f"flag/{item.get('flag')}: {item.get('moved'):,} {of} move"
        for item in moves
        if isinstance(item, dict) and isinstance(item.get("moved"), int) and item["moved"]
    ]
    return told or [f"nobody {of} changes variant"]
