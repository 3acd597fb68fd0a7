"""`rollout audit`: is the journal what was written?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_server.cli import messages
from rollout_server.cli.failures import Exit, Finished, usage
from rollout_server.cli.screen import BAD, DIM, GOOD, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Group, pass_session

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2, ruleset_pb2
    from rollout_server.cli.yaml_text import Data

_DIGEST_BYTES = 32


@click.group(cls=Group)
def audit() -> None:
    """Check the journal's hash chain, or print its head.

    A cut tail is found only against a head that was kept elsewhere: keep `rollout audit head` somewhere the server's
    operators cannot write, and verify against it.
    """


@audit.command()
@pass_session
def head(session: Session) -> None:
    """Print the head of the chain, to be kept elsewhere."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.GetStatus, control_pb2.GetStatusRequest())
    session.learn_environment(answer.environment)
    session.begin()
    position = messages.position(answer.position)
    text = f"{answer.position.epoch}:{answer.position.revision}:{answer.position.digest.hex()}"
    session.screen.show({"environment": answer.environment, **position}, lambda: session.screen.line(text))


@audit.command()
@click.option(
    "--head", "kept", metavar="HEAD|@FILE", help="A head that was kept elsewhere, as `audit head` printed it."
)
@pass_session
def verify(session: Session, kept: str | None) -> None:
    """Fold the whole journal again and check every digest."""
    from rollout_sdk.wire.v1 import control_pb2

    expected = _position(kept) if kept is not None else None
    connection = session.connection
    request = control_pb2.VerifyAuditRequest(expected_head=expected)
    answer = connection.ask(connection.stub.VerifyAudit, request, timeout_ms=600_000)
    session.begin(f"revision {answer.head.revision}")
    data: Data = {
        "environment": session.environment(),
        "intact": answer.intact,
        "entries": answer.entries,
        "head": messages.position(answer.head),
        "oldest_revision": answer.oldest_revision,
        "compared_with_kept_head": expected is not None,
        "problem": answer.problem,
    }
    session.screen.show(data, lambda: _draw(session, answer, is_compared=expected is not None))
    if not answer.intact:
        raise Finished(Exit.FAILED)


def _draw(session: Session, answer: control_pb2.VerifyAuditResponse, *, is_compared: bool) -> None:
    screen = session.screen
    if not answer.intact:
        screen.line(Mark("✘ the journal is not what was written: ", BAD), answer.problem)
        screen.talk(
            Mark("next: ", DIM), "stop changing things, keep a copy (rollout backup), compare it with your last backup"
        )
        return
    checked = f"{answer.entries:,} {'entry' if answer.entries == 1 else 'entries'} checked"
    first = max(answer.oldest_revision, 1)
    screen.line(Mark("✔ intact", GOOD), f": {checked}, revisions {first} to {answer.head.revision}")
    if not is_compared:
        session.screen.note(
            "note", "a cut tail is found only against a head kept elsewhere: rollout audit verify --head HEAD"
        )


def _position(text: str) -> ruleset_pb2.Position:
    """Read a head as `audit head` printed it, as text or as JSON."""
    from rollout_sdk.wire.v1 import ruleset_pb2

    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"the head {text[1:]} cannot be read: {error}") from error
    epoch, revision, digest = _parts(text.strip())
    try:
        raw = bytes.fromhex(digest)
        number = int(revision)
    except ValueError:
        raw, number = b"", -1
    if len(raw) != _DIGEST_BYTES or number < 0 or not epoch:
        raise usage("this is no head", "give one as `rollout audit head` printed it: EPOCH:REVISION:DIGEST")
    return ruleset_pb2.Position(epoch=epoch, revision=number, digest=raw)


def _parts(text: str) -> tuple[str, str, str]:
    if text.startswith("{"):
        try:
            tree = json.loads(text)
        except ValueError:
            return "", "", ""
        return str(tree.get("epoch", "")), str(tree.get("revision", "")), str(tree.get("digest", ""))
    epoch, _, rest = text.partition(":")
    revision, _, digest = rest.partition(":")
    return epoch, revision, digest
