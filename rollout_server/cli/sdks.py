"""`rollout sdks`: which process runs which revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import messages
from rollout_server.cli.screen import BAD, GOOD, STRONG, WARN, Cell, Column, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import ago, brief, stamp

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

_STATES = {
    "in force": ("✔ in force", GOOD),
    "quarantined": ("✘ quarantined", BAD),
    "straggling": ("◷ straggling", WARN),
    "unreachable": ("? unreachable", BAD),
}
_WORST_FIRST = ("unreachable", "quarantined", "straggling", "unknown", "in force")


@click.command(cls=Command)
@pass_session
def sdks(session: Session) -> None:
    """Which process runs which revision.

    LAG is the time from the commit of the revision in force to its acknowledgement; it is empty for a process that
    joined later. Every process of the last hour is here that did not say goodbye, whichever server on the same store
    serves it.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.ListInstances, control_pb2.ListInstancesRequest())
    session.begin(f"revision {answer.position.revision}", quantity(len(answer.instances), "process"))
    data: Data = {
        "environment": session.environment(),
        "position": messages.position(answer.position),
        "instances": [messages.instance(instance) for instance in answer.instances],
        "forgotten": answer.forgotten,
        "unheard": list(answer.unheard),
    }
    session.screen.show(data, lambda: _draw(session, answer))


def _draw(session: Session, answer: control_pb2.ListInstancesResponse) -> None:
    screen = session.screen
    for who in answer.unheard:
        screen.tell(Mark("unheard: ", BAD), who)
    if answer.forgotten:
        screen.tell(Mark("forgotten: ", BAD), quantity(answer.forgotten, "more process"))
    if not answer.instances:
        screen.line("no process is connected; give one a token: rollout token create --role sdk --person SERVICE")
        return
    columns = [
        Column("SERVICE"),
        Column("HOST", folds=True),
        Column("PID", is_number=True),
        Column("STATE"),
        Column("REV", is_number=True),
        Column("LAG", is_number=True),
        Column("QUARANTINED", folds=True),
        Column("SEEN"),
    ]
    if screen.is_wide:
        columns += [
            Column("SDK"),
            Column("CONNECTED"),
            Column("CANNOT", folds=True),
            Column("RELAY"),
            Column("SERVER"),
            Column("INSTANCE"),
        ]
    ordered = sorted(
        answer.instances, key=lambda item: (_WORST_FIRST.index(state(item)), item.service, item.host, item.pid)
    )
    screen.table(columns, [_row(session, item, answer.position.revision) for item in ordered])
    for item in ordered:
        if item.error:
            screen.line(Mark(f"{item.service} {item.host} pid {item.pid}: ", STRONG), item.error)


def state(instance: control_pb2.Instance) -> str:
    """Return the state in a word of the field."""
    return messages.STATES.get(instance.state, "unknown")


def _row(session: Session, item: control_pb2.Instance, head: int) -> list[Cell]:
    word, style = _STATES.get(state(item), ("· unknown", ""))
    revision = str(item.in_force.revision or "-")
    row: list[Cell] = [
        item.service or "-",
        item.host,
        str(item.pid),
        Mark(word, style),
        Mark(revision, WARN) if item.in_force.revision < head else revision,
        brief(item.lag_ms) if item.lag_ms >= 0 else "",
        ", ".join(item.quarantined_flags),
        ago(item.last_seen_at_ms, session.now_ms) if state(item) == "unreachable" else "",
    ]
    if session.screen.is_wide:
        row += [item.sdk_version, stamp(item.connected_at_ms), ", ".join(item.missing_capabilities)]
        row += [item.behind, item.replica or "this one", item.instance_id]
    return row
