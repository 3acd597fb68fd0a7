"""`rollout watch`: one rollout as it stands now, and now, and now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from rollout_server.cli import rollout_answers, rollout_tree
from rollout_server.cli.failures import Exit, ServerRefused, usage
from rollout_server.cli.screen import BAD, DIM, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import duration_ms, stamp

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2

_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG")
@click.option("--every", default="1s", show_default=True, metavar="TIME", help="How often to look.")
@click.option("--once", is_flag=True, help="Draw it once, and end.")
@pass_session
def watch(session: Session, flag: str, every: str, *, once: bool) -> None:
    """See a rollout live: stages, guardrails with interval and limit, processes.

    Ends with the rollout. Where nobody looks at a terminal, each change of its sentence is a line; -o json is one
    answer.
    """
    try:
        every_ms = max(100, duration_ms(every))
    except ValueError as error:
        raise usage(str(error)) from error
    rollout = rollout_answers.fetch(session, flag)
    if session.screen.is_data:
        session.screen.data({"environment": session.environment(), "rollout": rollout_answers.plain(rollout)})
        return
    is_live = sys.stdout.isatty() and not once
    said = ""
    while True:
        if is_live or once:
            _draw(session, rollout, is_live=is_live)
        elif rollout.sentence != said:
            said = rollout.sentence
            session.screen.line(Mark(f"{stamp(session.now_ms)}  ", DIM), said)
        if once or not rollout.run or rollout.phase in rollout_answers.ENDED:
            return
        session.world.pause(every_ms)
        rollout = _again(session, rollout)


def _draw(session: Session, rollout: control_pb2.Rollout, *, is_live: bool) -> None:
    if is_live:
        sys.stdout.write(_HOME_AND_CLEAR)
    rollout_tree.draw(session, rollout)
    if is_live:
        session.screen.line()
        session.screen.line(Mark("ends with the rollout; Ctrl-C ends it now and changes nothing", DIM))


def _again(session: Session, last: control_pb2.Rollout) -> control_pb2.Rollout:
    """Ask again; a server that restarts is waited for, and said."""
    while True:
        try:
            return rollout_answers.fetch(session, f"rollout/{last.key}")
        except ServerRefused as refused:
            if refused.exit_code is not Exit.UNREACHABLE:
                raise
            session.screen.talk(Mark("✘ ", BAD), f"{refused.what}; the picture is of the last answer, asking again")
            session.world.pause(1_000)
