"""`rollout wait`: a gate for CI. The exit code says what came of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, rollout_answers
from rollout_server.cli.failures import CommandFailed, Exit, usage
from rollout_server.cli.screen import GOOD, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import duration_ms

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2

POLL_MS = 1_000
COMPLETED = "completed"
_OVER = frozenset({"rolled back", "cancelled"})
_WAITING = (1, 2)  # ahead of it, or in it


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
@click.option(
    "--for", "wanted", default=COMPLETED, show_default=True, metavar="STAGE",
    help="completed, finish, or the name of a stage that must be entered.",
)  # fmt: skip
@click.option("--timeout", default="1h", show_default=True, metavar="TIME", help="How long to wait.")
@click.option("--no-hold", is_flag=True, help="Do not wait through a hold or a pause: exit 5 at once.")
@pass_session
def wait(session: Session, flag: str, wanted: str, timeout: str, *, no_hold: bool) -> None:
    """Wait for a rollout. The exit code says what came of it, for gates in CI.

    0: it came so far; 4: it was rolled back or killed meanwhile; 5: held, or the time is over.
    """
    try:
        timeout_ms = duration_ms(timeout)
    except ValueError as error:
        raise usage(str(error)) from error
    screen, world = session.screen, session.world
    end_ms = world.monotonic_ms() + timeout_ms
    rollout = rollout_answers.fetch(session, flag)
    _check(rollout, wanted)
    session.begin(rollout.key)
    run = rollout.run
    while not _is_reached(rollout, wanted):
        if rollout.killed or rollout.phase in _OVER:
            screen.end_progress()
            raise CommandFailed(rollout.sentence, f"rollout describe {rollout.key}", exit_code=Exit.ROLLED_BACK)
        if no_hold and rollout.phase in {"held", "paused"}:
            screen.end_progress()
            raise CommandFailed(rollout.sentence, f"rollout watch {rollout.key}", exit_code=Exit.NOT_IN_FORCE)
        if world.monotonic_ms() >= end_ms:
            screen.end_progress()
            what = f"{wanted} was not reached within {timeout}: {rollout.sentence}"
            raise CommandFailed(what, f"rollout watch {rollout.key}", exit_code=Exit.NOT_IN_FORCE)
        screen.progress(f"waiting for {wanted}: {rollout.sentence}")
        world.pause(POLL_MS)
        rollout = rollout_answers.fetch(session, f"rollout/{rollout.key}")
        if rollout.run != run:  # only over a run that ended is another one opened
            screen.end_progress()
            what = f"{rollout.key} run {run} ended before {wanted}: {rollout.sentence}"
            raise CommandFailed(what, f"rollout events {rollout.key}", exit_code=Exit.ROLLED_BACK)
    screen.end_progress()
    screen.tell(Mark("✔ ", GOOD), rollout.sentence)
    if screen.is_data:
        screen.data({"environment": session.environment(), "rollout": rollout_answers.plain(rollout)})


def _check(rollout: control_pb2.Rollout, wanted: str) -> None:
    """Refuse to wait for what can never come."""
    if not rollout.run:
        raise CommandFailed(rollout.sentence, f"rollout start {rollout.key} opens its first run")
    names = [stage.name for stage in rollout.stages]
    if wanted != COMPLETED and wanted not in names:
        raise usage(f"{rollout.key} has no stage {wanted!r}", f"one of: {', '.join([*names, COMPLETED])}")


def _is_reached(rollout: control_pb2.Rollout, wanted: str) -> bool:
    if rollout.killed or rollout.phase in _OVER:
        return False
    if COMPLETED in {wanted, rollout.phase}:
        return rollout.phase == COMPLETED
    names = [stage.name for stage in rollout.stages]
    return rollout.stage in names and names.index(rollout.stage) >= names.index(wanted)
