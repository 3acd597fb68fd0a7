"""`rollout status`, and `rollout` alone."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from rollout_server.cli import messages, rollout_answers
from rollout_server.cli.failures import ServerRefused
from rollout_server.cli.screen import BAD, DIM, GOOD, WARN, Cell, Column, Mark, Stack, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import ago

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

_KILLS_MAX = 20  # one look into the history for each; more killed flags than this are listed without their killer
_HISTORY_LIMIT = 50
_NAMED_MAX = 2
_UNDER_WAY = frozenset({"scheduled", "running", "held", "paused", "awaiting approval", "watching"})


@click.command(cls=Command)
@pass_session
def status(session: Session) -> None:
    """What serves what, what is killed, what changed lately.

    Killed flags come first, with who killed them, when, and the command that lifts it; then every rollout that is on
    its way or starts by itself, in a sentence, with the command that takes it back.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.GetStatus, control_pb2.GetStatusRequest())
    session.learn_environment(answer.environment)
    kills = _kills(session, answer)
    behind = answer.instances_behind
    sdks = f"{quantity(answer.instances_connected, 'SDK')} connected"
    session.begin(
        f"revision {answer.position.revision}",
        Mark(f"{sdks}, {behind} behind", WARN) if behind else f"{sdks}, none behind",
    )
    session.screen.show(_data(answer, kills), lambda: _draw(session, answer, kills))


def _kills(session: Session, answer: control_pb2.GetStatusResponse) -> dict[str, control_pb2.Entry]:
    """Find the entry that killed each killed flag; a flag without one is simply not there."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    found = {}
    for flag in [flag.key for flag in answer.flags if flag.killed][:_KILLS_MAX]:
        request = control_pb2.ListHistoryRequest(kind="Flag", key=flag, limit=_HISTORY_LIMIT)
        try:
            entries = connection.ask(connection.stub.ListHistory, request).entries
        except ServerRefused:
            break  # the store is away: the status itself still tells what matters
        entry = next((entry for entry in entries if entry.action == "kill"), None)
        if entry is not None:
            found[flag] = entry
    return found


def _data(answer: control_pb2.GetStatusResponse, kills: dict[str, control_pb2.Entry]) -> dict[str, Data]:
    return {
        "environment": answer.environment,
        "position": messages.position(answer.position),
        "flags": [
            {
                "key": flag.key,
                "killed": flag.killed,
                "killed_by": messages.entry(kills[flag.key]) if flag.key in kills else None,
                "serving": flag.serving,
                "version": flag.version,
                "owner": flag.owner,
                "expires": flag.expires or None,
                "expired": flag.expired,
            }
            for flag in answer.flags
        ],
        "rollouts": [rollout_answers.plain(rollout) for rollout in answer.rollouts],
        "recent": [messages.entry(entry) for entry in answer.recent],
        "changes_waiting": answer.changes_waiting,
        "sdks": {"connected": answer.instances_connected, "behind": answer.instances_behind},
    }


def _draw(session: Session, answer: control_pb2.GetStatusResponse, kills: dict[str, control_pb2.Entry]) -> None:
    screen = session.screen
    if not answer.flags:
        screen.line("no flags yet; write one and try: rollout apply -f flags.yaml")
    else:
        ordered = sorted(answer.flags, key=lambda flag: (not flag.killed, flag.key))
        screen.table(
            [Column("FLAG"), Column("STATUS"), Column("SERVES", folds=True), Column("OWNER"), Column("EXPIRES")],
            [_flag_row(flag) for flag in ordered],
        )
    for flag, entry in kills.items():
        screen.line()
        who, when = messages.person(entry.actor), ago(entry.at_ms, session.now_ms)
        why = f": {entry.reason}" if entry.reason else ""
        screen.line(Mark("✘ ", BAD), f"{flag} was killed by {who} {when}{why}")
        screen.line("  ", Mark("undo: ", DIM), messages.undo(entry))
    _draw_rollouts(session, answer)
    if answer.changes_waiting:
        screen.line()
        wait = "change waits" if answer.changes_waiting == 1 else "changes wait"
        screen.line(Mark("● ", WARN), f"{answer.changes_waiting} {wait} for approval: rollout changes")
    screen.line()
    if not answer.recent:
        screen.line(Mark("nothing changed in the last hour; older: rollout history", DIM))
        return
    screen.heading("CHANGED IN THE LAST HOUR")
    screen.table(
        [
            Column("REV", is_number=True),
            Column("WHEN"),
            Column("ACTION"),
            Column("BY", folds=True),
            Column("WHAT", folds=True),
        ],
        [_recent_row(entries, session.now_ms) for entries in _grouped(answer.recent)],
    )


def _draw_rollouts(session: Session, answer: control_pb2.GetStatusResponse) -> None:
    """Draw what is on its way, will be, or waits for somebody; each with the command that ends or answers it."""
    shown = [one for one in answer.rollouts if one.exposing or one.needs_person or one.phase in _UNDER_WAY]
    screen = session.screen
    for rollout in sorted(shown, key=lambda one: (not one.needs_person, one.phase != "held", one.key)):
        screen.line()
        mark = rollout_answers.PHASES.get(rollout.phase, Mark(rollout.phase))
        screen.line(mark, f"  {rollout.sentence}")
        if rollout.phase == "awaiting approval":
            screen.line("  ", Mark("next: ", DIM), f"rollout approve {rollout.key}")
        elif rollout.needs_person:
            screen.line(
                "  ", Mark("next: ", DIM), f"rollout watch {rollout.key} --once, then rollout ack {rollout.key}"
            )
        if rollout.exposing:
            screen.line("  ", Mark("undo: ", DIM), f"rollout rollback {rollout.key}")
        elif rollout.phase == "scheduled":
            screen.line("  ", Mark("stop: ", DIM), f"rollout cancel {rollout.key}")


def _flag_row(flag: control_pb2.FlagSummary) -> list[Cell]:
    state = Mark("✘ killed", BAD) if flag.killed else Mark("✔ serving", GOOD)
    expires = Mark(f"{flag.expires}, over", WARN) if flag.expired else flag.expires
    return [flag.key, state, flag.serving.removeprefix("killed: "), flag.owner, expires]


def _grouped(entries: Iterable[control_pb2.Entry]) -> Iterator[list[control_pb2.Entry]]:
    """Yield entries that follow each other and differ in nothing but their number together: steps of a ramp."""
    for _, same in itertools.groupby(entries, lambda one: (one.action, one.actor, _changed(one))):
        found = list(same)
        yield from [found] if found[0].action == "advance" else ([one] for one in found)


def _changed(entry: control_pb2.Entry) -> list[str]:
    return [messages.resource_id(change.kind, change.key) for change in entry.changes]


def _recent_row(entries: Sequence[control_pb2.Entry], now_ms: int) -> list[Cell | Stack]:
    entry, changed = entries[0], _changed(entries[0])
    more = f" and {len(changed) - _NAMED_MAX} more" if changed[_NAMED_MAX:] else ""
    what = ", ".join(changed[:_NAMED_MAX]) + more
    what += f", {len(entries)} steps since revision {entries[-1].revision}" if entries[1:] else ""
    undo = messages.undo(entry)
    return [
        str(entry.revision),
        ago(entry.at_ms, now_ms),
        entry.action,
        messages.person(entry.actor),
        Stack((what, Mark(f"undo: {undo}", DIM))) if undo else what,
    ]
