"""`rollout test`: the cases that stand beside a flag in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import documents
from rollout_server.cli.failures import Exit, Finished
from rollout_server.cli.plan import files_option
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.yaml_text import Data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_server.domain.checking import CaseResult


@click.command(cls=Command)
@click.argument("more_files", nargs=-1, metavar="[FILE|DIR]...")
@files_option
@pass_session
def test(session: Session, more_files: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Run the cases that the files hold.

    A case stands under `tests` of a flag: a context, and the variant it must get. All files are decided together, by
    the evaluator that SDKs run; with --environment, as they are there. Needs no server; exits 1 when a case fails.
    """
    from rollout_server.domain.checking import run_cases

    found = documents.read((*files, *more_files), session.choice.environment)
    if found.problems:
        raise documents.wrong(found.problems)
    results = run_cases(found.documents)
    failed = [result for result in results if not result.passed]
    data: Data = {"cases": [_data(result) for result in results], "failed": len(failed)}
    session.screen.show(data, lambda: _draw(session, results))
    if not results:
        session.screen.talk("there are no cases; write some under `tests` of a flag: {context: ..., expect: VARIANT}")
    elif failed:
        session.screen.talk(Mark("✘ ", BAD), f"{len(failed)} of {quantity(len(results), 'case')} failed")
        raise Finished(Exit.FAILED)
    else:
        session.screen.talk(Mark("✔ ", GOOD), f"{quantity(len(results), 'case')} passed")


def _data(result: CaseResult) -> dict[str, Data]:
    return {
        "place": result.origin,
        "flag": result.flag,
        "name": result.case.name,
        "passed": result.passed,
        "expected": result.case.expect,
        "variant": result.decision.variant,
        "reason": result.decision.reason.value,
        "rule": result.decision.rule,
    }


def _draw(session: Session, results: Sequence[CaseResult]) -> None:
    """Draw what failed; with -o wide, what passed too."""
    for result in results:
        name = result.case.name or result.case.path
        if result.passed:
            if session.screen.is_wide:
                session.screen.line(Mark("✔ ", GOOD), f"{result.origin}: flag/{result.flag}: {name}")
            continue
        decision = result.decision
        rule = f" by rule {decision.rule}" if decision.rule else ""
        session.screen.line(Mark("✘ ", BAD), Mark(f"{result.origin}: ", STRONG), f"flag/{result.flag}: {name}")
        session.screen.line(
            Mark("    expected ", DIM), f"`{result.case.expect}`", Mark(", got ", DIM), f"`{decision.variant}`",
            Mark(f" ({decision.reason.value}{rule})", DIM),
        )  # fmt: skip
