"""`rollout doctor`: what will hurt later, with what to do now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rollout_server.cli import context_file
from rollout_server.cli.failures import CommandFailed, Exit, Finished, ServerRefused
from rollout_server.cli.screen import BAD, GOOD, STRONG, Cell, Column, Mark, quantity
from rollout_server.cli.shell import Command, pass_session

if TYPE_CHECKING:
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

_SERVER_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `hint` says what to do and is empty when ok."""

    where: str
    name: str
    ok: bool
    detail: str
    hint: str = ""


@click.command(cls=Command)
@pass_session
def doctor(session: Session) -> None:
    """Find what will hurt later, here and on the server.

    Exits 1 when a check fails, 9 when the server cannot be reached.
    """
    checks, failure = _here(session), None
    if all(check.ok for check in checks):
        there, failure = _there(session)
        checks += there
    name = "" if failure else _environment(session)
    session.screen.talk(Mark(name or "no environment: the server was not reached", STRONG))
    data: Data = {
        "environment": name or None,
        "checks": [
            {"where": check.where, "name": check.name, "ok": check.ok, "detail": check.detail, "hint": check.hint}
            for check in checks
        ],
    }
    session.screen.show(data, lambda: _draw(session, checks))
    if failure is not None:
        raise Finished(failure.exit_code)
    if not all(check.ok for check in checks):
        raise Finished(Exit.FAILED)


def _environment(session: Session) -> str:
    try:
        return session.environment()
    except CommandFailed:
        return ""


def _here(session: Session) -> list[Check]:
    path = session.context_path
    try:
        file = context_file.read(path)
    except CommandFailed as failure:
        return [Check("here", "context file", ok=False, detail=failure.what, hint=failure.hint)]
    known = f"{quantity(len(file.contexts), 'context')} in {path}" if file.contexts else f"none at {path}"
    checks = [Check("here", "context file", ok=True, detail=known)]
    try:
        target = session.target
    except CommandFailed as failure:
        return [*checks, Check("here", "target", ok=False, detail=failure.what, hint=failure.hint)]
    secure = "TLS" if target.is_secure else "plaintext"
    detail = f"{target.server} ({secure}{f', context {target.context}' if target.context else ''})"
    checks.append(Check("here", "target", ok=True, detail=detail))
    hint = "" if target.token else "give one: --token-file FILE, ROLLOUT_TOKEN, or a context (rollout context set)"
    checks.append(
        Check("here", "token", ok=bool(target.token), detail="given" if target.token else "there is none", hint=hint)
    )
    return checks


def _there(session: Session) -> tuple[list[Check], ServerRefused | None]:
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    started_ms = session.world.monotonic_ms()
    try:
        answer = connection.ask(connection.stub.Diagnose, control_pb2.DiagnoseRequest(), timeout_ms=_SERVER_TIMEOUT_MS)
    except ServerRefused as refused:
        detail = "; ".join((refused.what, *refused.details))
        return [Check("server", "answers", ok=False, detail=detail, hint=_reach_hint(refused))], refused
    took_ms = session.world.monotonic_ms() - started_ms
    checks = [Check("server", "answers", ok=True, detail=f"in {took_ms} ms")]
    checks += [Check("server", item.name, item.ok, item.detail, item.hint) for item in answer.checks]
    return checks, None


def _reach_hint(refused: ServerRefused) -> str:
    if refused.code != "unreachable":
        return refused.hint
    return "is it running (rollout serve), is the port open from here, does it speak TLS (--tls, --tls-ca FILE) or not?"


def _draw(session: Session, checks: list[Check]) -> None:
    session.screen.table(
        [Column("WHERE"), Column("CHECK"), Column("RESULT"), Column("DETAIL", folds=True)],
        [_row(check) for check in checks],
    )
    for check in checks:
        if check.hint:
            session.screen.line(Mark(f"{check.name}: ", STRONG), check.hint)


def _row(check: Check) -> list[Cell]:
    return [check.where, check.name, Mark("✔ ok", GOOD) if check.ok else Mark("✘ failed", BAD), check.detail]
