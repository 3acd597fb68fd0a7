"""`rollout get`: resources as they stand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages, references, standing
from rollout_server.cli.rollout_answers import PHASES
from rollout_server.cli.screen import BAD, GOOD, Cell, Column, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, at_options, pass_session

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data


@click.command(cls=Command)
@click.argument("resource", required=False, shell_complete=key_completion.kinds_and_resources)
@at_options
@pass_session
def get(session: Session, resource: str | None, at: str | None, rev: int | None) -> None:
    """List resources, or show one as it stands.

    RESOURCE is a kind (flags, cohorts, rollouts, pipelines, ...), a key, or kind/key. One resource is printed as its
    document, with the version that a file may name to be applied only on top of it.
    """
    point = references.at(session, at, rev)
    if resource and resource.lower() not in references.KINDS:
        _one(session, resource, point)
    else:
        _many(session, references.KINDS[resource.lower()] if resource else "", point)


def _one(session: Session, name: str, point: control_pb2.At | None) -> None:
    answer = references.find(session, name, point)
    session.begin(f"revision {answer.position.revision}", f"version {answer.resource.version}")
    if not session.screen.is_data:
        from rollout_server.domain.files import export

        sys.stdout.write(export([standing.read(answer.resource)], with_versions=True))
        return
    session.screen.data({"environment": session.environment(), **messages.resource(answer.resource)})


def _many(session: Session, kind: str, point: control_pb2.At | None) -> None:
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.ListResources, control_pb2.ListResourcesRequest(kind=kind, at=point))
    session.begin(f"revision {answer.position.revision}", quantity(len(answer.resources), kind.lower() or "resource"))
    data: Data = {
        "environment": session.environment(),
        "position": messages.position(answer.position),
        "resources": [messages.resource(item) for item in answer.resources],
    }
    session.screen.show(data, lambda: _draw(session, kind, list(answer.resources)))


def _draw(session: Session, kind: str, resources: list[control_pb2.Resource]) -> None:
    screen = session.screen
    if not resources:
        screen.line(f"no {kind.lower() or 'resource'}s here; write one and try: rollout apply -f flags.yaml")
        return
    columns = [Column("RESOURCE"), Column("STATUS"), Column("VERSION", is_number=True), Column("OWNER", folds=True)]
    columns += [Column("TAGS", folds=True), Column("EXPIRES")]
    if screen.is_wide:
        columns += [Column("DESCRIPTION", folds=True), Column("USED BY", folds=True)]
    screen.table(columns, [_row(item, is_wide=screen.is_wide) for item in resources])


def _row(item: control_pb2.Resource, *, is_wide: bool) -> list[Cell]:
    document, status = messages.parsed(item.document.json), messages.parsed(item.status_json)
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    known = metadata if isinstance(metadata, Mapping) else {}
    tags = known.get("tags")
    state: Cell = ""
    if item.document.kind == "Flag":
        killed = isinstance(status, Mapping) and status.get("killed") is True
        state = Mark("✘ killed", BAD) if killed else Mark("✔ serving", GOOD)
    if item.document.kind == "Rollout":
        run = status.get("run") if isinstance(status, Mapping) else None
        state = PHASES.get(str(run.get("phase", "")) if isinstance(run, Mapping) else "", "")
    row: list[Cell] = [
        messages.resource_id(item.document.kind, item.document.key),
        state,
        str(item.version),
        str(known.get("owner", "")),
        ", ".join(str(tag) for tag in tags) if isinstance(tags, list) else "",
        str(known.get("expires", "")),
    ]
    return [*row, str(known.get("description", "")), ", ".join(item.dependents)] if is_wide else row
