"""`rollout watch`: one rollout as it stands now, and now, and now."""

from __future__ import annotations

import io
import shutil
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, rollout_answers, rollout_tree
from rollout_server.cli.failures import Exit, ServerRefused, usage
from rollout_server.cli.screen import BAD, DIM, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import duration_ms, stamp

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2

_CLEAR = "\x1b[2J"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_SOAKS = frozenset({"running", "watching"})
"""Phases whose sentence moves with the clock."""


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
@click.option("--every", default="1s", show_default=True, metavar="TIME", help="How often to look.")
@click.option("--once", is_flag=True, help="Draw it once, and end.")
@pass_session
def watch(session: Session, flag: str, every: str, *, once: bool) -> None:
    """See a rollout live: stages, guardrails with interval and limit, processes.

    Ends with the rollout. Where nobody looks at a terminal, each change of phase, stage or share is a line; -o json
    is one answer.
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
    said: tuple[object, ...] = ()
    if is_live:
        sys.stdout.write(_CLEAR)
    while True:
        if once:
            rollout_tree.draw(session, rollout)
        elif is_live:
            _redraw(session, rollout)
        elif said != _state(rollout):
            said = _state(rollout)
            session.screen.line(Mark(f"{stamp(session.now_ms)}  ", DIM), rollout.sentence)
        if once or not rollout.run or rollout.phase in rollout_answers.ENDED:
            return
        session.world.pause(every_ms)
        rollout = _again(session, rollout)


class _Frame(io.StringIO):
    """A picture of a terminal that is not shown yet."""

    def isatty(self) -> bool:
        """Say yes: it is drawn with the colours of the terminal it is for."""
        return True


def _redraw(session: Session, rollout: control_pb2.Rollout) -> None:
    """Write over the picture before, line by line, so that nothing flickers; what is below the screen's end is cut."""
    with redirect_stdout(_Frame()) as frame:
        rollout_tree.draw(session, rollout)
        session.screen.line()
        session.screen.line(Mark("ends with the rollout; Ctrl-C ends it now and changes nothing", DIM))
    lines = frame.getvalue().splitlines()[: max(1, shutil.get_terminal_size().lines - 1)]
    sys.stdout.write("".join((_HOME, *(f"{line}{_REST_OF_LINE}\n" for line in lines), _REST_OF_SCREEN)))
    sys.stdout.flush()


def _state(rollout: control_pb2.Rollout) -> tuple[object, ...]:
    """Return what has to change to be worth a line: not that time passes."""
    why = "" if rollout.phase in _SOAKS else rollout.sentence
    return rollout.run, rollout.phase, rollout.stage, rollout.share_ppm, rollout.killed, why


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
