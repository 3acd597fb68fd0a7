"""`rollout token`: who may do what, for how long."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from rollout_server.cli import messages
from rollout_server.cli.failures import usage
from rollout_server.cli.screen import BAD, DIM, GOOD, WARN, Cell, Column, Mark, quantity
from rollout_server.cli.session import Session, told_how_to_repeat
from rollout_server.cli.shell import Group, intent_options, pass_session
from rollout_server.cli.times import ago, duration_ms, stamp

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

ROLES = ("sdk", "relay", "viewer", "author", "operator", "approver", "admin")


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke tokens.

    A token names one environment and one role, and carries the person who answers for it.
    """


@token.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may do.")
@click.option("--person", required=True, metavar="WHO", help="Who answers for it: an address, or a service's name.")
@click.option("--expires", metavar="TIME", help="After this long, 90d; the server's default for the role otherwise.")
@intent_options
@pass_session
def create(
    session: Session, role: str, person: str, expires: str | None, reason: str | None, idempotency_key: str | None
) -> None:
    """Make a token; its secret is printed once, alone on stdout."""
    from rollout_sdk.wire.v1 import control_pb2

    expires_at_ms = session.now_ms + _lifetime_ms(expires) if expires is not None else 0
    session.begin()
    intent = session.intent(reason, idempotency_key, asks=False)
    request = control_pb2.CreateTokenRequest(intent=intent, role=role, person=person, expires_at_ms=expires_at_ms)
    connection = session.connection
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.CreateToken, request))
    screen, made = session.screen, answer.token
    ends = f", expires {stamp(made.expires_at_ms)}" if made.expires_at_ms else ""
    screen.talk(
        Mark("✔ ", GOOD),
        f"token {made.id} for {made.person}, role {made.role}{ends} (revision {answer.entry.revision})",
    )
    if answer.secret:
        screen.talk(Mark("the secret is shown this once; keep it where the service finds it:", DIM))
    else:
        screen.talk(
            Mark("! ", WARN), "this call repeats an earlier one: its secret was shown then, and is kept nowhere"
        )
    if screen.is_data:
        screen.data(
            {
                "environment": session.environment(),
                "secret": answer.secret or None,
                "token": messages.token(made),
                "revision": answer.entry.revision,
            }
        )
    elif answer.secret:
        sys.stdout.write(f"{answer.secret}\n")
    screen.note("undo", f"rollout token revoke {made.id}")


@token.command("list")
@pass_session
def list_tokens(session: Session) -> None:
    """List tokens, without their secrets."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.ListTokens, control_pb2.ListTokensRequest())
    session.begin(quantity(len(answer.tokens), "token"))
    data: Data = {"environment": session.environment(), "tokens": [messages.token(item) for item in answer.tokens]}
    session.screen.show(data, lambda: _draw(session, list(answer.tokens)))


@token.command()
@click.argument("token_id", metavar="ID")
@intent_options
@pass_session
def revoke(session: Session, token_id: str, reason: str | None, idempotency_key: str | None) -> None:
    """Revoke a token, now; its open streams are cut.

    ID is the visible prefix that `rollout token list` shows.
    """
    from rollout_sdk.wire.v1 import control_pb2

    session.begin()
    intent = session.intent(reason, idempotency_key)
    connection = session.connection
    request = control_pb2.RevokeTokenRequest(intent=intent, id=token_id)
    answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.RevokeToken, request))
    screen, revision = session.screen, answer.entry.revision
    if revision:
        screen.tell(Mark("✔ ", GOOD), f"token {token_id} is revoked (revision {revision}); this cannot be undone")
    else:
        screen.tell(Mark("✔ ", GOOD), f"token {token_id} was revoked already; nothing was written")
    if screen.is_data:
        screen.data({"environment": session.environment(), "token": token_id, "revision": revision or None})


def _lifetime_ms(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise usage(str(error)) from error


def _draw(session: Session, tokens: list[control_pb2.Token]) -> None:
    if not tokens:
        session.screen.line("no tokens; make one: rollout token create --role viewer --person you@example.com")
        return
    session.screen.table(
        [
            Column("ID"),
            Column("ROLE"),
            Column("STATE"),
            Column("PERSON", folds=True),
            Column("CREATED"),
            Column("EXPIRES"),
        ],
        [_row(item, session.now_ms) for item in tokens],
    )


def _row(item: control_pb2.Token, now_ms: int) -> list[Cell]:
    if item.revoked_at_ms:
        state = Mark(f"✘ revoked {ago(item.revoked_at_ms, now_ms)}", BAD)
    elif item.expires_at_ms and item.expires_at_ms <= now_ms:
        state = Mark("✘ expired", BAD)
    else:
        state = Mark("✔ valid", GOOD)
    return [item.id, item.role, state, item.person, ago(item.created_at_ms, now_ms), stamp(item.expires_at_ms)]
