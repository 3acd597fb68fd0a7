"""`rollout diff`: what differs between files, revisions and environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rollout_server.cli import changes, documents, messages, preview, standing
from rollout_server.cli.failures import Exit, Finished, usage
from rollout_server.cli.plan import files_option
from rollout_server.cli.screen import STRONG, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.yaml_text import Data

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2


@dataclass(frozen=True, slots=True)
class _Difference:
    """What differs, from `before` to `after`, each in a few words."""

    before: str
    after: str
    changes: list[control_pb2.ResourceChange]


@click.command(cls=Command)
@click.argument("more_files", nargs=-1, metavar="[FILE|DIR]...")
@files_option
@click.option("--prune", is_flag=True, help="With files: what no document holds differs too.")
@click.option("--from", "before", type=click.IntRange(min=0), metavar="REV", help="From this revision.")
@click.option("--to", "after", type=click.IntRange(min=0), metavar="REV", help="To this one; now otherwise.")
@click.option("--environments", nargs=2, metavar="ONE OTHER", help="From one environment (or context) to another.")
@pass_session
def diff(
    session: Session,
    more_files: tuple[str, ...],
    files: tuple[str, ...],
    before: int | None,
    after: int | None,
    environments: tuple[str, str] | None,
    *,
    prune: bool,
) -> None:
    """What differs: files, revisions or environments.

    Files are compared with what stands now. Exits 3 when something differs.
    """
    given = (*files, *more_files)
    ways = [bool(given), before is not None or after is not None, environments is not None]
    if sum(ways) != 1:
        raise usage("choose what to compare", "give -f FILE, or --from REV [--to REV], or --environments ONE OTHER")
    if environments is not None:
        found = _environments(session, *environments)
    elif given:
        found = _files(session, given, prune=prune)
    else:
        found = _revisions(session, before, after)
    data: Data = {
        "environment": session.environment() if environments is None else None,
        "from": found.before,
        "to": found.after,
        "changes": messages.changes(found.changes),
    }
    session.screen.show(data, lambda: _draw(session, found))
    if found.changes:
        raise Finished(Exit.DIFFERENCES)


def _draw(session: Session, found: _Difference) -> None:
    if not found.changes:
        session.screen.line(f"no differences from {found.before} to {found.after}")
        return
    changes.draw(session.screen, found.changes)
    session.screen.talk(f"{changes.count(found.changes)}, from {found.before} to {found.after}")


def _files(session: Session, given: tuple[str, ...], *, prune: bool) -> _Difference:
    read = documents.load_all(given, session.environment())
    question = preview.Question(documents.messages(read), read, prune, synthetic=0)
    answer = preview.ask(session, question)
    session.begin(f"revision {answer.summary.position.revision}")
    return _Difference("what stands", "the files", answer.changes)


def _revisions(session: Session, before: int | None, after: int | None) -> _Difference:
    from rollout_sdk.wire.v1 import control_pb2

    if before is None:
        raise usage("--to needs a revision to start from", "add --from REV")
    old = _resources(session, control_pb2.At(revision=before))
    new = _resources(session, control_pb2.At(revision=after) if after is not None else None)
    session.begin()
    name = "now" if after is None else f"revision {after}"
    return _Difference(f"revision {before}", name, between(old, new))


def _environments(session: Session, one: str, other: str) -> _Difference:
    sides = [session.elsewhere(name) for name in (one, other)]
    try:
        found = [_resources(side, None) for side in sides]
        names = [side.environment() for side in sides]
    finally:
        for side in sides:
            side.close()
    session.screen.talk(Mark(f"{names[0]} -> {names[1]}", STRONG))
    return _Difference(names[0], names[1], between(*found))


def _resources(session: Session, point: control_pb2.At | None) -> list[control_pb2.Resource]:
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    return list(connection.ask(connection.stub.ListResources, control_pb2.ListResourcesRequest(at=point)).resources)


def between(old: list[control_pb2.Resource], new: list[control_pb2.Resource]) -> list[control_pb2.ResourceChange]:
    """Return what differs, in order of kind and key, found by the one differ that the server uses too.

    Raises:
        CommandFailed: a resource holds what this command line does not know.
    """
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.domain.diff import Operation, change_of

    operations = {
        Operation.CREATE: control_pb2.OPERATION_CREATE,
        Operation.UPDATE: control_pb2.OPERATION_UPDATE,
        Operation.DELETE: control_pb2.OPERATION_DELETE,
    }
    before, after = ({(item.document.kind, item.document.key): item for item in side} for side in (old, new))
    found = []
    for kind, key in sorted(before.keys() | after.keys()):
        sides = [side.get((kind, key)) for side in (before, after)]
        change = change_of(*(standing.read(item) if item is not None else None for item in sides))
        if change.operation is Operation.UNCHANGED:
            continue
        found.append(
            control_pb2.ResourceChange(
                kind=kind,
                key=key,
                operation=operations[change.operation],
                version_before=change.version_before,
                version_after=change.version_after,
                fields=[
                    control_pb2.FieldChange(path=one.path, before_json=one.before_json, after_json=one.after_json)
                    for one in change.fields
                ],
            )
        )
    return found
