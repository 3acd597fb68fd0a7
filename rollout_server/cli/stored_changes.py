"""`rollout changes`, and `describe change/41`: what waits for approval, for whom, and what became of the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from rollout_server.cli import messages, preview
from rollout_server.cli.failures import CommandFailed, Exit, Finished, usage
from rollout_server.cli.screen import BAD, DIM, GOOD, WARN, Cell, Column, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import age, ago, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

_TARGET = re.compile(r"changes?/0*([1-9][0-9]{0,14})", re.IGNORECASE)
_LOOKALIKE = re.compile(r"changes?/.*", re.IGNORECASE | re.DOTALL)
_MARKS = {
    "waiting": Mark("● waiting", WARN),
    "applied": Mark("✔ applied", GOOD),
    "voided": Mark("✘ voided", BAD),
    "rejected": Mark("✘ rejected", BAD),
    "expired": Mark("✘ expired", BAD),
}


@click.command("changes", cls=Command)
@click.option("--all", "with_ended", is_flag=True, help="Those that were applied, voided, rejected or expired too.")
@pass_session
def stored_changes(session: Session, *, with_ended: bool) -> None:
    """List changes that wait for approval.

    A change is stored where a policy demands that somebody agrees: `rollout describe change/41` shows its plan.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.ListChanges, control_pb2.ListChangesRequest(all=with_ended))
    session.begin()
    data: Data = {"environment": session.environment(), "changes": [messages.stored(one) for one in answer.changes]}
    session.screen.show(data, lambda: _draw_list(session, list(answer.changes), with_ended=with_ended))


def number_of(text: str) -> int | None:
    """Return the number in "change/41"; None where the text names something else.

    Raises:
        CommandFailed: usage; it begins like a change and has no number.
    """
    match = _TARGET.fullmatch(text)
    if match is not None:
        return int(match[1])
    if _LOOKALIKE.fullmatch(text):
        raise usage(f"{text!r} names no change", "write change/41; `rollout changes` lists them")
    return None


def describe_change(session: Session, number: int) -> None:
    """Tell one change in full, with the plan as it was stored, and who must still approve.

    Raises:
        ServerRefused: there is none.
    """
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.GetChange, control_pb2.GetChangeRequest(number=number))
    session.begin(named(answer.change))
    has_plan = answer.HasField("plan")
    data: dict[str, Data] = {
        "environment": session.environment(),
        **messages.stored(answer.change),
        "plan": messages.summary(answer.plan, answer.moves) if has_plan else None,
    }
    session.screen.show(data, lambda: _draw_one(session, answer))


def waits(session: Session, change: control_pb2.Change) -> None:
    """Say that a command did nothing but store a change, and end it with the exit code for that.

    Raises:
        Finished: it waits.
        CommandFailed: the command repeats an earlier one, whose change ended without being applied.
    """
    screen, state = session.screen, messages.CHANGE_STATES.get(change.state, "unknown")
    if state not in {"waiting", "applied"}:
        raise CommandFailed(
            f"this repeats an earlier command, and its {named(change)} has ended ({state}): "
            f"{_standing(change, state, session.now_ms) or 'nothing was applied'}",
            "to ask anew, repeat it without --idempotency-key",
        )
    if state == "applied":
        screen.tell(Mark("✔ ", GOOD), f"{named(change)} was applied as revision {change.ended_revision}")
        return
    until = f"until {stamp(change.expires_at_ms)}"
    screen.tell(Mark("● ", WARN), f"nothing was applied: it waits for approval as {named(change)}, {until}")
    for demand in change.missing:
        screen.tell("  ", _who(demand))
    screen.tell(Mark("they type: ", DIM), f"rollout approve {named(change)}")
    screen.tell(Mark("withdraw: ", DIM), f"rollout reject {named(change)}")
    raise Finished(Exit.APPROVAL_NEEDED)


def named(change: control_pb2.Change) -> str:
    """Return "change/41"."""
    return f"change/{change.number}"


