"""What Redis says, in words that tell people what to do."""

from __future__ import annotations

import pytest
from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from rollout_server.adapters.redis_refusals import may_pass, refusal
from rollout_server.errors import Corrupt, Unavailable

WHERE = "Redis at example.com:6379"


@pytest.mark.parametrize(
    ("error", "words", "cure"),
    [
        (exceptions.OutOfMemoryError("command not allowed"), "memory is full", "maxmemory"),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), "cannot write to its disk", "disk"),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas"), "too few of its replicas", "min-replicas"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading its data", "wait"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), "is a replica", "primary"),
        (exceptions.ResponseError("UNBLOCKED force unblock"), "become a replica", "new primary"),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), "a script", "script kill"),
        (exceptions.AuthenticationError("invalid username-password pair"), "refuses the password", "redis_url"),
        (exceptions.ResponseError("NOAUTH Authentication required."), "asks for a password", "redis_url"),
        (exceptions.AuthenticationError("Authentication required."), "asks for a password", "redis_url"),
        (exceptions.ResponseError("unknown command 'SENTINEL', with args"), "no Sentinel", "redis://"),
        (exceptions.ResponseError("DB index is out of range"), "no such database", "lower number"),
        (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400'"), "is no Redis", "host and the port"),
        (exceptions.NoPermissionError("this user has no permissions"), "may not do this", "docs/redis.md"),
        (exceptions.ResponseError("ACL failure in script: User u has no"), "may not do this", "docs/redis.md"),
        (exceptions.MaxConnectionsError("Too many connections"), "too many questions", "try again"),
        (MasterNotFoundError("No master found : <Redis(<ConnectionPool...>)>"), "name no primary", "Sentinels"),
        (exceptions.ConnectionError("Error 111 connecting"), "does not answer", "goes on by itself"),
        (exceptions.TimeoutError("Timeout reading"), "does not answer", "goes on by itself"),
        (TimeoutError(), "does not answer (TimeoutError)", "goes on by itself"),
        (OSError(104, "reset"), "does not answer", "goes on by itself"),
    ],
)
def test_trouble_of_redis_is_told_with_its_cure(error: Exception, words: str, cure: str) -> None:
    """Where, what, and what to do next; all of it means that nothing was written."""
    found = refusal(error, WHERE)
    assert isinstance(found, Unavailable)
    assert str(found).startswith(WHERE)
    assert words in str(found)
    assert cure in found.hint


@pytest.mark.parametrize(
    "text",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ],
)
def test_keys_that_somebody_else_changed_are_damage(text: str) -> None:
    """On-call must look, waiting does not help."""
    found = refusal(exceptions.ResponseError(text), WHERE)
    assert isinstance(found, Corrupt)
    assert "backup" in found.hint


@pytest.mark.parametrize(
    ("error", "is_worth_it"),
    [
        (exceptions.ConnectionError("Error 111 connecting"), True),
        (exceptions.ConnectionError("Error -2 connecting to redis:6379. Name or service not known."), True),
        (TimeoutError(), True),
        (MasterNotFoundError("No master found"), True),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), True),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), True),
        (exceptions.AuthenticationError("invalid username-password pair"), False),
        (exceptions.NoPermissionError("this user has no permissions"), False),
        (exceptions.ResponseError("unknown command 'SENTINEL', with args"), False),
        (exceptions.ResponseError("DB index is out of range"), False),
        (exceptions.InvalidResponse("Protocol Error"), False),
        (exceptions.ConnectionError("Error 1 connecting: [SSL: CERTIFICATE_VERIFY_FAILED]"), False),
    ],
)
def test_what_is_away_is_told_from_what_is_wrong(error: Exception, *, is_worth_it: bool) -> None:
    """Nobody waits for a password to become the right one."""
    refused = refusal(error, WHERE)
    assert isinstance(refused, Unavailable)
    refused.__cause__ = error
    assert may_pass(refused) is is_worth_it


@pytest.mark.parametrize("error", [exceptions.ResponseError("ERR user_script:7: nil"), ValueError("x")])
def test_a_bug_stays_a_bug(error: Exception) -> None:
    """It becomes an incident, not a wait."""
    assert refusal(error, WHERE) is None
