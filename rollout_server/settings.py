"""Settings of `rollout serve`: options first, then the environment (`ROLLOUT_*`), then a TOML file, then defaults."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from rollout_sdk.engine.problems import Problem
from rollout_server.errors import InvalidInput

PREFIX = "ROLLOUT_"
FILE_VARIABLE = "ROLLOUT_SETTINGS"
"""Names the TOML file where no option does."""

_ENVIRONMENT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?", re.ASCII)
_LINK = re.compile(r"https?://(?:[!-z|~]|\{(?:environment|flag|rollout|run)\})+", re.ASCII)
_PORT_MAX = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[::1]:port"; port 0 takes a free one.

    Raises:
        ValueError: it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > _PORT_MAX:
        message = f"{address!r} is not host:port; write 127.0.0.1:7070 or [::1]:7070"
        raise ValueError(message)
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        message = f"{address!r}: write an IPv6 host in brackets, [::1]:7070"
        raise ValueError(message)
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach the address."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(address: str) -> str:
    split_address(address)
    return address


def _address_or_nothing(address: str) -> str:
    return _address(address) if address else ""


def _root_url(url: str) -> str:
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        message = (
            f"{url!r} is no root of a Prometheus; write http://prometheus:9090, or with the path that it serves at"
        )
        raise ValueError(message)
    if parts.username is not None or parts.password is not None:
        message = "a password in a URL ends up in logs; put a token into a variable and name it in prometheus_token_env"
        raise ValueError(message)
    return url


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return is_loopback(f"[{host}]:0" if ":" in host else f"{host}:0")


def _listed(value: object) -> object:
    """Take "production, staging" where a list is wanted: what a variable or an option can carry."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def _listed_or_none(value: object) -> object:
    """As `_listed`, where nothing at all may be wanted."""
    return _listed(value) if value != "" else ()


def _public_exceptions(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name) and not _is_network(name):
            message = f"{name!r} is neither a host nor a network; write hooks.internal, 10.1.2.3 or 10.0.0.0/8"
            raise ValueError(message)
    return names


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _link(template: str) -> str:
    if template and not _LINK.fullmatch(template):
        message = f"{template!r} is no URL with any of {{environment}}, {{flag}}, {{rollout}}, {{run}} in it"
        raise ValueError(message)
    return template


def _environment_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _ENVIRONMENT_NAME.fullmatch(name):
            message = f"{name!r} cannot name an environment; use a-z, 0-9, '.', '_' and '-', at most 128"
            raise ValueError(message)
    if not names or len(set(names)) != len(names):
        message = "name at least one environment, and each once"
        raise ValueError(message)
    return names


Address = Annotated[str, AfterValidator(_address)]
Listed = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_listed_or_none)]
EnvironmentNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_environment_names)]


_OF_REDIS = ("redis_tls_ca", "redis_wait_replicas", "redis_wait_ms", "redis_accept_data_loss", "redis_restore")


