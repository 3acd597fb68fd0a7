"""The context file: named ways to a server and an environment, private to one person.

    current = "production"

    [contexts.production]
    server = "rollout.example.com:7070"
    environment = "production"
    token_file = "/run/secrets/rollout-token"

It may hold tokens, so it is refused when others can read it, and it is replaced whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.cli.failures import CommandFailed, did_you_mean, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700
_OTHERS = 0o077
_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class SavedContext:
    """One named context; empty fields are not set.

    Attributes:
        server: "host:port".
        environment: what the token is for; repeated to the server, which refuses any other.
        token, token_file: one of them.
        tls: "yes" speaks TLS with the system's authorities, on loopback too.
        tls_ca, tls_cert, tls_key: PEM files for TLS and mTLS.
        allow_plaintext: "yes" sends the token to a server off this machine without TLS.
    """

    server: str = ""
    environment: str = ""
    token: str = field(default="", repr=False)
    token_file: str = ""
    tls: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    allow_plaintext: str = ""


def _no_contexts() -> Mapping[str, SavedContext]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ContextFile:
    """What the file says. `current` may be empty: then nothing is chosen."""

    current: str = ""
    contexts: Mapping[str, SavedContext] = field(default_factory=_no_contexts)


def default_path(environ: Mapping[str, str]) -> Path:
    """Return where the context file lives: $ROLLOUT_CONFIG, else $XDG_CONFIG_HOME/rollout/config.toml."""
    named = environ.get("ROLLOUT_CONFIG")
    if named:
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(home) / "rollout" / "config.toml"


def read(path: Path) -> ContextFile:
    """Read the file; an absent one is empty.

    Raises:
        CommandFailed: it can be read by others, cannot be read by us, or does not say what a context file says.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return ContextFile()
    except OSError as error:
        raise usage(f"the context file {path} cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise usage(
            f"the context file {path} may hold a token and others can read it (mode {mode & 0o777:04o})",
            f"chmod 600 {path}; then revoke its tokens if others may have read them",
        )
    if len(data) > _BYTES_MAX:
        raise usage(f"the context file {path} is larger than 1 MiB, which no context file is")
    try:
        return _parse(tomllib.loads(data.decode("utf-8")), path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise usage(
            f"the context file {path} is not TOML: {error}", "mend it, or write it with: rollout context set"
        ) from (error)


def _parse(document: Mapping[str, object], path: Path) -> ContextFile:
    names = [item.name for item in fields(SavedContext)]
    current, tables = document.get("current", ""), document.get("contexts", {})
    unknown = sorted(set(document) - {"current", "contexts"})
    if unknown:
        raise usage(
            f"the context file {path} has an unknown entry {unknown[0]!r}", "it knows current and [contexts.NAME]"
        )
    if not isinstance(current, str) or not isinstance(tables, dict):
        raise usage(f"the context file {path}: current is a name and [contexts.NAME] is a table")
    contexts = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise usage(f"the context file {path}: contexts.{name} is not a table", f"write [contexts.{name}]")
        for entry, value in table.items():
            if entry not in names:
                hint = did_you_mean(entry, names) or f"a context has {', '.join(names)}"
                raise usage(f"the context file {path}: contexts.{name} has an unknown entry {entry!r}", hint)
            if not isinstance(value, str):
                raise usage(f"the context file {path}: contexts.{name}.{entry} must be text", "put it in quotes")
        contexts[name] = SavedContext(**table)
    return ContextFile(current, MappingProxyType(contexts))


def write(path: Path, file: ContextFile) -> None:
    """Replace the file, readable by its owner only, durably and whole or not at all.

    Raises:
        CommandFailed: it cannot be written.
    """
    lines = ["# Written by `rollout context`. It may hold tokens: keep it private.", ""]
    if file.current:
        lines += [f"current = {_quote(file.current)}", ""]
    for name, context in file.contexts.items():
        lines.append(f"[contexts.{_quote(name)}]")
        values = ((item.name, getattr(context, item.name)) for item in fields(context))
        lines += [f"{key} = {_quote(value)}" for key, value in values if value]
        lines.append("")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as target:  # mkstemp's mode is 0600 already
                target.write("\n".join(lines))
                target.flush()
                os.fsync(target.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandFailed(
            f"the context file {path} cannot be written: {error.strerror}; nothing was changed"
        ) from error


def _quote(text: str) -> str:
    """Return a TOML basic string; control characters are escaped, so nothing can end it early."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < ord(" ") or c == "\x7f" else c for c in escaped) + '"'
