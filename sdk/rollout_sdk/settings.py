"""Settings of one client. All durations are in milliseconds; the defaults are right for almost everybody."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from rollout_sdk.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TARGET: Final = "localhost:7070"

_PORT_MAX: Final = 65_535
_PORT_DIGITS_MAX: Final = 5

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})

ENVIRONMENT: Final = {
    "target": "ROLLOUT_SERVER",
    "token": "ROLLOUT_TOKEN",
    "service": "ROLLOUT_SERVICE",
    "snapshot_path": "ROLLOUT_SNAPSHOT",
    "overrides_path": "ROLLOUT_OVERRIDES",
    "tls": "ROLLOUT_TLS",
    "tls_ca": "ROLLOUT_TLS_CA",
    "tls_cert": "ROLLOUT_TLS_CERT",
    "tls_key": "ROLLOUT_TLS_KEY",
    "allow_plaintext": "ROLLOUT_ALLOW_PLAINTEXT",
}
"""Setting to the variable that `Client.from_env` reads it from."""

_BOOLEANS = frozenset({"tls", "allow_plaintext"})
_PATHS = ("tls_ca", "tls_cert", "tls_key", "snapshot_path", "overrides_path")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one client finds its server, and how patient it is.

    Attributes:
        target: "host:port", "[::1]:port" or "unix:/path".
        token: names the environment; never logged, never shown.
        service: what people call this process in `rollout sdks`.
        tls: speak TLS with the system's authorities; implied by any other tls setting.
        tls_ca: PEM file of the authorities that sign the server's certificate.
        tls_cert, tls_key: PEM files of this process's own certificate (mTLS); both or none.
        allow_plaintext: send the token unencrypted to another machine.
        snapshot_path: where the last known good ruleset is kept; empty keeps none.
        overrides_path: the emergency file; empty reads none. Relative paths are of the directory that the process is in
            now, and stay there: a daemon goes to another one.
        connect_timeout_ms: from dialling to the server's first message.
        silence_timeout_ms: a stream that says nothing for so long is given up; servers send a bookmark every 10 s.
        stale_after_ms: decisions say `stale` when the server was last heard so long ago.
        backoff_base_ms: bound of the random wait after a stream broke, doubled by the first attempt that fails and by
            each eighth after it, three times in all; a server knows how many come back together, and says a better one.
        backoff_max_ms: bound of all waits.
        steady_after_ms: a stream must live so long before the backoff starts over.
        keepalive_ms: how often an idle connection is probed.
        report_every_ms: how often what was counted is reported, until the server says how often it wants that.
    """

    target: str = DEFAULT_TARGET
    token: str | None = field(default=None, repr=False)
    service: str = ""
    tls: bool = False
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    allow_plaintext: bool = False
    snapshot_path: str = ""
    overrides_path: str = ""
    connect_timeout_ms: int = 5_000
    silence_timeout_ms: int = 25_000
    stale_after_ms: int = 30_000
    backoff_base_ms: int = 4_000
    backoff_max_ms: int = 30_000
    steady_after_ms: int = 10_000
    keepalive_ms: int = 20_000
    report_every_ms: int = 5_000

    def __post_init__(self) -> None:
        if not self.target:
            raise InvalidSettings("target", "it is empty", 'name the server, "localhost:7070"')
        if not _names_a_place(self.target):
            hint = 'write "localhost:7070", "[::1]:7070" or "unix:/path"'
            raise InvalidSettings("target", f"{self.target!r} is not host:port", hint)
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token):
            raise InvalidSettings("token", "it is empty or not printable ASCII", "copy the whole token, on one line")
        if not self.service.isprintable():
            raise InvalidSettings("service", "it holds what cannot be printed", "give a plain name, such as web")
        if bool(self.tls_cert) != bool(self.tls_key):
            missing = "tls_key" if self.tls_cert else "tls_cert"
            raise InvalidSettings(missing, "it is missing", "a certificate and its key are needed together")
        for name in (item.name for item in fields(self) if item.name.endswith("_ms")):
            if getattr(self, name) <= 0:
                raise InvalidSettings(name, f"{getattr(self, name)} is not a positive number", "give milliseconds")
        for name in _PATHS:
            object.__setattr__(self, name, _anchored(getattr(self, name)))
        if not (self.uses_tls or self.allow_plaintext or is_local(self.target)):
            raise InvalidSettings(
                "target",
                f"{self.target!r} is another machine, and the token would travel to it unencrypted",
                "set tls or tls_ca, or allow_plaintext if the network is trusted",
            )

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or bool(self.tls_ca or self.tls_cert)

    @classmethod
    def from_env(cls, environment: Mapping[str, str], **given: object) -> Settings:
        """Read `ENVIRONMENT`; what is given outright wins.

        Raises:
            InvalidSettings: a value cannot be used; the message names the variable.
        """
        values: dict[str, object] = {}
        for name, variable in ENVIRONMENT.items():
            text = environment.get(variable, "").strip()
            if name in _BOOLEANS:
                values[name] = _boolean(variable, text)
            elif text:
                values[name] = text
        return cls(**{**values, **given})  # type: ignore[arg-type]  # names are checked by the constructor itself


def _anchored(path: str) -> str:
    """Return a path that means the same wherever the process goes."""
    try:
        return os.path.abspath(path) if path else ""  # noqa: PTH100 - pathlib would be loaded for this alone
    except OSError:
        return path  # the process is in a directory that is gone: whoever reads or writes will say what is wrong


def _boolean(variable: str, text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise InvalidSettings(variable, f"{text!r} is neither yes nor no", "write 1 or 0")


def _names_a_place(target: str) -> bool:
    """Whether gRPC reads a target as we do.

    It takes "::1:7070" for a host without a port, hence for another machine, and 99999 for port 34463.
    """
    if target.startswith("unix:"):
        return len(target) > len("unix:")
    host, _, port = target.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return False
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port[: _PORT_DIGITS_MAX + 1]) <= _PORT_MAX


def is_local(target: str) -> bool:
    """Whether only this machine can be behind a target: a loopback address, "localhost" or a Unix socket."""
    if target.startswith("unix:"):
        return True
    host, _, _ = target.rpartition(":")
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
