"""`rollout health`: does the server serve? For health checks of containers and supervisors; it needs no token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollout_server.cli.failures import CommandFailed, usage
from rollout_server.cli.screen import GOOD, Mark
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import duration_ms

if TYPE_CHECKING:
    from rollout_server.cli.session import Session


@click.command(cls=Command)
@click.option("--timeout", default="3s", show_default=True, metavar="TIME", help="How long the answer may take.")
@pass_session
def health(session: Session, timeout: str) -> None:
    """Ask the server whether it serves; no token is needed.

    Exits 1 while it starts or drains, 9 when it cannot be reached.
    """
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    try:
        timeout_ms = duration_ms(timeout)
    except ValueError as error:
        raise usage(str(error)) from error
    connection = session.connection
    stub = health_pb2_grpc.HealthStub(connection.channel)
    answer = connection.ask(stub.Check, health_pb2.HealthCheckRequest(), timeout_ms=timeout_ms)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status).lower().replace("_", " ")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise CommandFailed(
            f"{connection.target.server} answers that it is {status}",
            "it starts or drains; ask again, or look at its log",
        )
    screen = session.screen
    screen.show({"server": connection.target.server, "status": status}, lambda: screen.talk(Mark(status, GOOD)))
