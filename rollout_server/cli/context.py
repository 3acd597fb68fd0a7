"""`rollout context`: named ways to a server and an environment."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import click

from rollout_server.cli import context_file
from rollout_server.cli.context_file import ContextFile, SavedContext
from rollout_server.cli.failures import did_you_mean, usage
from rollout_server.cli.screen import GOOD, Cell, Column, Mark
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Group, pass_session

_FILES = ("token_file", "tls_ca", "tls_cert", "tls_key")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@click.group(cls=Group)
def context() -> None:
    """List, choose and save contexts.

    They live in $ROLLOUT_CONFIG, else $XDG_CONFIG_HOME/rollout/config.toml, readable by you only.
    """


@context.command("list")
@pass_session
def list_contexts(session: Session) -> None:
    """List the contexts; the chosen one is marked."""
    path = session.context_path
    file = context_file.read(path)
    session.screen.talk(str(path))
    data = {
        "file": str(path),
        "current": file.current or None,
        "contexts": [
            {"name": name, "server": saved.server, "environment": saved.environment, "token": _token(saved)}
            for name, saved in file.contexts.items()
        ],
    }
    session.screen.show(data, lambda: _draw(session, file))


@context.command()
@click.argument("name")
@pass_session
def use(session: Session, name: str) -> None:
    """Choose the context that commands use from now on."""
    path = session.context_path
    file = context_file.read(path)
    saved = _known(file, path, name)
    context_file.write(path, replace(file, current=name))
    session.screen.talk(
        Mark("✔ ", GOOD), f"commands go to {saved.environment or 'the environment of its token'} at {saved.server}"
    )


@context.command("set")
@click.argument("name")
@click.option("--use", "is_used", is_flag=True, help="Choose it too.")
@pass_session
def set_context(session: Session, name: str, *, is_used: bool) -> None:
    """Save --server, --environment, --token-file and so on under a name."""
    if not _NAME.fullmatch(name):
        raise usage(f"{name!r} cannot name a context", "use letters, digits, '.', '_' and '-', at most 128")
    path = session.context_path
    file = context_file.read(path)
    choice = session.choice
    said = {
        field: getattr(choice, field) for field in asdict(SavedContext()) if isinstance(getattr(choice, field), str)
    }
    # The context serves from any directory, and the path was typed in this one.
    said |= {field: str(Path(said[field]).expanduser().absolute()) for field in _FILES if said.get(field)}
    said |= {field: "yes" for field in ("tls", "allow_plaintext") if getattr(choice, field)}
    before = file.contexts.get(name, SavedContext())
    if "token" in said or "token_file" in said:
        before = replace(before, token="", token_file="")
    saved = replace(before, **said)
    if not saved.server:
        raise usage(
            "a context needs a server",
            f"rollout context set {name} --server HOST:PORT --environment NAME --token-file FILE",
        )
    current = name if is_used or not file.contexts else file.current
    context_file.write(path, ContextFile(current, {**file.contexts, name: saved}))
    session.screen.talk(
        Mark("✔ ", GOOD), f"context {name} is saved in {path}{' and chosen' if current == name else ''}"
    )
    if current != name:
        session.screen.note("next", f"rollout context use {name}")


@context.command()
@click.argument("name")
@pass_session
def remove(session: Session, name: str) -> None:
    """Forget a context. Its token stays valid: revoke it where it is not needed."""
    path = session.context_path
    file = context_file.read(path)
    _known(file, path, name)
    rest = {key: saved for key, saved in file.contexts.items() if key != name}
    context_file.write(path, ContextFile("" if file.current == name else file.current, rest))
    session.screen.talk(Mark("✔ ", GOOD), f"context {name} is forgotten; its token stays valid until it is revoked")


def _known(file: ContextFile, path: Path, name: str) -> SavedContext:
    if name not in file.contexts:
        near = did_you_mean(name, list(file.contexts)) or "see: rollout context list"
        raise usage(f"there is no context {name} in {path}", near)
    return file.contexts[name]


def _draw(session: Session, file: ContextFile) -> None:
    if not file.contexts:
        session.screen.line("no contexts yet; save one:")
        session.screen.line("  rollout context set NAME --server HOST:PORT --environment NAME --token-file FILE")
        return
    session.screen.table(
        [Column(""), Column("NAME"), Column("ENVIRONMENT"), Column("SERVER", folds=True), Column("TOKEN", folds=True)],
        [_row(name, saved, is_current=name == file.current) for name, saved in file.contexts.items()],
    )


def _row(name: str, saved: SavedContext, *, is_current: bool) -> list[Cell]:
    return [Mark("* chosen" if is_current else "", GOOD), name, saved.environment, saved.server, _token(saved)]


def _token(saved: SavedContext) -> str:
    """Say where the token is; never what it is."""
    if saved.token:
        return "in this file"
    return f"in {saved.token_file}" if saved.token_file else "none"
