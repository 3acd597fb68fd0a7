"""`rollout serve`: run the server in this process."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rollout_server.cli.failures import CommandFailed, Exit
from rollout_server.cli.screen import quantity


@click.command(context_settings={"show_default": False})
@click.option("--settings", metavar="FILE", help="TOML file with any setting (ROLLOUT_SETTINGS).")
@click.option("--data", metavar="DIR", help="Directory of the store; made when missing.")
@click.option("--environments", metavar="NAME,...", help="Environments served; naming a new one creates it.")
@click.option("--listen", metavar="HOST:PORT", help="Address of the gRPC port (default 127.0.0.1:7070).")
@click.option("--http-listen", metavar="HOST:PORT", help="Address of /healthz, /readyz and /metrics; empty for none.")
@click.option("--tls-cert", metavar="FILE", help="Certificate chain (PEM); a new file is taken up while it runs.")
@click.option("--tls-key", metavar="FILE", help="Its private key (PEM).")
@click.option("--tls-client-ca", metavar="FILE", help="Ask clients for a certificate of these authorities (PEM).")
@click.option(
    "--insecure-listen", is_flag=True, default=None, help="No TLS although other machines can reach the port."
)
@click.option(
    "--metrics-public", is_flag=True, default=None, help="Serve /metrics although other machines can reach it."
)
@click.option(
    "--new-admin-token", is_flag=True, default=None, help="Make one more admin token: for when the last one is lost."
)
@click.option("--restore", metavar="FILE", help="Fill an empty store, SQLite or Redis, from this backup.")
@click.option("--upstream", metavar="HOST:PORT", help="Be a relay of this server; ROLLOUT_UPSTREAM_TOKEN lets it in.")
@click.option("--upstream-tls-ca", metavar="FILE", help="Authorities of its certificate (PEM).")
@click.option("--upstream-tls", is_flag=True, default=None, help="Speak TLS with it by the system's authorities.")
@click.option("--relay-name", metavar="NAME", help="Shown behind the names of this relay's processes.")
@click.option("--redis-url", metavar="URL", help="Redis shared by all servers; ROLLOUT_REDIS_URL keeps it out of `ps`.")
@click.option("--redis-accept-data-loss", is_flag=True, default=None, help="Serve from a Redis that can lose changes.")
@click.option("--history-keep-days", type=int, metavar="DAYS", help="How far back history and explain can look.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
def serve(settings: str | None, **options: object) -> None:
    """Run the server.

    Settings come from these options, then ROLLOUT_*, then the settings file. On the first start it prints how to get
    the first token. Ends cleanly on SIGTERM.
    """
    # gRPC's own log lines are not JSON; what matters of them is raised, and told below.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from rollout_server.errors import InvalidInput, RolloutError
    from rollout_server.main import serve as run
    from rollout_server.settings import load

    try:
        run(load(options, Path(settings) if settings else None))
    except InvalidInput as invalid:
        raise CommandFailed(
            f"{quantity(len(invalid.problems), 'setting')} cannot be used; nothing was started",
            "see: rollout serve --help",
            details=[str(problem) for problem in invalid.problems],
            exit_code=Exit.USAGE,
        ) from invalid
    except RolloutError as error:
        raise CommandFailed(str(error), error.hint) from error
