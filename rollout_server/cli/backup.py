"""`rollout backup`: the whole store in one file."""

from __future__ import annotations

import click

from rollout_server.cli.failures import usage
from rollout_server.cli.kept_file import keep, size
from rollout_server.cli.screen import GOOD, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session


@click.command(cls=Command)
@click.argument("file")
@pass_session
def backup(session: Session, file: str) -> None:
    """Copy the whole store, consistently, while it runs.

    Journal and tokens, and the sums and evidence of rollouts under way. FILE must not exist; - writes to standard
    output. `rollout serve --restore FILE` fills an empty store from it, be it SQLite or Redis, and begins a new epoch,
    so that SDKs see the restore instead of missing it.
    """
    from rollout_sdk.wire.v1 import control_pb2

    session.begin()
    if session.screen.is_data and file == "-":
        raise usage("the backup and its report cannot both go to standard output", "name a file, or leave out -o")
    connection = session.connection
    answers = connection.receive(connection.stub.Backup, control_pb2.BackupRequest())
    pieces = (answer.data for answer in answers)
    written = keep(file, pieces, lambda count: session.screen.progress(f"{size(count)} received"), replaces=False)
    session.screen.end_progress()
    session.screen.talk(Mark("✔ ", GOOD), f"{size(written)} in {'standard output' if file == '-' else file}")
    if session.screen.is_data:
        session.screen.data({"environment": session.environment(), "file": file, "bytes": written})
    session.screen.note("restore", "rollout serve --restore FILE, with an empty store and the server-key of this one")
