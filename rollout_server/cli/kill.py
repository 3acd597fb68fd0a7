"""`rollout kill` and `rollout unkill`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rollout_server.cli import certificate, key_completion, kill_direct, messages, references
from rollout_server.cli.failures import CommandFailed, Exit, Finished, ServerRefused, usage
from rollout_server.cli.screen import BAD, DIM, GOOD, Mark
from rollout_server.cli.session import Session, meanwhile, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session
from rollout_server.cli.times import duration_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.wire.v1 import control_pb2

_TIMEOUT = "30s"


def _waiting_options(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option(
        "--no-wait", is_flag=True, help="Return once it is committed; do not wait for the processes."
    )(command)
    return click.option(
        "--timeout", default=_TIMEOUT, show_default=True, metavar="TIME", help="How long to wait for them."
    )(command)


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a kill or an unkill.

    Attributes:
        serving: what a process does that obeys.
        remedy: what to do where one does not.
        undo: the command that takes it back; empty when nothing was written.
    """

    flag: str
    entry: control_pb2.Entry
    revision: int
    serving: str
    remedy: str
    undo: str


@click.command(cls=Command)
@click.argument("flag", shell_complete=key_completion.flags)
@intent_options
@_waiting_options
@click.option(
    "--direct",
    is_flag=False,
    flag_value="",
    metavar="[STORE]",
    help="When no server is left: on this Redis (redis://...) or data directory itself; by default that of ROLLOUT_*.",
)
@click.option("--as", "person", metavar="NAME", help="With --direct, who you are; else your user on this machine.")
@pass_session
def kill(
    session: Session,
    flag: str,
    reason: str | None,
    idempotency_key: str | None,
    timeout: str,
    *,
    no_wait: bool,
    direct: str | None,
    person: str | None,
) -> None:
    """Serve a flag's off variant to everybody, now.

    Above all rules, and until `rollout unkill`. Waits until every connected process has acknowledged it, and exits 5
    naming those that did not. Asks for nothing.
    """
    from rollout_sdk.wire.v1 import control_pb2

    key, timeout_ms = references.flag_key(flag), _timeout_ms(timeout)
    intent = session.intent(reason, idempotency_key, asks=False)
    if direct is not None:
        kill_direct.kill_on_store(session, key, intent, kill_direct.Store(direct, person))
        kill_direct.end(is_proof_wanted=not no_wait)
        return
    if person is not None:
        raise usage("--as goes with --direct", "for a server, your token says who you are")
    connection = session.connection
    request = control_pb2.KillRequest(intent=intent, flag=key)
    try:
        answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Kill, request))
    except ServerRefused as refused:
        raise _kill_refused(session, refused, key) from refused
    off, version = _off_variant(session, key)
    _begin(session)
    # Killed before: the flag's version is that kill, or an edit after it, which only a process with the kill can hold.
    revision = answer.entry.revision or version or answer.position.revision
    if answer.unchanged:
        session.screen.tell(
            Mark("✔ ", GOOD), f"{key} was killed already: it serves `{off}` to everybody; nothing was written"
        )
    else:
        session.screen.tell(Mark("✔ ", GOOD), f"{key} is killed: it serves `{off}` to everybody (revision {revision})")
    remedy = (
        f"on those hosts put {json.dumps({key: off})} into the overrides file (ROLLOUT_OVERRIDES, re-read within a"
        " second) or stop the process; then look again: rollout sdks"
    )
    done = _Done(key, answer.entry, revision, f"serve `{off}`", remedy, f"rollout unkill {key}")
    _finish(session, done, None if no_wait else timeout_ms)


@click.command(cls=Command)
@click.argument("flag", shell_complete=key_completion.flags)
@intent_options
@_waiting_options
@pass_session
def unkill(
    session: Session, flag: str, reason: str | None, idempotency_key: str | None, timeout: str, *, no_wait: bool
) -> None:
    """Lift a kill: the flag's rules decide again.

    This grows: units get their variants back. It resumes nothing else.
    """
    from rollout_sdk.wire.v1 import control_pb2

    key, timeout_ms = references.flag_key(flag), _timeout_ms(timeout)
    session.begin()
    intent = session.intent(reason, idempotency_key)
    connection = session.connection
    request = control_pb2.UnkillRequest(intent=intent, flag=key)
    try:
        answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Unkill, request))
    except ServerRefused as refused:
        raise references.near(session, refused, key) from refused
    revision = answer.entry.revision or answer.position.revision
    if answer.unchanged:
        session.screen.tell(Mark("✔ ", GOOD), f"{key} is not killed; nothing was written")
    else:
        session.screen.tell(Mark("✔ ", GOOD), f"{key} is no longer killed: its rules decide (revision {revision})")
    undo = "" if answer.unchanged else f"rollout kill {key}"
    done = _Done(key, answer.entry, revision, "decide by its rules", "look at those processes: rollout sdks", undo)
    _finish(session, done, None if no_wait or answer.unchanged else timeout_ms)


def _finish(session: Session, done: _Done, timeout_ms: int | None) -> None:
    """Wait for the processes where that was asked for, and print the proof and the undo.

    Raises:
        Finished: exit 5; not every process is known to obey.
    """
    screen = session.screen
    proof = None
    if timeout_ms is not None:
        try:
            proof = certificate.wait(session, done.revision, timeout_ms)
        except ServerRefused as refused:
            screen.tell(Mark("✘ ", BAD), f"it is committed, but whether the processes obey is unknown: {refused.what}")
            screen.tell(Mark("next: ", BAD), done.remedy)
        else:
            certificate.tell(session, proof, done.serving, done.remedy)
    if done.undo:
        screen.tell(Mark("undo: ", DIM), done.undo)
    if screen.is_data:
        screen.data(
            {
                "environment": session.environment(),
                "flag": done.flag,
                "revision": done.revision,
                "entry": messages.entry(done.entry) if done.entry.revision else None,
                "certificate": proof.data() if proof else None,
                "undo": done.undo,
            }
        )
    if timeout_ms is not None and (proof is None or not proof.is_complete):
        raise Finished(Exit.NOT_IN_FORCE)


def _begin(session: Session) -> None:
    """Name the environment; a kill that is done is reported even where the name cannot be had."""
    try:
        session.begin()
    except ServerRefused:
        session.screen.talk(Mark("the environment of this token", DIM))


def _off_variant(session: Session, key: str) -> tuple[str, int]:
    """Return the flag's off variant and its version; "off" and 0 where the server no longer answers."""
    try:
        resource = references.find(session, f"flag/{key}").resource
    except ServerRefused:
        return "off", 0
    document = messages.parsed(resource.document.json)
    spec = document.get("spec") if isinstance(document, Mapping) else None
    off = spec.get("off") if isinstance(spec, Mapping) else None
    return (off if isinstance(off, str) else "off"), resource.version


def _kill_refused(session: Session, refused: ServerRefused, key: str) -> CommandFailed:
    """At 3 a.m. the way round a dead server must be on the screen."""
    if refused.exit_code is not Exit.UNREACHABLE:
        return references.near(session, refused, key)
    return CommandFailed(
        refused.what,
        refused.hint,
        details=(
            *refused.details,
            meanwhile(refused, key),
            f"put {json.dumps({key: 'off'})} (the flag's off variant) into its overrides file (ROLLOUT_OVERRIDES);",
            "it is re-read within a second. Whoever may write to the store kills it there, for when a server is back:",
            f"  rollout kill {key} --direct redis://...   # or the server's data directory",
        ),
        exit_code=refused.exit_code,
    )


def _timeout_ms(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise usage(str(error)) from error
