"""`rollout history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import changes, key_completion, messages, references
from rollout_server.cli.screen import DIM, Cell, Column, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import ago, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.wire.v1 import control_pb2

LIMIT_DEFAULT = 20
LIMIT_MAX = 500
_NAMED_MAX = 3


@click.command(cls=Command)
@click.argument("resource", required=False, shell_complete=key_completion.resources)
@click.option(
    "--limit", "-n", type=click.IntRange(1, LIMIT_MAX), default=LIMIT_DEFAULT, show_default=True, help="How many."
)
@click.option("--before", type=click.IntRange(1), metavar="REV", help="Only entries before this revision.")
@click.option("--fields", is_flag=True, help="Show every field that changed, before and after.")
@pass_session
def history(session: Session, resource: str | None, limit: int, before: int | None, *, fields: bool) -> None:
    """Who changed what, when and why, newest first.

    RESOURCE is a key or kind/key; without it, the whole environment.
    """
    from rollout_sdk.wire.v1 import control_pb2

    kind, key = _resource(session, resource)
    request = control_pb2.ListHistoryRequest(kind=kind, key=key, before_revision=before or 0, limit=limit)
    connection = session.connection
    answer = connection.ask(connection.stub.ListHistory, request)
    focus = messages.resource_id(kind, key) if key else ""
    session.begin(*([focus] if focus else []))
    data = {
        "environment": session.environment(),
        "resource": focus or None,
        "oldest_revision": answer.oldest_revision,
        "entries": [messages.entry(entry) for entry in answer.entries],
    }
    session.screen.show(data, lambda: _draw(session, answer, limit, focus, fields=fields or session.screen.is_wide))


def _resource(session: Session, text: str | None) -> tuple[str, str]:
    if not text:
        return "", ""
    kind, key = references.split(text)
    if kind:
        return kind, key
    document = references.find(session, text).resource.document
    return document.kind, document.key


def _draw(session: Session, answer: control_pb2.ListHistoryResponse, limit: int, focus: str, *, fields: bool) -> None:
    screen = session.screen
    if not answer.entries:
        screen.line("nothing has changed here yet; see what there is: rollout get")
        return
    if fields:
        for entry in answer.entries:
            _draw_fields(session, entry)
    else:
        draw_entries(session, answer.entries, focus)
    last = answer.entries[-1].revision
    if len(answer.entries) == limit and last > max(answer.oldest_revision, 1):
        name = f"{focus} " if focus else ""
        session.screen.note("older", f"rollout history {name}--before {last}")


def draw_entries(session: Session, entries: Sequence[control_pb2.Entry], focus: str = "") -> None:
    """Draw one line for each entry; `focus` is the resource that is looked at, the others are only counted."""
    session.screen.table(
        [
            Column("REV", is_number=True),
            Column("WHEN"),
            Column("ACTION"),
            Column("BY", folds=True),
            Column("CHANGED", folds=True),
            Column("REASON", folds=True),
        ],
        [_row(entry, session.now_ms, focus, is_wide=session.screen.is_wide) for entry in entries],
    )


def _row(entry: control_pb2.Entry, now_ms: int, focus: str, *, is_wide: bool) -> list[Cell]:
    named = [references.named(change) for change in entry.changes]
    told = [focus] if focus in named else named[:_NAMED_MAX]
    more = f" and {len(named) - len(told)} more" if len(named) > len(told) else ""
    return [
        str(entry.revision),
        ago(entry.at_ms, now_ms),
        entry.action,
        entry.actor if is_wide else messages.person(entry.actor),
        ", ".join(told) + more,
        entry.reason,
    ]


def _draw_fields(session: Session, entry: control_pb2.Entry) -> None:
    screen = session.screen
    head = f"revision {entry.revision} · {entry.action} by {entry.actor} · {stamp(entry.at_ms)}"
    screen.line(Mark(head, "bold"))
    if entry.reason:
        screen.line("  ", Mark("reason: ", DIM), entry.reason)
    if screen.is_wide:
        screen.line("  ", Mark("digest: ", DIM), entry.digest.hex())
    changes.draw(screen, entry.changes)
    if undo := messages.undo(entry):
        screen.line("  ", Mark("undo: ", DIM), undo)
    screen.line()
