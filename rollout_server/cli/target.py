"""Which server, which token, which environment: options, then ROLLOUT_*, then a context (docs/cli.md)."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_server.cli import context_file
from rollout_server.cli.context_file import SavedContext
from rollout_server.cli.failures import did_you_mean, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SERVER = "localhost:7070"
_OTHERS = 0o077
_YES = frozenset({"1", "yes", "true", "on"})
_TOKEN_BYTES_MAX = 4096
_HOW_TO_GIVE_ONE = "write the secret that `rollout token create` printed into it, or name another file: --token-file"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options said; None where an option was not given."""

    server: str | None = None
    token: str | None = None
    token_file: str | None = None
    environment: str | None = None
    context: str | None = None
    context_file: str | None = None
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allow_plaintext: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes.

    Attributes:
        server: "host:port".
        token: the secret; empty sends none.
        environment: empty when only the token knows.
        context: name of the context it came from; empty for none.
        is_secure: TLS.
        warnings: what a person should mend.
    """

    server: str
    token: str = field(repr=False)
    environment: str = ""
    context: str = ""
    is_secure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    warnings: tuple[str, ...] = ()


def path_of_contexts(choice: Choice, environ: Mapping[str, str]) -> Path:
    """Return the context file in use."""
    return Path(choice.context_file) if choice.context_file else context_file.default_path(environ)


def resolve(choice: Choice, environ: Mapping[str, str]) -> Target:
    """Decide where to go, from what was said and what is saved.

    A server that was named by an option or ROLLOUT_SERVER takes nothing from a context that was not named too: a
    token is never sent to another server than the one it was saved for.

    Raises:
        CommandFailed: usage; several environments and none chosen, an unknown context, an unreadable token.
    """
    said = _Said(choice, environ)
    wanted = said("environment")
    path = path_of_contexts(choice, environ)
    name, saved = _context(path, said("context"), wanted, is_elsewhere=bool(said("server")))
    server = said("server") or saved.server or DEFAULT_SERVER
    if wanted and saved.environment and wanted != saved.environment:
        raise usage(
            f"context {name} is for environment {saved.environment}, not {wanted}",
            f"leave out --context to let --environment {wanted} choose one",
        )
    warnings: list[str] = []
    token = _token(said, saved, warnings)
    secure = _is_secure(server, said, saved)
    files = {part: said(part) or getattr(saved, part) for part in ("tls_ca", "tls_cert", "tls_key")}
    if bool(files["tls_cert"]) != bool(files["tls_key"]):
        raise usage("a client certificate needs both --tls-cert and --tls-key")
    return Target(
        server=server.removeprefix("https://").removeprefix("http://").rstrip("/"),
        token=token,
        environment=wanted or saved.environment,
        context=name,
        is_secure=secure,
        ca=_path(files["tls_ca"]),
        cert=_path(files["tls_cert"]),
        key=_path(files["tls_key"]),
        warnings=tuple(warnings),
    )


def chosen_environment(choice: Choice, environ: Mapping[str, str]) -> str:
    """Return the environment that was named, else that of the context in use; empty where there is neither.

    Raises:
        CommandFailed: usage; several environments and none chosen, or an unknown context.
    """
    said = _Said(choice, environ)
    if named := said("environment"):
        return named
    return _context(path_of_contexts(choice, environ), said("context"), "", is_elsewhere=False)[1].environment


class _Said:
    """What options and ROLLOUT_* say, options first; empty text where neither does."""

    def __init__(self, choice: Choice, environ: Mapping[str, str]) -> None:
        self._choice = choice
        self._environ = environ

    def __call__(self, name: str) -> str:
        return self.option(name) or self._environ.get(f"ROLLOUT_{name.upper()}", "")

    def option(self, name: str) -> str:
        value = getattr(self._choice, name)
        return value if isinstance(value, str) else "yes" if value else ""


def _context(path: Path, named: str, environment: str, *, is_elsewhere: bool) -> tuple[str, SavedContext]:
    if is_elsewhere and not named:
        return "", SavedContext()
    file = context_file.read(path)
    if named:
        if named not in file.contexts:
            near = did_you_mean(named, list(file.contexts))
            raise usage(f"there is no context {named} in {path}", near or "see: rollout context list")
        return named, file.contexts[named]
    if not file.contexts:
        return "", SavedContext()
    current = file.contexts.get(file.current)
    if environment:
        if current is not None and current.environment == environment:
            return file.current, current
        matching = [name for name, saved in file.contexts.items() if saved.environment == environment]
        if len(matching) == 1:
            return matching[0], file.contexts[matching[0]]
        if matching:
            raise usage(
                f"environment {environment} is in several contexts: {', '.join(matching)}", "choose one with --context"
            )
        known = sorted({saved.environment for saved in file.contexts.values() if saved.environment})
        near = did_you_mean(environment, known)
        raise usage(
            f"no context in {path} is for environment {environment}", near or f"there are: {', '.join(known) or 'none'}"
        )
    if current is not None:
        return file.current, current
    if file.current:
        near = did_you_mean(file.current, list(file.contexts))
        raise usage(f"{path} says current = {file.current!r}, which is no context of it", near or "rollout context use")
    if len(file.contexts) == 1:
        return next(iter(file.contexts.items()))
    several = ", ".join(saved.environment or name for name, saved in file.contexts.items())
    raise usage(
        f"there are several environments and none is chosen: {several}",
        "add --environment NAME, or choose for good with: rollout context use NAME",
    )


def _token(said: _Said, saved: SavedContext, warnings: list[str]) -> str:
    # An option beats a variable, a variable beats the context; within each, the token beats the file.
    environ_token, environ_file = said("token"), said("token_file")
    token = said.option("token")
    file = "" if token else said.option("token_file")
    if not token and not file:
        token = environ_token
        file = "" if token else environ_file
    if not token and not file:
        token, file = saved.token, "" if saved.token else saved.token_file
    if file:
        token = _read_token(Path(file).expanduser(), warnings)
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise usage("the token holds characters that no token has", "copy it again, in one line")
    return token


def _read_token(path: Path, warnings: list[str]) -> str:
    try:
        with path.open("rb") as file:
            # A warning and not a refusal: mounted secrets are often readable inside their container.
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                warnings.append(f"others can read the token file {path}; chmod 600 {path}")
            text = file.read(_TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise usage(f"the token file {path} cannot be read: {error.strerror}", _HOW_TO_GIVE_ONE) from error
    if not text.strip() or len(text) > _TOKEN_BYTES_MAX:
        raise usage(f"the token file {path} holds no token", _HOW_TO_GIVE_ONE)
    return text.decode("utf-8", errors="replace")


def is_loopback(server: str) -> bool:
    """Say whether "host:port" never leaves this machine."""
    if server.startswith("unix:"):
        return True
    host = server.rpartition(":")[0] if server.rpartition(":")[2].isdigit() else server
    host = host.removeprefix("[").removesuffix("]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_secure(server: str, said: _Said, saved: SavedContext) -> bool:
    if server.startswith("https://") or _is_yes(said("tls"), saved.tls):
        return True
    if any((said("tls_ca"), saved.tls_ca, said("tls_cert"), saved.tls_cert)):
        return True
    if is_loopback(server.removeprefix("http://")):
        return False
    return not _is_yes(said("allow_plaintext"), saved.allow_plaintext)


def _is_yes(*texts: str) -> bool:
    return any(text.lower() in _YES for text in texts)


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None
