"""What the Tab key offers where a command takes the key of a resource: those that the server has.

A shell waits for it at a prompt, so it gives up soon, and says nothing where nothing can be had: no server, no token,
no right to look. Commands import this for their arguments; the way to a server is loaded when somebody presses Tab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rollout_server.cli import messages, references
from rollout_server.cli import target as targets
from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import click

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.connection import Connection

CALL_TIMEOUT_MS = 500
"""For one call; at most two are made."""

_ANY = tuple(dict.fromkeys(references.KINDS.values()))


def flags(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer flags."""
    return _offered(ctx, typed, ("Flag",), ("Flag",))


def rollouts(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer rollouts, and the flags that they move: either is taken where a rollout is wanted."""
    return _offered(ctx, typed, ("Rollout",), ("Rollout",))


def freezes(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer freezes."""
    return _offered(ctx, typed, ("Freeze",), ("Freeze",))


def resources(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Offer flags and rollouts; of any kind once that is typed, as in "cohort/"."""
    return _offered(ctx, typed, ("Flag", "Rollout"), _ANY)


def kinds_and_resources(ctx: click.Context, param: click.Parameter, typed: str) -> list[str]:
    """Offer kinds, as lists of them are asked for, and what `resources` offers."""
    return [*(word for word in sorted(references.LISTS) if word.startswith(typed)), *resources(ctx, param, typed)]


def _offered(ctx: click.Context, typed: str, bare: Sequence[str], allowed: Sequence[str]) -> list[str]:
    """Return what begins as typed, each once and in order.

    Args:
        ctx: of the command, whose session knows where to ask.
        typed: so far.
        bare: kinds that a key without a kind may be of.
        allowed: kinds that may stand before a slash.
    """
    word, slash, _ = typed.partition("/")
    kind = references.KINDS.get(word.lower(), "")
    session = ctx.find_object(Session)
    if session is None or (slash and kind not in allowed):
        return []
    found: set[str] = set()
    try:
        for each in (kind,) if slash else bare:
            found.update(f"{word}/{key}" if slash else key for key in _keys(session, each, with_flags=not slash))
    except CommandFailed:
        return []
    return sorted(one for one in found if one.startswith(typed))


def _keys(session: Session, kind: str, *, with_flags: bool) -> Iterable[str]:
    """Ask for the keys of a kind, beside rollouts those of their flags; what would be warned of is left to commands.

    Raises:
        CommandFailed: it is not known where to ask, or nobody answers in time.
    """
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.connection import Connection

    connection = Connection(targets.resolve(session.choice, session.world.environ))
    try:
        listed = _listed(connection, control_pb2.ListResourcesRequest(kind=kind))
    finally:
        connection.close()
    for item in listed:
        yield item.document.key
        if with_flags and kind == "Rollout" and (flag := _flag_of(item)):
            yield flag


def _listed(connection: Connection, request: control_pb2.ListResourcesRequest) -> Sequence[control_pb2.Resource]:
    return connection.ask(connection.stub.ListResources, request, timeout_ms=CALL_TIMEOUT_MS).resources


def _flag_of(rollout: control_pb2.Resource) -> str:
    document = messages.parsed(rollout.document.json)
    spec = document.get("spec") if isinstance(document, Mapping) else None
    flag = spec.get("flag") if isinstance(spec, Mapping) else None
    return flag if isinstance(flag, str) else ""
