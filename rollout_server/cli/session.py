"""What every command shares: what was typed before it, the screen, and the connection it opens when it needs one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rollout_server.cli import context_file
from rollout_server.cli import target as targets
from rollout_server.cli.failures import CommandFailed, Exit, ServerRefused, usage
from rollout_server.cli.screen import DIM, STRONG, WARN, Cell, Format, Mark, Screen
from rollout_server.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.connection import Connection

REASON_CHARACTERS_MAX = 1_000


class Session:
    """One command line.

    Attributes:
        world: clock, variables, the person.
        choice: where to go, as typed so far.
        format: what `-o` said.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.choice = targets.Choice()
        self.format = Format.TABLE
        self._target: targets.Target | None = None
        self._connection: Connection | None = None
        self._environment = ""
        self._screen: Screen | None = None

    def remember(self, **said: Any) -> None:  # noqa: ANN401 - whatever an option holds
        """Take what an option said; the same option nearer to the command wins."""
        self.choice = replace(self.choice, **said)

    @property
    def screen(self) -> Screen:
        """Where the command draws."""
        if self._screen is None:
            self._screen = Screen(self.format, self.world.environ)
        return self._screen

    @property
    def target(self) -> targets.Target:
        """Where the command goes."""
        if self._target is None:
            self._target = targets.resolve(self.choice, self.world.environ)
            for warning in self._target.warnings:
                self.screen.talk(Mark("warning: ", WARN), warning)
        return self._target

    @property
    def connection(self) -> Connection:
        """The way to the server; opened by the first call."""
        if self._connection is None:
            from rollout_server.cli.connection import Connection

            self._connection = Connection(self.target, self.screen.progress, self.screen.end_progress)
        return self._connection

    @property
    def context_path(self) -> Path:
        """The context file in use."""
        return targets.path_of_contexts(self.choice, self.world.environ)

    @property
    def now_ms(self) -> int:
        """The wall clock, Unix epoch, UTC."""
        return self.world.now_ms()

    def environment(self) -> str:
        """Return the environment's name; asks the server when only the token knows it."""
        if not self._environment:
            self._environment = self.target.environment
        if not self._environment:
            from rollout_sdk.wire.v1 import control_pb2

            connection = self.connection
            answer = connection.ask(connection.stub.GetStatus, control_pb2.GetStatusRequest())
            self._environment = answer.environment
        return self._environment

    def elsewhere(self, name: str) -> Session:
        """Return a session for another environment, or another context of this name; the caller closes it."""
        other = Session(self.world)
        other.format = self.format
        contexts = context_file.read(self.context_path).contexts
        is_context = name in contexts and all(saved.environment != name for saved in contexts.values())
        other.choice = replace(
            self.choice, context=name if is_context else None, environment=None if is_context else name
        )
        return other

    def learn_environment(self, name: str) -> None:
        """Take the name from an answer that carries it, and save a call."""
        self._environment = name

    def begin(self, *cells: Cell) -> None:
        """Start the output: the environment, then whatever the command knows at once."""
        parts: list[Cell] = [Mark(self.environment(), STRONG)]
        for cell in cells:
            parts += [Mark(" · ", DIM), cell]
        self.screen.talk(*parts)

    def intent(self, reason: str | None, key: str | None, *, asks: bool = True) -> control_pb2.Intent:
        """Return what a mutating call carries; asks for the reason where somebody can answer and none was given."""
        from rollout_sdk.wire.v1 import control_pb2

        if reason is None and asks and self.world.is_interactive():
            reason = click.prompt("reason (may be empty)", default="", show_default=False, err=True)
        if len(reason or "") > REASON_CHARACTERS_MAX:
            raise usage(f"the reason is longer than {REASON_CHARACTERS_MAX} characters", "put a link to the long story")
        return control_pb2.Intent(idempotency_key=key or self.world.fresh_key(), reason=reason or "")

    def confirm(self, question: str) -> None:
        """Go on only when somebody who can be asked says yes; nobody to ask is a yes.

        Raises:
            CommandFailed: they said no.
        """
        if self.world.is_interactive() and not click.confirm(question, err=True):
            raise CommandFailed("nothing was changed: you said no")

    def close(self) -> None:
        """Close what was opened."""
        if self._connection is not None:
            self._connection.close()


def told_how_to_repeat(intent: control_pb2.Intent, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - the call's own answer
    """Make a mutating call; when its fate is unknown, say how to repeat it without doing it twice.

    Raises:
        ServerRefused: as the call.
    """
    try:
        return call()
    except ServerRefused as refused:
        if refused.exit_code is not Exit.UNREACHABLE or refused.code not in {"unreachable", "unknown"}:
            raise
        doubt = ("whether it was done is unknown; to do it once and not twice, repeat it with",)
        if refused.code == "unknown":  # the server has said what is not known
            doubt = ("to do it once and not twice, repeat it with",)
        raise ServerRefused(
            refused.what,
            refused.hint,
            code=refused.code,
            details=(
                *refused.details,
                *doubt,
                f"  --idempotency-key {intent.idempotency_key}",
            ),
            exit_code=refused.exit_code,
        ) from refused


def meanwhile(refused: ServerRefused, key: str) -> str:
    """Say what processes do where a stop was not answered, and lead over to the last way."""
    does = "the processes keep deciding with what they have"
    if refused.code == "unknown":
        does = f"if it is written, processes obey it already: rollout certificate {key}"
    return f"{does}. Without a server, on each host that runs one:"