def still_asked(session: Session, change: control_pb2.Change) -> None:
    """Say who must still agree."""
    for demand in change.missing:
        session.screen.tell("  still needs ", _who(demand))


def _who(demand: control_pb2.Demand) -> str:
    return f"{demand.count} of {demand.group}: {', '.join(demand.people)}"


def _draw_list(session: Session, changes: list[control_pb2.Change], *, with_ended: bool) -> None:
    screen = session.screen
    if not changes:
        screen.line("no changes are kept" if with_ended else "nothing waits for approval; older: rollout changes --all")
        return
    columns = [
        Column("CHANGE"),
        Column("STATE"),
        Column("BY", folds=True),
        Column("ASKED"),
        Column("WHAT", folds=True),
        Column("WAITS FOR", folds=True) if not with_ended else Column("HOW IT STANDS", folds=True),
    ]
    screen.table(columns, [_row(change, session.now_ms) for change in changes])
    if not with_ended:
        screen.note("look at one", f"rollout describe {named(changes[0])}")


def _row(change: control_pb2.Change, now_ms: int) -> list[Cell]:
    state = messages.CHANGE_STATES.get(change.state, "unknown")
    return [
        named(change),
        _MARKS.get(state, state),
        change.author,
        ago(change.stored_at_ms, now_ms),
        f"{change.action} {change.reverts}: {change.summary}" if change.reverts else change.summary,
        _standing(change, state, now_ms),
    ]


def _standing(change: control_pb2.Change, state: str, now_ms: int) -> str:
    if state == "waiting":
        needed = "; ".join(f"{demand.count} of {demand.group}" for demand in change.missing)
        return f"{needed}; expires in {age(change.expires_at_ms - now_ms)}"
    by = f" by {change.ended_by}" if change.ended_by else ""
    at = f"revision {change.ended_revision}" if change.ended_revision else ""
    return ", ".join(filter(None, (f"{at}{by}".strip(), change.because)))


def _draw_one(session: Session, answer: control_pb2.GetChangeResponse) -> None:
    screen, change = session.screen, answer.change
    state = messages.CHANGE_STATES.get(change.state, "unknown")
    how = _standing(change, state, session.now_ms)
    asked = f"{stamp(change.stored_at_ms)}, revision {change.stored_revision}"
    screen.facts(
        [
            ("Change", (f"{change.number}  ({session.environment()})",)),
            ("State", (_MARKS.get(state, state), f"  {how}" if state != "waiting" and how else "")),
            ("Asked by", (change.author,)),
            ("When", (asked,)),
            ("Why", (change.reason,)),
            ("What", (f"revert of revision {change.reverts}" if change.reverts else change.summary,)),
            ("Expires", (stamp(change.expires_at_ms) if state == "waiting" else "",)),
            ("Hash", (change.plan_hash[:12],)),
        ]
    )
    screen.line()
    screen.heading("APPROVALS")
    for given in change.approvals:
        why = f": {given.reason}" if given.reason else ""
        screen.line(Mark("  ✔ ", GOOD), f"{given.person}, {ago(given.at_ms, session.now_ms)}{why}")
    for demand in change.missing:
        screen.line(Mark("  ● ", WARN), f"still {_who(demand)}")
    for line in _because(change.demands):
        screen.line(Mark(f"    {line}", DIM))
    screen.line()
    if answer.HasField("plan"):
        answer.plan.ClearField("approvals")  # said above, with what was given since
        preview.draw(screen, preview.Preview(answer.plan, tuple(answer.moves)))
    else:
        screen.line("its plan is not shown: the history that it rests on is no longer kept")
    if state == "waiting":
        screen.note("approve it", f"rollout approve {named(change)}")
        screen.note("or say no", f"rollout reject {named(change)} --reason TEXT")
    elif state == "applied":
        screen.note("undo", f"rollout revert {change.ended_revision}")


def _because(demands: Iterable[control_pb2.Demand]) -> list[str]:
    return [line for demand in demands for line in demand.because]
