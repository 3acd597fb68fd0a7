"""`rollout fmt`: one layout for every file."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from pathlib import Path

import click

from rollout_server.cli import documents
from rollout_server.cli.failures import CommandFailed, Exit, Finished
from rollout_server.cli.plan import files_option
from rollout_server.cli.screen import BAD, GOOD, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session


@click.command(cls=Command)
@click.argument("more_files", nargs=-1, metavar="[FILE|DIR]...")
@files_option
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when a file would change.")
@click.option("--diff", "shows_diff", is_flag=True, help="Write nothing; print what would change.")
@pass_session
def fmt(
    session: Session, more_files: tuple[str, ...], files: tuple[str, ...], *, check: bool, shows_diff: bool
) -> None:
    """Write files the one way.

    Comments stay; `on`, dates and numbers that are meant as text get quotes. Nothing of the meaning changes. Standard
    input (-) is written to standard output.
    """
    from rollout_server.domain.files import fmt as formatted
    from rollout_server.errors import InvalidInput

    changed, count, details = [], 0, []
    for source in documents.sources((*files, *more_files)):
        count += 1
        try:
            text = formatted(source.data, source.name)
        except InvalidInput as invalid:
            details += [str(problem) for problem in invalid.problems]
            continue
        if source.name == "<stdin>" and not check and not shows_diff:
            sys.stdout.write(text)
        elif text.encode() != source.data:
            changed.append(source.name)
            if shows_diff:
                _print_diff(source, text)
            elif not check:
                _replace(Path(source.name), text)
    if session.screen.is_data:
        session.screen.data({"files": count, "changed": changed, "problems": details})
    _conclude(session, changed, count, is_dry=check or shows_diff)
    if details:
        raise CommandFailed(
            f"{quantity(len(details), 'problem')}; those files were not touched",
            "mend them: only what can be read can be written",
            details=details,
        )
    if changed and (check or shows_diff):
        raise Finished(Exit.DIFFERENCES)


def _conclude(session: Session, changed: list[str], count: int, *, is_dry: bool) -> None:
    for name in changed:
        session.screen.talk(Mark("~ ", BAD if is_dry else GOOD), f"{name}{' would change' if is_dry else ' written'}")
    if not changed:
        session.screen.talk(Mark("✔ ", GOOD), f"{quantity(count, 'file')} read, none would change")
    elif is_dry:
        session.screen.note("next", "rollout fmt FILE...")


def _print_diff(source: documents.Source, text: str) -> None:
    before = source.data.decode("utf-8", "replace").splitlines(keepends=True)
    after = text.splitlines(keepends=True)
    sys.stdout.writelines(difflib.unified_diff(before, after, source.name, source.name))


def _replace(path: Path, text: str) -> None:
    """Write aside and rename, so that a full disk never leaves half a file; mode and symbolic links stay."""
    target = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            Path(name).chmod(target.stat().st_mode & 0o7777)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}; it was not touched") from error
