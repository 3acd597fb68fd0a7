"""Names of resources and points of history, as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.cli import messages
from rollout_server.cli.failures import ServerRefused, did_you_mean, usage
from rollout_server.cli.times import moment_ms

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.session import Session

_WORDS = {
    "Flag": "flags",
    "Cohort": "cohorts",
    "Rollout": "rollouts",
    "Pipeline": "pipelines",
    "Metric": "metrics",
    "Freeze": "freezes",
    "Channel": "channels",
    "Policy": "policies",
}
KINDS = {word: kind for kind, many in _WORDS.items() for word in (kind.lower(), many)}
"""What people type for a kind, one or many, to the kind."""

LISTS = tuple(_WORDS.values())
"""What people type for all of a kind."""

_BARE = ("Flag", "Cohort", "Rollout", "Pipeline", "Metric")
"""What a key without a kind may be of, in this order."""


def split(text: str) -> tuple[str, str]:
    """Return kind and key of "flag/checkout-v2"; a bare key has no kind.

    Raises:
        CommandFailed: usage; no such kind.
    """
    word, slash, key = text.partition("/")
    if not slash:
        return "", text
    if word.lower() not in KINDS:
        known = sorted(set(KINDS.values()))
        raise usage(
            f"there is no kind {word!r}", did_you_mean(word.lower(), list(KINDS)) or f"kinds: {', '.join(known)}"
        )
    if not key:
        raise usage(f"{text!r} names no key", f"write {word}/KEY, or: rollout get {word}")
    return KINDS[word.lower()], key


def flag_key(text: str) -> str:
    """Return the key of a flag, typed as "checkout-v2" or "flag/checkout-v2".

    Raises:
        CommandFailed: usage; it names another kind.
    """
    kind, key = split(text)
    if kind not in {"", "Flag"}:
        raise usage(f"{text} is no flag", "this command takes the key of a flag")
    return key


def at(session: Session, moment: str | None, revision: int | None) -> control_pb2.At | None:
    """Return the point of history that --at or --rev named; None for now.

    Raises:
        CommandFailed: usage; both were given, or the time is none.
    """
    from rollout_sdk.wire.v1 import control_pb2

    if moment is not None and revision is not None:
        raise usage("--at and --rev name two points", "give one of them")
    if revision is not None:
        return control_pb2.At(revision=revision)
    if moment is None:
        return None
    try:
        return control_pb2.At(time_ms=moment_ms(moment, session.now_ms))
    except ValueError as error:
        raise usage(str(error)) from error


def find(session: Session, text: str, point: control_pb2.At | None = None) -> control_pb2.GetResourceResponse:
    """Return the resource that was named; a bare key is a flag's, else that of another kind.

    Raises:
        ServerRefused: there is none; near misses are suggested.
    """
    from rollout_sdk.wire.v1 import control_pb2

    kind, key = split(text)
    connection = session.connection
    for candidate in (kind,) if kind else _BARE:
        request = control_pb2.GetResourceRequest(kind=candidate, key=key, at=point)
        try:
            return connection.ask(connection.stub.GetResource, request)
        except ServerRefused as refused:
            if refused.code != "not_found":
                raise
    raise missing(session, text, kind)


def missing(session: Session, text: str, kind: str) -> ServerRefused:
    """Return the refusal of a name that is not there, with what is near it."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    listed = connection.ask(connection.stub.ListResources, control_pb2.ListResourcesRequest(kind=kind)).resources
    key = text.rpartition("/")[2]
    near = did_you_mean(key, [item.document.key for item in listed])
    what = f"{kind.lower()} {key!r}" if kind else f"resource {key!r}"
    kinds = _WORDS.get(kind, "")
    return ServerRefused(
        f"there is no {what} in {session.environment()}",
        near or f"see what there is: rollout get {kinds}".rstrip(),
        code="not_found",
    )


def named(message: control_pb2.ResourceChange) -> str:
    """Return "flag/checkout-v2" of a change."""
    return messages.resource_id(message.kind, message.key)


def near(session: Session, refused: ServerRefused, key: str) -> ServerRefused:
    """Return the refusal of a call about a flag; where there is no such flag, with what is near it."""
    if refused.code != "not_found" or refused.hint:
        return refused
    return missing(session, key, "Flag")