class Settings(BaseSettings):
    """Everything that can be set. `load` builds it; names are those of the TOML file, units come last."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    data: Path = Path("rollout-data")
    """Directory of the store, its signing key and the first admin tokens; made when missing, readable by its owner."""

    environments: EnvironmentNames = ("production",)
    """Environments served, separated by commas. Naming a new one creates it."""

    listen: Address = "127.0.0.1:7070"
    """Address of the gRPC port; port 0 takes a free one."""

    insecure_listen: bool = False
    """Serve gRPC without TLS on an address that other machines can reach. Tokens then travel in clear text."""

    http_listen: Annotated[str, AfterValidator(_address_or_nothing)] = "127.0.0.1:7071"
    """Address of /healthz, /readyz and /metrics; empty serves none of them."""

    metrics_public: bool = False
    """Serve /metrics although other machines can reach `http_listen`. There is no token on it."""

    tls_cert: Path | None = None
    """PEM certificate chain of the gRPC port. A new file is taken up without a restart."""

    tls_key: Path | None = None
    """PEM private key of `tls_cert`."""

    tls_client_ca: Path | None = None
    """PEM authorities; when given, a client must show a certificate that one of them signed, besides its token."""

    backup_environment: str = ""
    """Environment whose admins may copy the whole store, all environments in it; the only one unless there are more."""

    new_admin_token: bool = False
    """Make one more admin token for each environment at this start, as at the first: for when the last one is lost."""

    redis_url: SecretStr | None = None
    """Redis that all servers share, instead of files in `data`: redis://, rediss://, redis+sentinel:// or unix://."""

    redis_tls_ca: Path | None = None
    """PEM authorities of Redis's certificate; those that the system knows unless given."""

    redis_wait_replicas: Annotated[int, Field(ge=0, le=16)] = 0
    """Replicas of Redis that must have a change before it is acknowledged; without their word it is unknown."""

    redis_wait_ms: Annotated[int, Field(ge=1, le=60_000)] = 1_000
    """How long they are waited for."""

    redis_accept_data_loss: bool = False
    """Serve from a Redis that can lose acknowledged changes: without append-only file, or evicting keys."""

    redis_restore: Path | None = None
    """Backup to fill an empty Redis with at this start, under a new epoch. Take it out again afterwards."""

    lease_ms: Annotated[int, Field(ge=300, le=60_000)] = 6_000
    """How long the server that drives rollouts may stand still before another one takes over."""

    history_keep_days: Annotated[int, Field(ge=1)] = 400
    """How far back history, explain and revert can look; older entries are compacted into a signed checkpoint."""

    change_wait_days: Annotated[int, Field(ge=1, le=365)] = 7
    """How long a change may wait for approval before it expires."""

    bookmark_every_ms: Annotated[int, Field(ge=100)] = 10_000
    """How long a stream may stay silent before it proves that client and server agree."""

    hello_within_ms: Annotated[int, Field(ge=100)] = 5_000
    """How long a new stream may take to say hello."""

    drain_within_ms: Annotated[int, Field(ge=0)] = 10_000
    """How long a stopping server waits for calls under way before it ends them."""

    reconnect_within_ms: Annotated[int, Field(ge=0)] = 5_000
    """A draining server asks each SDK to come back after a random wait of at most this long."""

    renew_epoch_every_ms: Annotated[int, Field(ge=0)] = 60_000
    """Shortest time between two new epochs of an environment when clients prove that its history lost its tail."""

    report_every_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    """How often processes are asked to report what they counted."""

    window_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 10_000
    """Length of the windows that guardrails look at. Fixed when the telemetry store is made."""

    tick_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    """How often running rollouts are looked at: guardrails judged, soaks counted, stages entered."""

    prometheus_url: Annotated[str, AfterValidator(_root_url)] = ""
    """Where metrics with `source: prometheus` are asked for; empty makes them blind."""

    prometheus_token_env: str = ""
    """Name of the environment variable that holds the bearer token for it; empty sends none."""

    prometheus_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 3_000
    """How long Prometheus may take to answer for one metric."""

    streams_max: Annotated[int, Field(ge=1)] = 20_000
    """Streams served at once, all tokens together."""

    streams_per_token_max: Annotated[int, Field(ge=1)] = 10_000
    """Streams served at once for one token."""

    instances_max: Annotated[int, Field(ge=1)] = 50_000
    """Processes remembered for each environment; beyond it the one that went unreachable first is forgotten."""

    notifications: bool = True
    """Send what rollouts have to say to their channels. Say no for a copy of a store that must wake nobody."""

    notification_link: Annotated[str, AfterValidator(_link)] = ""
    """Put into each message: a URL in which {environment}, {flag}, {rollout} and {run} are filled in."""

    channel_allow_private: Annotated[Listed, AfterValidator(_public_exceptions)] = ()
    """Hosts and networks that webhooks may reach although they are not public, separated by commas."""

    channel_commands: Listed = ()
    """Programs that channels may run, separated by commas; spelled as in the channel, with any arguments."""

    channel_services: Listed = ()
    """Services of apprise that channels may use, by the scheme of their URLs, separated by commas."""

    channel_secrets: Listed = ()
    """Variables of the server's environment that channels may use as their secret, separated by commas."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written to stderr, one JSON object a line."""

    @property
    def prometheus(self) -> tuple[str, str, int]:
        """Where it is, the name of its token's variable, and how long it may take (ms)."""
        return self.prometheus_url, self.prometheus_token_env, self.prometheus_timeout_ms

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.redis_url is None:
            needless = [name for name in _OF_REDIS if name in self.model_fields_set]
            if needless:
                message = f"{' and '.join(needless)} mean nothing without redis_url; give it, or take them out"
                raise ValueError(message)
        if self.backup_environment and self.backup_environment not in self.environments:
            message = f"backup_environment {self.backup_environment!r} is none of {', '.join(self.environments)}"
            raise ValueError(message)
        if (self.tls_cert is None) != (self.tls_key is None):
            message = "tls_cert and tls_key go together; give both or none"
            raise ValueError(message)
        if self.tls_client_ca is not None and self.tls_cert is None:
            message = "tls_client_ca asks for client certificates, which needs TLS; give tls_cert and tls_key too"
            raise ValueError(message)
        if self.prometheus_token_env and self.prometheus_url.startswith("http:") and not _is_here(self.prometheus_url):
            message = "the token of prometheus_token_env would travel in clear text; give prometheus_url with https"
            raise ValueError(message)
        if self.tls_cert is None and not self.insecure_listen and not is_loopback(self.listen):
            message = (
                f"listen {self.listen} can be reached from other machines, and tokens would travel in clear text; "
                "give tls_cert and tls_key, listen on 127.0.0.1, or set insecure_listen behind a proxy that ends TLS"
            )
            raise ValueError(message)
        return self


def load(options: Mapping[str, object] | None = None, file: Path | None = None) -> Settings:
    """Read settings; an option beats the environment, which beats the file, which beats the default.

    Args:
        options: by setting name; None stands for an option that was not given.
        file: TOML file; when None, the one that `ROLLOUT_SETTINGS` names, if any.

    Raises:
        InvalidInput: every problem, each with the place the value came from.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    path = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if path is not None and not path.is_file():
        raise InvalidInput([Problem("", "", "unreadable_file", f"settings file {path} cannot be read")])

    class FromEverywhere(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (init_settings, env_settings)
            return sources if path is None else (*sources, TomlConfigSettingsSource(settings_cls, path))

    try:
        # Named arguments are pydantic's only door for the source of highest precedence.
        return FromEverywhere(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidInput([_problem(dict(detail), given, path) for detail in error.errors()]) from None
    except (SettingsError, ValueError) as error:
        raise InvalidInput([Problem("", "", "unreadable_settings", str(error), origin=str(path or ""))]) from None


def _problem(detail: Mapping[str, object], given: Mapping[str, object], path: Path | None) -> Problem:
    location = detail["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else ""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message, hint = "there is no such setting", "see `rollout serve --help`"
    else:
        hint = str(Settings.model_fields[name].description) if name in Settings.model_fields else ""
    return Problem("", name, str(detail["type"]), message, hint, _source(name, given, path))


def _source(name: str, given: Mapping[str, object], path: Path | None) -> str:
    if not name:
        return ""
    if name in given:
        return f"option --{name.replace('_', '-')}"
    if f"{PREFIX}{name.upper()}" in {variable.upper() for variable in os.environ}:
        return f"variable {PREFIX}{name.upper()}"
    return str(path) if path else "default"
