"""`rollout export`: the environment as files, or as a snapshot for SDKs without a server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages, references, standing
from rollout_server.cli.failures import CommandFailed, usage
from rollout_server.cli.kept_file import keep, size
from rollout_server.cli.screen import GOOD, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, at_options, pass_session

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data


@click.command(cls=Command)
@click.argument("resources", nargs=-1, metavar="[RESOURCE]...", shell_complete=key_completion.resources)
@click.option("--dir", "directory", metavar="DIR", help="One file for each resource, instead of standard output.")
@click.option("--snapshot", metavar="FILE", help="What SDKs receive, for Client.offline(FILE); - is standard output.")
@at_options
@pass_session
def export(
    session: Session,
    resources: tuple[str, ...],
    directory: str | None,
    snapshot: str | None,
    at: str | None,
    rev: int | None,
) -> None:
    """Write resources as files, or a snapshot for offline SDKs.

    Without RESOURCE, all of the environment. Applying the files unchanged changes nothing.
    """
    if snapshot is not None:
        if resources or directory or at or rev is not None:
            raise usage("a snapshot is of the whole environment, now", "give --snapshot FILE alone")
        _snapshot(session, snapshot)
        return
    from rollout_sdk.wire.v1 import control_pb2

    point = references.at(session, at, rev)
    connection = session.connection
    if resources:
        chosen = [references.find(session, name, point).resource for name in resources]
    else:
        answer = connection.ask(connection.stub.ListResources, control_pb2.ListResourcesRequest(at=point))
        chosen = list(answer.resources)
    session.begin(quantity(len(chosen), "resource"))
    if not chosen:
        session.screen.talk("there is nothing to export; write something and try: rollout apply -f flags.yaml")
    if directory is not None:
        _into(session, Path(directory), chosen)
    elif session.screen.format.value == "json":
        documents: list[Data] = [messages.parsed(item.document.json) for item in chosen]
        session.screen.data(documents)
    else:
        sys.stdout.write(text_of(chosen))


def text_of(resources: Sequence[control_pb2.Resource]) -> str:
    """Return the documents as YAML in the canonical layout."""
    from rollout_server.domain.files import export as written

    return written([standing.read(item) for item in resources])


def _into(session: Session, directory: Path, resources: Sequence[control_pb2.Resource]) -> None:
    try:
        for item in resources:
            target = directory / f"{item.document.kind.lower()}s" / f"{item.document.key}.yaml"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of([item]), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{error.filename or directory} cannot be written: {error.strerror}") from error
    session.screen.talk(Mark("✔ ", GOOD), f"{quantity(len(resources), 'file')} in {directory}")
    session.screen.note("next", f"rollout diff -f {directory}")


def _snapshot(session: Session, path: str) -> None:
    from rollout_sdk.wire.v1 import control_pb2

    session.begin()
    connection = session.connection
    answers = connection.receive(connection.stub.ExportSnapshot, control_pb2.ExportSnapshotRequest())
    pieces = (answer.data for answer in answers)
    written = keep(path, pieces, lambda count: session.screen.progress(f"{size(count)} received"), replaces=True)
    session.screen.end_progress()
    session.screen.talk(Mark("✔ ", GOOD), f"{size(written)} in {'standard output' if path == '-' else path}")
    if path != "-":
        session.screen.note("next", f"Client.offline({path!r})")
