"""What Redis and its client say, as the errors of this service."""

from __future__ import annotations

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from rollout_server.errors import Corrupt, RolloutError, Unavailable

REFUSED_BEFORE = (
    exceptions.AuthenticationError,
    exceptions.BusyLoadingError,
    exceptions.MaxConnectionsError,
    exceptions.ReadOnlyError,
    exceptions.ResponseError,
)
"""Said by Redis instead of doing what was asked: nothing was written."""

LOST = (
    exceptions.ConnectionError,
    exceptions.InvalidResponse,
    exceptions.TimeoutError,
    OSError,
    TimeoutError,
)
"""No answer came, or none that means anything."""

DAMAGED_HINT = (
    "keep a copy of what Redis holds, restore a backup made by `rollout backup` into an empty Redis, and start the "
    "server again; clients keep deciding with what they hold"
)

_AWAY = (
    ("OOM", "its memory is full", "give it more memory (maxmemory): it must not evict, so it refuses; reads go on"),
    ("MISCONF", "it cannot write to its disk", "free space on the disk of Redis, and look at its log"),
    ("NOREPLICAS", "too few of its replicas answer", "bring its replicas back (min-replicas-to-write)"),
    ("LOADING", "it is loading its data", "wait until it has; nothing was changed"),
    ("MASTERDOWN", "it is a replica without its primary", "name the primary, or use redis+sentinel://"),
    ("READONLY", "it is a replica", "name the primary, or use redis+sentinel://"),
    ("UNBLOCKED", "it has become a replica", "nothing to do: the new primary is looked for"),
    ("BUSY", "a script of somebody else's keeps it busy", "look for it with `redis-cli script kill`"),
    ("NOAUTH", "it asks for a password", "put it into redis_url: redis://:PASSWORD@HOST:PORT"),
    ("WRONGPASS", "it does not know this user and password", "look at the user and the password in redis_url"),
    ("NOPERM", "its user may not do this", "give the user the commands named in docs/redis.md"),
    ("ACL", "its user may not do this", "give the user the commands named in docs/redis.md"),  # said of a script
)
_MISTAKEN = (
    ("unknown command 'SENTINEL'", "what answers there is no Sentinel", "name the Sentinels, or write redis://"),
    ("DB index is out of range", "it has no such database", "choose a lower number at the end of redis_url"),
    ("Authentication required", "it asks for a password", "put it into redis_url: redis://:PASSWORD@HOST:PORT"),
)
"""What is said at first to who holds it for something else."""

_CLASSES = {
    exceptions.OutOfMemoryError: "OOM",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.NoPermissionError: "NOPERM",
}


def refusal(error: Exception, where: str) -> RolloutError | None:
    """Return what an error means for a caller to whom nothing was written; None where it is a bug of ours.

    Args:
        error: of Redis, of its client, or of the network.
        where: of the store, without its password.
    """
    if type(error) is exceptions.ConnectionError and isinstance(error.__cause__, exceptions.RedisError):
        error = error.__cause__  # the client wraps what was said while it connected
    text = str(error)
    code = next((code for kind, code in _CLASSES.items() if isinstance(error, kind)), text.partition(" ")[0])
    for known, what, hint in _AWAY:
        if code == known:
            return Unavailable("redis", f"{where}: {what} ({text})", hint)
    for known, what, hint in _MISTAKEN:
        if text.startswith(known):
            return Unavailable("redis", f"{where}: {what} ({text})", hint)
    if isinstance(error, exceptions.AuthenticationError):
        return Unavailable("redis", f"{where}: it refuses the password ({text})", "look at the password in redis_url")
    if code == "WRONGTYPE" or "XADD" in text:
        what = f"a key is not what this service made of it ({text})"
        return Corrupt(where, what, f"somebody wrote to the keys of this service; {DAMAGED_HINT}")
    if isinstance(error, exceptions.MaxConnectionsError):
        return Unavailable("redis", f"{where}: too many questions wait for it already", "try again")
    if isinstance(error, MasterNotFoundError):  # its text is the inside of every client that was asked
        what = f"{where}: they name no primary, or do not answer"
        return Unavailable("redis", what, "see that the Sentinels run and can be reached from here")
    if isinstance(error, exceptions.InvalidResponse):
        what = f"{where}: something answers there that is no Redis"
        return Unavailable("redis", what, "look at the host and the port in redis_url")
    if isinstance(error, LOST):
        hint = "nothing was changed; see that Redis runs and can be reached from here, the server goes on by itself"
        return Unavailable("redis", f"{where}: it does not answer ({text or type(error).__name__})", hint)
    return None


def may_pass(error: Unavailable) -> bool:
    """Whether waiting may help: not where a password, an address or a certificate is wrong."""
    cause = error.__cause__
    if type(cause) is exceptions.ConnectionError and isinstance(cause.__cause__, exceptions.RedisError):
        cause = cause.__cause__
    is_mistaken = isinstance(cause, exceptions.InvalidResponse) or str(cause).startswith(
        tuple(known for known, _, _ in _MISTAKEN)
    )
    is_barred = isinstance(cause, exceptions.AuthenticationError | exceptions.NoPermissionError)
    return not is_mistaken and not is_barred and "SSL" not in str(cause)
