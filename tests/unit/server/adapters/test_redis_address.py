"""Addresses, and the secrets in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from rollout_server.adapters.redis_address import RedisAddress, make_pool, read_address
from rollout_server.errors import InvalidInput

PASSWORD = "s3cret/with@signs"
LOGIN = "redis://mia:s3cret%2Fwith%40signs@"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://example.com", "Redis at example.com:6379"),
        ("redis://example.com:7000/3", "Redis at example.com:7000, database 3"),
        ("rediss://[::1]:7000", "Redis at ::1:7000"),
        ("unix:///run/redis.sock?db=2", "Redis at /run/redis.sock"),
        ("redis+sentinel://a:1,b,[::1]:3/main", "Redis 'main' of the Sentinels a:1, b:26379, ::1:3"),
        ("rediss+sentinel://a/main/2", "Redis 'main' of the Sentinels a:26379, database 2"),
        (f"{LOGIN}example.com", "Redis at example.com:6379"),
    ],
)
def test_an_address_is_told_without_its_password(url: str, where: str) -> None:
    """What people see of it can be pasted anywhere."""
    address = read_address(url)
    assert address.where == where
    assert PASSWORD not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com:6379",
        "http://example.com",
        "redis://",
        "redis://example.com:port",
        "redis://example.com:65536",
        "redis://a,b",
        "redis://example.com/one",
        "redis://example.com/1/2",
        "redis://example.com?ssl_cert_reqs=none",
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/main/2/3",
        f"redis://:{PASSWORD.replace('/', '')}@a,b",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    """The hint shows the forms; the text may hold a password."""
    with pytest.raises(InvalidInput) as refusal:
        read_address(url)
    (problem,) = refusal.value.problems
    assert problem.path == "redis_url"
    assert "redis+sentinel://" in problem.hint
    assert "s3cret" not in str(refusal.value) + str(problem)


def connection(address: RedisAddress, tls_ca: Path | None = None) -> object:
    """One that the pool would make."""
    return make_pool(address, tls_ca).make_connection()  # type: ignore[no-untyped-call]


def test_login_and_database_reach_the_connections() -> None:
    """Also those with signs that an address must escape."""
    made = connection(read_address(f"{LOGIN}example.com:7000/3"))
    assert isinstance(made, Connection)
    assert (made.host, made.port, made.db, made.username, made.password) == ("example.com", 7000, 3, "mia", PASSWORD)
    assert made.protocol == 2
    socket = connection(read_address("unix:///run/redis.sock?db=2"))
    assert isinstance(socket, UnixDomainSocketConnection)
    assert (socket.path, socket.db) == ("/run/redis.sock", 2)


def test_tls_checks_the_certificate(tmp_path: Path) -> None:
    """The authority is the one named, or the system's, and the name must be right; nothing switches that off."""
    made = connection(read_address("rediss://example.com"), tmp_path / "ca.pem")
    assert isinstance(made, SSLConnection)
    assert (made.ca_certs, made.check_hostname, made.cert_reqs.name) == (
        str(tmp_path / "ca.pem"),
        True,
        "CERT_REQUIRED",
    )


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("redis+sentinel", SentinelManagedConnection), ("rediss+sentinel", SentinelManagedSSLConnection)],
)
def test_sentinels_are_asked_for_the_primary(scheme: str, kind: type) -> None:
    """With a password of their own, and with TLS where Redis has it."""
    url = f"{scheme}://:{'data'}@a:1,b:2/main?sentinel_username=watch&sentinel_password=other"
    pool = make_pool(read_address(url), None)
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.is_master, pool.connection_class) == ("main", True, kind)
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["username"], each["password"]) for each in asked] == [
        ("a", "watch", "other"),
        ("b", "watch", "other"),
    ]
    assert pool.connection_kwargs["password"] == "data"
