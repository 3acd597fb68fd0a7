"""`rollout completion`: for bash, zsh and fish."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from rollout_server.cli.shell import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: add `eval "$(rollout completion bash)"` to ~/.bashrc. zsh: the same in ~/.zshrc.
    fish: rollout completion fish > ~/.config/fish/completions/rollout.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        sys.stdout.write(kind(ctx.find_root().command, {}, "rollout", "_ROLLOUT_COMPLETE").source())
