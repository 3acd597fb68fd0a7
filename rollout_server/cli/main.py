"""`rollout`: the group of commands, and the one place where a command ends.

Nothing heavy is imported here: a command's module is loaded when the command is typed, grpc with the first call, rich
with the first table.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from rollout_server.cli.failures import CommandFailed, Exit, Finished, usage
from rollout_server.cli.screen import BAD, DIM, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Entry, LateGroup, shared_options
from rollout_server.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK, CHANGE, DRIVE, STOP, RUN, GATE = "Look", "Change", "Drive", "Stop", "Run", "Gate"
_HERE = "rollout_server.cli"

ENTRIES = (
    Entry(LOOK, "status", f"{_HERE}.status:status", "What serves what, what is killed, what changed lately."),
    Entry(LOOK, "get", f"{_HERE}.get:get", "List resources, or show one as it stands."),
    Entry(LOOK, "describe", f"{_HERE}.describe:describe", "Tell one flag, cohort or change in full, with its history."),
    Entry(
        LOOK,
        "watch",
        f"{_HERE}.watch:watch",
        "See a rollout live: stages, guardrails with interval and limit, processes.",
    ),
    Entry(LOOK, "events", f"{_HERE}.events:events", "What happened to rollouts, newest first: one of them, or all."),
    Entry(LOOK, "explain", f"{_HERE}.explain:explain", "Say why a unit gets what it gets, now or back then."),
    Entry(LOOK, "history", f"{_HERE}.history:history", "Who changed what, when and why, newest first."),
    Entry(LOOK, "diff", f"{_HERE}.diff:diff", "What differs: files, revisions or environments."),
    Entry(LOOK, "sdks", f"{_HERE}.sdks:sdks", "Which process runs which revision."),
    Entry(LOOK, "audit", f"{_HERE}.audit:audit", "Check the journal's hash chain, or print its head."),
    Entry(LOOK, "doctor", f"{_HERE}.doctor:doctor", "Find what will hurt later, here and on the server."),
    Entry(CHANGE, "plan", f"{_HERE}.plan:plan", "The exact preview of a change: what, and who moves."),
    Entry(CHANGE, "apply", f"{_HERE}.apply:apply", "Make the environment hold what the files say."),
    Entry(CHANGE, "revert", f"{_HERE}.revert:revert", "Undo one revision."),
    Entry(CHANGE, "changes", f"{_HERE}.stored_changes:stored_changes", "List changes that wait for approval."),
    Entry(CHANGE, "export", f"{_HERE}.export:export", "Write resources as files, or a snapshot for offline SDKs."),
    Entry(CHANGE, "lint", f"{_HERE}.lint:lint", "Check files without a server."),
    Entry(CHANGE, "fmt", f"{_HERE}.fmt:fmt", "Write files the one way."),
    Entry(CHANGE, "test", f"{_HERE}.cases:test", "Run the cases that the files hold."),
    Entry(DRIVE, "start", f"{_HERE}.drive:start", "Open the next run of a rollout: expose its first stage."),
    Entry(DRIVE, "pause", f"{_HERE}.drive:pause", "Stop a rollout where it is."),
    Entry(DRIVE, "resume", f"{_HERE}.drive:resume", "Let a paused rollout go on."),
    Entry(DRIVE, "promote", f"{_HERE}.drive:promote", "Go to another stage now, whatever this one still waits for."),
    Entry(DRIVE, "approve", f"{_HERE}.approve:approve", "Agree to a change that waits, or to a rollout's next stage."),
    Entry(DRIVE, "reject", f"{_HERE}.approve:reject", "Refuse a change that waits, or a rollout's next stage."),
    Entry(DRIVE, "finish", f"{_HERE}.drive:finish", "Write the final variant into the flag of a completed rollout."),
    Entry(DRIVE, "cancel", f"{_HERE}.drive:cancel", "Never start a run that is scheduled."),
    Entry(DRIVE, "ack", f"{_HERE}.drive:ack", "Say that you look after it: nobody else is called."),
    Entry(DRIVE, "freeze", f"{_HERE}.freeze:freeze", "Let nothing grow from now on."),
    Entry(DRIVE, "thaw", f"{_HERE}.freeze:thaw", "End a freeze: its flags may grow again, one rollout after another."),
    Entry(STOP, "rollback", f"{_HERE}.rollback:rollback", "Take everybody back to the old variant, now, and prove it."),
    Entry(STOP, "kill", f"{_HERE}.kill:kill", "Serve a flag's off variant to everybody, now."),
    Entry(STOP, "unkill", f"{_HERE}.kill:unkill", "Lift a kill: the flag's rules decide again."),
    Entry(RUN, "serve", f"{_HERE}.serve:serve", "Run the server."),
    Entry(RUN, "health", f"{_HERE}.health:health", "Ask the server whether it serves; no token is needed."),
    Entry(RUN, "dev", f"{_HERE}.dev:dev", "Run a server with example flags and a shop beside it."),
    Entry(
        RUN,
        "demo",
        f"{_HERE}.demo:demo",
        "See a good release complete and a bad one rolled back by itself, in under two minutes.",
    ),
    Entry(RUN, "token", f"{_HERE}.token:token", "Create, list and revoke tokens."),
    Entry(RUN, "backup", f"{_HERE}.backup:backup", "Copy the whole store, consistently, while it runs."),
    Entry(RUN, "completion", f"{_HERE}.completion:completion", "Print the completion script of a shell."),
    Entry(RUN, "context", f"{_HERE}.context:context", "List, choose and save contexts."),
    Entry(GATE, "simulate", f"{_HERE}.simulate:simulate", "Replay a rollout in compressed time: what would be caught?"),
    Entry(GATE, "wait", f"{_HERE}.wait:wait", "Wait for a rollout."),
)


@click.command(
    "rollout",
    cls=LateGroup,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=shared_options(hidden=False),
)
@click.version_option(package_name="rollout-guard", prog_name="rollout", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Staged rollouts and feature flags. Alone, `rollout` prints the status.

    Server, token and environment come from these options, from ROLLOUT_SERVER, ROLLOUT_TOKEN and so on, or from the
    context file.
    """
    if ctx.invoked_subcommand is None:
        command = cli.get_command(ctx, "status")
        if command is not None:
            with command.make_context("status", [], parent=ctx) as inner:
                command.invoke(inner)


