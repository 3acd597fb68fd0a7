"""`rollout plan`: the exact preview of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from rollout_server.cli import documents, messages, preview, references, rollout_plan, saved_plan
from rollout_server.cli.failures import Exit, Finished, usage
from rollout_server.cli.preview import MOVES_DEFAULT, MOVES_MAX, SYNTHETIC_DEFAULT, SYNTHETIC_MAX, Preview, Question
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, at_options, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rollout_server.cli.yaml_text import Data

F = TypeVar("F", bound="Callable[..., Any]")


def population_options(command: F) -> F:
    """Add who is counted: given contexts, or synthetic ones."""
    for option in (
        click.option(
            "--population",
            metavar="FILE.jsonl",
            help="Count over these contexts, one JSON object a line; - is standard input.",
        ),
        click.option(
            "--synthetic",
            type=click.IntRange(0, SYNTHETIC_MAX),
            default=SYNTHETIC_DEFAULT,
            show_default=True,
            metavar="N",
            help="Without --population: contexts made from the flags' own conditions.",
        ),
        click.option(
            "--moves-limit",
            type=click.IntRange(1, MOVES_MAX),
            default=MOVES_DEFAULT,
            show_default=True,
            metavar="N",
            help="Units listed for each flag; all are counted.",
        ),
    ):
        command = option(command)
    return command


def files_option(command: F) -> F:
    """Add the files to read."""
    return click.option(
        "--file",
        "-f",
        "files",
        multiple=True,
        metavar="FILE|DIR",
        help="Documents, YAML or JSON; - is standard input. Repeatable.",
    )(command)


@click.command(cls=Command)
@click.argument("more_files", nargs=-1, metavar="[FILE|DIR]...")
@files_option
@click.option(
    "--rollout",
    "target",
    metavar="KEY",
    help="Instead of files: how this rollout (or this flag's) would go from now on.",
)
@click.option("--prune", is_flag=True, help="Also delete every flag and cohort that no document holds.")
@population_options
@at_options
@click.option("--save", metavar="PLAN.json", help="Keep the plan, to apply exactly it: rollout apply PLAN.json")
@click.option("--exit-code", is_flag=True, help="Exit 3 when something changes.")
@pass_session
def plan(  # noqa: PLR0913, PLR0917 - one parameter per option
    session: Session,
    more_files: tuple[str, ...],
    files: tuple[str, ...],
    target: str | None,
    population: str | None,
    synthetic: int,
    moves_limit: int,
    at: str | None,
    rev: int | None,
    save: str | None,
    *,
    prune: bool,
    exit_code: bool,
) -> None:
    """The exact preview of a change: what, and who moves.

    Says what changes in each resource, what depends on it, how many of a population move from which variant to which,
    and whether the whole provably shrinks. With --rollout: when each stage is entered at the earliest, who enters, who
    never does and why, and how long its guardrails take. Changes nothing.
    """
    if target is not None:
        if more_files or files or prune or save or at or rev is not None:
            raise usage(
                "--rollout plans what stands now, without files", "apply the files first, then plan the rollout"
            )
        rollout_plan.show(session, rollout_plan.Question(target, population, synthetic, moves_limit))
        return
    point = references.at(session, at, rev)
    given = (*files, *more_files)
    read = documents.load_all(given, session.environment())
    wire = documents.messages(read)
    question = Question(wire, read, prune, point, population, synthetic, moves_limit)
    answer = preview.ask(session, question)
    begin(session, answer)
    session.screen.show(data(session, answer), lambda: preview.draw(session.screen, answer))
    if save:
        kept = saved_plan.SavedPlan(
            environment=session.environment(),
            documents=tuple((document.origin, document.json) for document in wire),
            prune=prune,
            can_apply=point is None,
            plan=messages.summary(answer.summary, answer.moves),
        )
        saved_plan.save(save, kept)
    _say_next(session, answer, given, save, is_now=point is None, prune=prune)
    if exit_code and answer.changes:
        raise Finished(Exit.DIFFERENCES)


def begin(session: Session, answer: Preview) -> None:
    """Start the output of a plan."""
    named = f"hash {answer.summary.hash[:12]}" if answer.summary.hash else "cannot be applied"
    session.begin(f"plan against revision {answer.summary.position.revision}", named)


def data(session: Session, answer: Preview) -> dict[str, Data]:
    """Return the plan for a program."""
    return {"environment": session.environment(), **messages.summary(answer.summary, answer.moves)}


def _say_next(
    session: Session, answer: Preview, given: Sequence[str], save: str | None, *, is_now: bool, prune: bool
) -> None:
    if not answer.changes:
        return
    if not is_now:
        session.screen.note("nothing was changed", "a plan against the past cannot be applied")
    elif save:
        session.screen.note("nothing was changed; apply exactly this", f"rollout apply {save}")
    else:
        import shlex

        words = [word for name in given for word in ("-f", name)] + ["--prune"] * prune
        session.screen.note("nothing was changed; apply it", f"rollout apply {shlex.join(words)}")
