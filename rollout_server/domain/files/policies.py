"""Channels and policies between files and the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rollout_sdk.engine.limits import REGEX_BYTES
from rollout_server.domain.files import paths
from rollout_server.domain.files.bounds import (
    ARGUMENTS_MAX,
    MEMBERS_MAX,
    OWNER_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
)
from rollout_server.domain.files.fields import Fields, unique, words
from rollout_server.domain.files.pipelines import read_approval, write_approval
from rollout_server.domain.resources import PLANNED
from rollout_server.domain.rollouts import Approval, ChannelSpec, PolicySpec, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.engine.model import Json
    from rollout_server.domain.files.shape import Reading

T = TypeVar("T")

CHANNEL_FIELDS = (*words(Transport), "secret")
SECRET_FIELDS = ("env",)
POLICY_FIELDS = ("groups", "approvals", "names", "require")
REQUIRABLE = ("owner", "description", "tags", "expires")
"""Metadata that a policy may ask for."""

KINDS = tuple(kind.value for kind in PLANNED)
"""Kinds that a policy may speak of: those that people write."""

_CHANNEL_HINT = 'write webhook: "https://...", command: [PROGRAM, ARGUMENT, ...] or apprise: URL'

_NOTHING: tuple[str, ...] = ("",)


def read_channel(reading: Reading, tree: object) -> ChannelSpec:
    """Read a channel's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", CHANNEL_FIELDS, "the spec of a channel")
    named = [transport for transport in Transport if transport.value in fields]
    if len(named) != 1 and isinstance(tree, dict):
        found = " and ".join(transport.value for transport in named) if named else "none of them"
        message = f"a channel is one of {', '.join(words(Transport))}, this has {found}"
        reading.refuse("spec", "bad_channel", message, _CHANNEL_HINT)
    transport = named[0] if named else Transport.WEBHOOK
    said = fields.get(transport.value, _command if transport is Transport.COMMAND else _url, _NOTHING)
    return ChannelSpec(transport, said[0], said[1:], fields.get("secret", _secret, ""))


def _url(reading: Reading, value: object, path: str) -> tuple[str, ...]:
    return (_bounded(reading, value, path, "a URL", URL_CHARACTERS_MAX),)


def _command(reading: Reading, tree: object, path: str) -> tuple[str, ...]:
    if not isinstance(tree, list) or not tree:
        reading.wanted(tree, path, "a list of a program and its arguments" if tree else "a list")
        return _NOTHING
    if len(tree) > ARGUMENTS_MAX:
        reading.refuse(path, "too_many", f"at most {ARGUMENTS_MAX} words, these are {len(tree)}", "write a script")
    return reading.items(tree, path, lambda one, place: _bounded(reading, one, place, "a word", URL_CHARACTERS_MAX))


def _secret(reading: Reading, tree: object, path: str) -> str:
    fields = Fields(reading, tree, path, SECRET_FIELDS, "where the secret is")
    hint = "name the environment variable of the server that holds it; the secret itself never stands in a file"
    return fields.need(
        "env",
        lambda one, value, place: _bounded(one, value, place, "a variable's name", OWNER_CHARACTERS_MAX),
        "",
        hint,
    )


def _bounded(reading: Reading, value: object, path: str, what: str, characters_max: int) -> str:
    text = reading.text(value, path, what)
    if len(text) > characters_max:
        message = f"{what} has at most {characters_max} characters, this has {len(text)}"
        reading.refuse(path, "too_long", message, "shorten it")
    return text


def write_channel(spec: ChannelSpec) -> dict[str, Json]:
    """Return the spec's map."""
    is_command = spec.transport is Transport.COMMAND
    tree: dict[str, Json] = {spec.transport.value: [spec.target, *spec.arguments] if is_command else spec.target}
    if spec.secret_env:
        tree["secret"] = {"env": spec.secret_env}
    return tree


def read_policy(reading: Reading, tree: object) -> PolicySpec:
    """Read a policy's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", POLICY_FIELDS, "the spec of a policy")
    return PolicySpec(
        groups=fields.get("groups", _groups, ()),
        approvals=fields.get("approvals", _approvals, ()),
        names=fields.get("names", _names, ()),
        require=fields.get("require", _require, ()),
    )


def _groups(reading: Reading, tree: object, path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    def group(name: object, place: str) -> str:
        return reading.key(name, place, "a group")

    def members(value: object, place: str) -> tuple[str, ...]:
        people = reading.texts(value, place, "a person", characters_max=OWNER_CHARACTERS_MAX)
        if len(people) > MEMBERS_MAX:
            message = f"at most {MEMBERS_MAX} people in a group, these are {len(people)}"
            reading.refuse(place, "too_many", message, "make several groups of it")
        return people

    return _map(reading, tree, path, "a map of groups to the people in them", group, members)


def _approvals(reading: Reading, tree: object, path: str) -> tuple[tuple[str, Approval], ...]:
    what = "a map of kinds to who approves them"
    return _map(reading, tree, path, what, _kind(reading), lambda value, place: read_approval(reading, value, place))


def _names(reading: Reading, tree: object, path: str) -> tuple[tuple[str, str], ...]:
    def pattern(value: object, place: str) -> str:
        return _bounded(reading, value, place, "a pattern", REGEX_BYTES)

    return _map(reading, tree, path, "a map of kinds to patterns", _kind(reading), pattern)


def _kind(reading: Reading) -> Callable[[object, str], str]:
    def read(name: object, path: str) -> str:
        text = reading.text(name, path, "a kind")
        if text and text not in KINDS:
            reading.unknown(path, "kind", text, KINDS)
        return text

    return read


def _map(
    reading: Reading,
    tree: object,
    path: str,
    what: str,
    read_name: Callable[[object, str], str],
    read: Callable[[object, str], T],
) -> tuple[tuple[str, T], ...]:
    if not isinstance(tree, dict):
        reading.wanted(tree, path, what)
        return ()
    found = []
    for name, value in tree.items():
        place = paths.child(path, str(name))
        found.append((reading.name(read_name, name, place), read(value, place)))
    return tuple(found)


def _require(reading: Reading, tree: object, path: str) -> tuple[str, ...]:
    def one(value: object, place: str) -> str:
        if value not in REQUIRABLE:
            reading.unknown(place, "field", value, REQUIRABLE)
        return str(value)

    return reading.items(tree, path, one)


def write_policy(spec: PolicySpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out.

    Raises:
        ValueError: a group or a kind is there twice, which no file can say.
    """
    tree: dict[str, Json] = {}
    if spec.groups:
        tree["groups"] = unique((name, list(people)) for name, people in spec.groups)
    if spec.approvals:
        tree["approvals"] = unique((kind, write_approval(one)) for kind, one in spec.approvals)
    if spec.names:
        tree["names"] = unique(spec.names)
    if spec.require:
        tree["require"] = list(spec.require)
    return tree
