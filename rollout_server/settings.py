"""Settings of `rollout serve`: options first, then the environment (`ROLLOUT_*`), then a TOML file, then defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from rollout_sdk.engine.problems import Problem
from rollout_server.errors import InvalidInput
from rollout_server.setting_values import (
    Address,
    EnvironmentNames,
    Link,
    Listed,
    OptionalAddress,
    PublicExceptions,
    RootUrl,
    is_here,
    is_loopback,
    split_address,
)

__all__ = ["FILE_VARIABLE", "PREFIX", "Settings", "is_loopback", "load", "split_address"]

PREFIX = "ROLLOUT_"
FILE_VARIABLE = "ROLLOUT_SETTINGS"
"""Names the TOML file where no option does."""

_OF_UPSTREAM = ("token", "tls", "tls_ca", "tls_cert", "tls_key", "insecure")
_OF_REDIS = ("redis_tls_ca", "redis_wait_replicas", "redis_wait_ms", "redis_accept_data_loss")


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

    http_listen: OptionalAddress = "127.0.0.1:7071"
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

    restore: Path | None = None
    """Backup to fill an empty store with at this start, under a new epoch. Take it out again afterwards."""

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

    lease_ms: Annotated[int, Field(ge=300, le=60_000)] = 6_000
    """When the server that drives rollouts stands still, another one has taken over within this time."""

    upstream: OptionalAddress = ""
    """Be a relay of the server at this address: hold no store, and serve the SDKs of a region with what it says."""

    upstream_token: SecretStr | None = None
    """Token with role relay, of the environment that is relayed."""

    upstream_tls: bool = False
    """Speak TLS with upstream by the system's authorities; implied by the three below."""

    upstream_tls_ca: Path | None = None
    """PEM authorities of upstream's certificate; those that the system knows unless given."""

    upstream_tls_cert: Path | None = None
    """PEM certificate that this relay shows upstream."""

    upstream_tls_key: Path | None = None
    """PEM private key of `upstream_tls_cert`."""

    upstream_insecure: bool = False
    """Follow an upstream on another machine without TLS. Tokens then travel in clear text."""

    relay_name: Annotated[str, Field(max_length=64)] = ""
    """Shown behind the names of its processes, for people; this host's name unless given."""

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

    prometheus_url: RootUrl = ""
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

    notification_link: Link = ""
    """Put into each message: a URL in which {environment}, {flag}, {rollout} and {run} are filled in."""

    channel_allow_private: PublicExceptions = ()
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

    @property
    def upstream_is_encrypted(self) -> bool:
        """Whether TLS is spoken with upstream."""
        return self.upstream_tls or self.upstream_tls_ca is not None or self.upstream_tls_cert is not None

    @model_validator(mode="after")
    def _agree_on_upstream(self) -> Settings:
        given = [name for name in map("upstream_{}".format, _OF_UPSTREAM) if name in self.model_fields_set]
        message = ""
        if not self.upstream:
            message = f"{' and '.join(given)} mean nothing without upstream; give it, or take them out" if given else ""
        elif self.upstream_token is None:
            message = "a relay needs upstream_token: `rollout token create --role relay` on the other server makes one"
        elif self.redis_url is not None or self.restore is not None:
            message = "a relay has no store; take out redis_url and restore, or upstream"
        elif len(self.environments) != 1:
            message = "upstream_token opens one environment: name that alone, and run a relay for each"
        elif (self.upstream_tls_cert is None) != (self.upstream_tls_key is None):
            message = "upstream_tls_cert and upstream_tls_key go together; give both or none"
        elif not (self.upstream_is_encrypted or self.upstream_insecure or is_loopback(self.upstream)):
            message = (
                f"tokens would travel to {self.upstream} in clear text; "
                "give upstream_tls or upstream_tls_ca, or set upstream_insecure where something else encrypts the way"
            )
        if message:
            raise ValueError(message)
        return self

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
        if self.prometheus_token_env and self.prometheus_url.startswith("http:") and not is_here(self.prometheus_url):
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
