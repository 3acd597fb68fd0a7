"""The parts every command is made of: shared options, the group that loads commands late, near misses."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rollout_server.cli.failures import Exit, Finished, did_you_mean
from rollout_server.cli.screen import Format
from rollout_server.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")

pass_session = click.make_pass_decorator(Session)

_SHARED_NAMES = "--server --token-file --environment --context --output"
# What people type who come from elsewhere, or in a hurry.
_MEANT = {
    "undo": ("revert", "rollback"),
    "certificate": ("rollback",),
    "stop": ("rollback", "kill", "pause"),
    "advance": ("promote",),
    "continue": ("resume",),
    "off": ("kill",),
    "disable": ("kill",),
    "on": ("unkill",),
    "enable": ("unkill",),
    "show": ("describe",),
    "log": ("history",),
    "login": ("context",),
    "validate": ("lint",),
}


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    session = ctx.find_object(Session)
    if session is None or value is None or value is False:
        return
    if param.name == "output":
        session.format = Format(value)
    elif param.name is not None:
        session.remember(**{param.name: value})


def shared_options(*, hidden: bool) -> list[click.Option]:
    """Return the options every command takes, before or after its name.

    Args:
        hidden: leave them out of the command's help; `rollout --help` shows them once.
    """

    def option(*names: str, **settings: Any) -> click.Option:  # noqa: ANN401 - what click.Option takes
        return click.Option(names, expose_value=False, callback=_remember, hidden=hidden, **settings)

    return [
        option("--environment", "-e", metavar="NAME", help="The environment; a token of another one is refused."),
        option("--context", metavar="NAME", help="A named context of the context file."),
        option("--context-file", metavar="FILE", help="Another context file (ROLLOUT_CONFIG)."),
        option("--server", metavar="HOST:PORT", help="The server (default localhost:7070)."),
        option("--token", metavar="SECRET", help="The token; others on this host may see it, prefer --token-file."),
        option("--token-file", metavar="FILE", help="A file that holds the token."),
        option("--tls", is_flag=True, help="TLS with the system's authorities, on this machine too."),
        option("--tls-ca", metavar="FILE", help="Authorities that sign the server's certificate (PEM)."),
        option("--tls-cert", metavar="FILE", help="This client's certificate (PEM), for mTLS."),
        option("--tls-key", metavar="FILE", help="Its private key (PEM)."),
        option("--allow-plaintext", is_flag=True, help="Send the token to another machine without TLS."),
        option("--output", "-o", type=click.Choice([item.value for item in Format]), help="How stdout is written."),
    ]


class Command(click.Command):
    """A command that takes the shared options after its name too."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(*args, **settings)
        taken = {name for param in self.params for name in param.opts}
        self.params.extend(option for option in shared_options(hidden=True) if not taken & {*option.opts})
        self.epilog = self.epilog or f"Also: {_SHARED_NAMES} and more, see `rollout --help`."


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the group.

    Attributes:
        where: "module:attribute", imported when the command is run.
        help: its line in `rollout --help`; the same as the command's own first sentence.
    """

    section: str
    name: str
    where: str
    help: str


class LateGroup(click.Group):
    """Loads a command's module when it is typed, lists commands by section, and suggests near misses."""

    entries: Sequence[Entry] = ()

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the help."""
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return one command; None where there is none of this name."""
        where = next((entry.where for entry in self.entries if entry.name == cmd_name), None)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or suggest one."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            raise click.UsageError(_no_such_command(args[0], self.list_commands(ctx)), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Run the command; a reader who has enough ends it quietly, before click makes it a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise Finished(Exit.BROKEN_PIPE) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, a section each, then the options: commands are what people look for."""
        width = max((len(entry.name) for entry in self.entries), default=0)
        for section in dict.fromkeys(entry.section for entry in self.entries):
            with formatter.section(section):
                listed = [entry for entry in self.entries if entry.section == section]
                formatter.write_dl([(entry.name.ljust(width), entry.help) for entry in listed])
        click.Command.format_options(self, ctx, formatter)


class Group(click.Group):
    """A command with commands of its own ("token create"); each takes the shared options."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or suggest one."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            raise click.UsageError(_no_such_command(args[0], self.list_commands(ctx)), ctx) from None


def _no_such_command(word: str, known: Sequence[str]) -> str:
    meant = ", ".join(command for command in _MEANT.get(word, ()) if command in known)
    near = f"did you mean {meant}?" if meant else did_you_mean(word, known)
    near = near or f"there are: {', '.join(known)}"
    return f"there is no command {word!r}; {near}"


def intent_options(command: F) -> F:
    """Add what every mutating command takes: why, and a key that makes repeating harmless."""
    command = click.option("--reason", metavar="TEXT", help="Why; kept in the history.")(command)
    return click.option(
        "--idempotency-key", metavar="KEY", help="Repeat a call with the key it had: it is done once (kept 7 days)."
    )(command)


def at_options(command: F) -> F:
    """Add a point of history to read at."""
    command = click.option("--rev", type=click.IntRange(min=0), metavar="N", help="As of this revision.")(command)
    return click.option("--at", "at", metavar="TIME", help='As of this time: RFC 3339 with a zone, or "2h" ago.')(
        command
    )
