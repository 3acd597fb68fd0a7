"""Where Redis is: an address read into what makes connections to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from rollout_server.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

from rollout_sdk.engine.problems import Problem

CONNECT_S = 3.0
SENTINEL_S = 1.0
CONNECTIONS_MAX = 1_024
_PORT = 6_379
_SENTINEL_PORT = 26_379
_PORT_MAX = 65_535
_SCHEMES = {
    "redis": (False, False),
    "rediss": (True, False),
    "redis+sentinel": (False, True),
    "rediss+sentinel": (True, True),
    "unix": (False, False),
}
_FORMS = (
    "write redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss:// for TLS, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DB] or unix:///PATH[?db=DB]"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis, or the Sentinels that know it.

    Attributes:
        hosts: of Redis, one; of the Sentinels, one or more. Empty for a Unix socket.
        service: under which the Sentinels know it; empty without them.
        path: of the Unix socket.
        sentinel: user and password of the Sentinels, where they ask for one.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    path: str
    db: int
    is_tls: bool
    login: Mapping[str, str] = field(repr=False)
    sentinel: Mapping[str, str] = field(repr=False)

    @property
    def where(self) -> str:
        """The address for people: without user and password."""
        if self.path:
            return f"Redis at {self.path}"
        hosts = ", ".join(f"{host}:{port}" for host, port in self.hosts)
        place = f"Redis {self.service!r} of the Sentinels {hosts}" if self.service else f"Redis at {hosts}"
        return f"{place}, database {self.db}" if self.db else place


def read_address(url: str) -> RedisAddress:
    """Read an address.

    Raises:
        InvalidInput: it is none; what it says is not repeated, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        is_tls, is_sentinel = _SCHEMES[parts.scheme]
        query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        path = "" if parts.scheme != "unix" else unquote(parts.path)
        service, db = _path(parts.path, has_service=is_sentinel) if not path else ("", query.pop("db", "0"))
        default_port = _SENTINEL_PORT if is_sentinel else _PORT
        address = RedisAddress(
            hosts=() if path else tuple(_host(each, default_port) for each in hosts.split(",")),
            service=service,
            path=path,
            db=int(db),
            is_tls=is_tls,
            login=_login(unquote(user), unquote(password)),
            sentinel=_login(query.pop("sentinel_username", ""), query.pop("sentinel_password", "")),
        )
    except (KeyError, ValueError):
        raise InvalidInput([_problem("it is no address of Redis")]) from None
    if query:
        raise InvalidInput([_problem(f"it has parts that mean nothing here: {', '.join(sorted(query))}")])
    if is_sentinel is not bool(service) or (not is_sentinel and len(address.hosts) > 1):
        raise InvalidInput([_problem("several hosts and a service go with Sentinels, and with nothing else")])
    return address


def make_pool(address: RedisAddress, tls_ca: Path | None) -> ConnectionPool:
    """Return what makes connections. Nothing is tried again by them: whether that is safe, the caller knows.

    Args:
        address: where.
        tls_ca: PEM file of the authority of Redis's certificate; None for those that the system knows.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }
    if address.path:
        options |= address.login
        return ConnectionPool(UnixDomainSocketConnection, CONNECTIONS_MAX, path=address.path, db=address.db, **options)
    options["socket_keepalive"] = True
    tls = {"ssl_ca_certs": str(tls_ca)} if address.is_tls and tls_ca is not None else {}
    if address.service:
        secured = {"ssl": True, **tls} if address.is_tls else {}
        asked = {**options, "socket_timeout": SENTINEL_S, **address.sentinel, **secured}
        sentinel = Sentinel(address.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        managed = SentinelManagedSSLConnection if address.is_tls else SentinelManagedConnection
        return SentinelConnectionPool(  # type: ignore[no-untyped-call]
            address.service,
            sentinel,
            connection_class=managed,
            max_connections=CONNECTIONS_MAX,
            db=address.db,
            **options,
            **address.login,
            **tls,
        )
    ((host, port),) = address.hosts
    kind = SSLConnection if address.is_tls else Connection
    options |= {**address.login, **tls}
    return ConnectionPool(kind, CONNECTIONS_MAX, host=host, port=port, db=address.db, **options)


def _host(text: str, default_port: int) -> tuple[str, int]:
    host, port = text, ""
    if not text.endswith("]"):
        before, colon, after = text.rpartition(":")
        host, port = (before, after) if colon else (text, "")
    host = host.strip("[]")
    number = int(port or default_port)
    if not host or not 0 < number <= _PORT_MAX:
        raise ValueError("no host and port")
    return host, number


def _path(path: str, *, has_service: bool) -> tuple[str, str]:
    names = [unquote(name) for name in path.strip("/").split("/")] if path.strip("/") else []
    service = names.pop(0) if has_service and names else ""
    if len(names) > 1:
        raise ValueError("a path of the wrong length")
    return service, names[0] if names else "0"


def _login(user: str, password: str) -> dict[str, str]:
    return {key: value for key, value in (("username", user), ("password", password)) if value}


def _problem(message: str) -> Problem:
    return Problem("", "redis_url", "redis_url", message, _FORMS)
