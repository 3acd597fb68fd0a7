"""The parts every command is made of."""

from __future__ import annotations

import click
import pytest

from rollout_server.cli.main import ENTRIES, cli
from rollout_server.cli.shell import Command, Group, shared_options
from tests.doubles.command_line import CommandLine

LOCAL = {"serve"}


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = []
    for entry in ENTRIES:
        command = cli.get_command(context, entry.name)
        assert command is not None
        inner = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        found += [(f"{entry.name} {name}".strip(), item) for name, item in inner]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda item: item if isinstance(item, str) else "")
def test_every_command_takes_the_shared_options_hidden_and_helps(name: str, command: click.Command) -> None:
    if name not in LOCAL:
        taken = {option for param in command.params for option in param.opts}
        assert {"--server", "--environment", "-e", "--context", "--output", "-o"} <= taken
    outcome = CommandLine()(*name.split(), "--help")
    assert outcome.code == 0
    assert "--token-file FILE " not in outcome.out or name in LOCAL
    assert command.help
    undocumented = [param.name for param in command.params if isinstance(param, click.Option) and not param.help]
    assert undocumented == []


def test_shared_options_are_shown_once() -> None:
    assert all(option.hidden for option in shared_options(hidden=True))
    assert not any(option.hidden for option in shared_options(hidden=False))


def test_an_option_of_the_command_itself_is_not_taken_over() -> None:
    own = click.Option(["--context"], help="mine")
    command = Command("x", params=[own], callback=lambda: None)
    assert [param for param in command.params if "--context" in param.opts] == [own]


def test_inner_commands_suggest_too() -> None:
    group = Group("g", commands={"create": Command("create")})
    with pytest.raises(click.UsageError, match="did you mean create"):
        group.resolve_command(click.Context(group), ["creat"])