cli.entries = ENTRIES


def main(argv: Sequence[str] | None = None, world: World | None = None) -> int:
    """Run one command line; return its exit code and never raise.

    Args:
        argv: what was typed after `rollout`; the process's own arguments when None.
        world: clock, variables and person; the process's own when None.
    """
    session = Session(world or World())
    code = _run(list(sys.argv[1:] if argv is None else argv), session)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = Exit.BROKEN_PIPE
    if code == Exit.BROKEN_PIPE:
        # Whoever read our output has enough. The interpreter would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(argv: list[str], session: Session) -> int:
    try:
        result = cli.main(args=argv, prog_name="rollout", standalone_mode=False, obj=session)
    except CommandFailed as failure:
        _tell(session, failure)
        return failure.exit_code
    except Finished as finished:
        return finished.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        session.screen.end_progress()
        session.screen.talk("interrupted")
        return Exit.INTERRUPTED
    except Exception as bug:
        unreadable = [text for text in argv if _holds_broken_bytes(text)]
        if isinstance(bug, UnicodeEncodeError) and unreadable:
            _tell(
                session, usage(f"{unreadable[0]!r} is not UTF-8", "type it again; names of files may stay as they are")
            )
            return Exit.USAGE
        if session.world.environ.get("ROLLOUT_DEBUG"):
            raise
        _tell(session, _incident(session, bug))
        return Exit.FAILED
    finally:
        session.close()
    return result if isinstance(result, int) else Exit.DONE


def _holds_broken_bytes(text: str) -> bool:
    """Python shows bytes that are not UTF-8 as halves of surrogate pairs, which no message to a server can carry."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _tell(session: Session, failure: CommandFailed) -> None:
    screen = session.screen
    screen.end_progress()
    screen.talk(Mark("error: ", f"bold {BAD}"), failure.what)
    for detail in failure.details:
        screen.talk("  ", detail)
    if failure.hint:
        screen.talk(Mark("next: ", DIM), failure.hint)


def _incident(session: Session, bug: Exception) -> CommandFailed:
    """Name a bug of ours by where it happened; its message may hold what no log should."""
    last = bug.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}" if last is not None else "?"
    incident = session.world.fresh_key()[:8]
    return CommandFailed(
        f"this is a bug of Rollout Guard: {type(bug).__name__} at {place} (incident {incident})",
        "run it again with ROLLOUT_DEBUG=1, and report what it prints",
    )
