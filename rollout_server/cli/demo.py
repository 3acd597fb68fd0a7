"""`rollout demo`: two releases of one shop in under two minutes, on this machine, with real processes.

A good one completes, through an outage that hits everybody and is not blamed on it. A bad one is caught and rolled back
by itself; with `--redis`, although the server that drives it is killed meanwhile.
"""

from __future__ import annotations

from pathlib import Path

import click

from rollout_server.cli.demo_crew import Crew, new_home
from rollout_server.cli.demo_redis import Replicas, Takeover, redis_program
from rollout_server.cli.demo_story import Story
from rollout_server.cli.installed import examples
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session


@click.command(cls=Command)
@click.option("--keep", metavar="DIR", help="Keep the store and the logs there.")
@click.option(
    "--redis", "has_redis", is_flag=True, help="On two servers and a Redis; the one that drives is killed on the way."
)
@pass_session
def demo(session: Session, keep: str | None, *, has_redis: bool) -> None:
    """See a good release complete and a bad one rolled back by itself, in under two minutes.

    Starts a server, four copies of a shop and their visitors on this machine, and stops them at the end. With --redis
    there are two servers, and one of them is killed while it drives the bad release; that takes longer.
    """
    program = redis_program(session.world.environ) if has_redis else ""
    if keep is not None:
        Path(keep).mkdir(parents=True, exist_ok=True)
        _play(session, Path(keep).resolve(), program)
        return
    with new_home() as home:
        _play(session, Path(home), program)


def _play(session: Session, home: Path, redis: str) -> None:
    crew = Replicas(home, examples(), program=redis) if redis else Crew(home, examples())
    with crew:
        story = Takeover(session, crew) if isinstance(crew, Replicas) else Story(session, crew)
        try:
            story.open()
            story.good_release()
            story.bad_release()
            story.close()
        finally:
            story.session.close()
