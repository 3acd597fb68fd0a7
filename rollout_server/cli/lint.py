"""`rollout lint`: what the server would refuse, found without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rollout_server.cli import documents
from rollout_server.cli.failures import Exit, Finished
from rollout_server.cli.plan import files_option
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, WARN, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session

if TYPE_CHECKING:
    from rollout_sdk.engine.problems import Problem
    from rollout_server.cli.yaml_text import Data

_REFERENCES = frozenset({"unknown_flag", "unknown_cohort"})


@click.command(cls=Command)
@click.argument("more_files", nargs=-1, metavar="[FILE|DIR]...")
@files_option
@click.option("--whole", is_flag=True, help="The files are the whole environment: what they refer to must be in them.")
@pass_session
def lint(session: Session, more_files: tuple[str, ...], files: tuple[str, ...], *, whole: bool) -> None:
    """Check files without a server.

    Prints every problem as file:line:column and exits 1 when there is one. With --environment, as the files are there.
    A flag or cohort that is in none of the files may be on the server: that is a warning, unless --whole.
    """
    from rollout_server.domain.checking import lint as find_problems

    found = documents.read((*files, *more_files), session.choice.environment)
    problems = list(found.problems)
    warnings: list[Problem] = []
    if not any(document.resource is None for document in found.documents):
        for problem in find_problems(found.documents):
            if problem in problems:
                continue
            is_warning = problem.code in _REFERENCES and not whole
            (warnings if is_warning else problems).append(problem)
    count = len(found.documents)
    data: Data = {
        "documents": count,
        "problems": [_data(problem) for problem in problems],
        "warnings": [_data(problem) for problem in warnings],
    }
    session.screen.show(data, lambda: _draw(session, problems, warnings))
    if problems:
        session.screen.talk(Mark("✘ ", BAD), f"{quantity(len(problems), 'problem')} in {quantity(count, 'document')}")
        raise Finished(Exit.FAILED)
    warned = f", {quantity(len(warnings), 'warning')}" if warnings else ""
    session.screen.talk(Mark("✔ ", GOOD), f"{quantity(count, 'document')} in order{warned}")


def _data(problem: Problem) -> dict[str, Data]:
    return {
        "place": problem.origin,
        "resource": problem.resource,
        "path": problem.path,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def _draw(session: Session, problems: Sequence[Problem], warnings: Sequence[Problem]) -> None:
    for problem in problems:
        _line(session, problem, Mark("error ", BAD))
    for problem in warnings:
        _line(session, problem, Mark("warning ", WARN))


def _line(session: Session, problem: Problem, word: Mark) -> None:
    place = " ".join(part for part in (problem.resource, problem.path) if part)
    hint = f" ({problem.hint})" if problem.hint else ""
    session.screen.line(
        Mark(f"{problem.origin}: ", STRONG), word, f"{place}: " if place else "", problem.message, Mark(hint, DIM)
    )
