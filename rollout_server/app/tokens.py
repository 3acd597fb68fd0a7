"""Tokens: make, list, revoke, and find out who is calling."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.relaying import TokenHash, Tokens
from rollout_server.app.actor import Actor
from rollout_server.app.intent import NO_INTENT, Intent, fingerprint
from rollout_server.app.near_miss import cut
from rollout_server.app.transaction import Composed, Request, transact
from rollout_server.domain import tokens
from rollout_server.domain.journal import Change
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, TokenSpec, TokenStatus
from rollout_server.domain.rights import Role
from rollout_server.errors import Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry
    from rollout_server.ports import Clock

PERSON_CHARACTERS_MAX = 256
ROLES = tuple(role.value for role in Role)
_TOKEN_HINT = "`rollout token create` makes one; ROLLOUT_TOKEN or the context file gives it to the command line"  # noqa: S105 - a hint, not a token


class Keyring(Protocol):
    """What knows the tokens of an environment: the environment, or the relay of one."""

    @property
    def name(self) -> str:
        """The environment's."""

    @property
    def clock(self) -> Clock:
        """By which tokens expire."""

    def resource(self, resource_id: ResourceId) -> Resource | None:
        """Return a token as it stands."""


AnyKeyring = TypeVar("AnyKeyring", bound=Keyring)


@dataclass(frozen=True, slots=True)
class CreateToken:
    """Make a token.

    Attributes:
        role: one of `domain.rights.Role`'s values.
        person: who answers for it.
        expires_at_ms: Unix epoch, UTC; 0 takes the default lifetime of the role.
    """

    role: str
    person: str
    expires_at_ms: int = 0
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Revoke the token with this visible prefix."""

    id: str
    intent: Intent = NO_INTENT


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as people may see it."""

    id: str
    role: str
    person: str
    created_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token.

    Attributes:
        secret: shown this once; empty where this call repeats an earlier one, whose secret is not kept.
    """

    secret: str
    token: TokenView
    entry: Entry


async def create_token(environment: Environment, command: CreateToken, actor: Actor) -> CreatedToken:
    """Make a token of 256 random bits and keep its hash.

    Raises:
        InvalidInput: an unknown role, no person, or an end in the past or too far away.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """
    now_ms = environment.clock.now_ms()
    _check(command, now_ms)
    role = Role(command.role)
    expires_at_ms = command.expires_at_ms or now_ms + tokens.LIFETIMES_MS[role]

    async def compose() -> Composed[str]:
        text = _new_text(environment)
        key = tokens.token_id(text) or ""
        spec = TokenSpec(tokens.token_hash(text), role.value, command.person, now_ms, expires_at_ms)
        token = Resource(Kind.TOKEN, Metadata(key, owner=command.person), spec, TokenStatus())
        return Composed({token.id: 0}, (Change(token.id, token),), text)

    print_ = fingerprint("create token", command.role, command.person, command.expires_at_ms)
    request = Request("create token", actor.label, command.intent, print_)
    written = await transact(environment, request, compose)
    if written.entry is None or written.entry.changes[0].after is None:
        raise AssertionError("a token was made, so an entry was written")
    return CreatedToken(written.answer or "", _view(written.entry.changes[0].after), written.entry)


async def revoke_token(environment: Environment, command: RevokeToken, actor: Actor) -> Entry | None:
    """Revoke it from now on; None where it already was. The last admin's too: a restart makes a new one.

    Raises:
        NotFound: there is no such token here.
        Conflict: the idempotency key was used for another request.
        Unavailable: the store is away.
    """
    token_id = ResourceId(Kind.TOKEN, command.id)

    async def compose() -> Composed[None]:
        token = environment.resource(token_id)
        if token is None or not isinstance(token.status, TokenStatus):
            raise NotFound("token", cut(command.id), "`rollout token list` shows the visible prefix of each")
        if token.status.revoked_at_ms:
            return Composed({}, (), None)
        after = replace(token, status=TokenStatus(revoked_at_ms=max(environment.clock.now_ms(), 1)))
        return Composed({token_id: token.version}, (Change(token_id, after),), None)

    request = Request("revoke token", actor.label, command.intent, fingerprint("revoke token", command.id))
    return (await transact(environment, request, compose)).entry


def list_tokens(environment: Environment) -> tuple[TokenView, ...]:
    """Return every token, oldest first."""
    views = [_view(one) for id_, one in environment.state.resources.items() if id_.kind is Kind.TOKEN]
    return tuple(sorted(views, key=lambda view: (view.created_at_ms, view.id)))


def authenticate(environments: Iterable[AnyKeyring], secret: str) -> tuple[AnyKeyring, Actor]:
    """Find out who is calling, and which environment the token names.

    An unknown id costs the same work as a wrong secret, in every environment.

    Raises:
        Forbidden: missing, wrong, expired or revoked.
    """
    token_id = tokens.token_id(secret) or ""
    found: tuple[AnyKeyring, TokenSpec, TokenStatus] | None = None
    for environment in environments:
        spec, status = _stored(environment, token_id)
        if tokens.is_same(secret, spec.hash if spec else None) and spec is not None:
            found = (environment, spec, status)
    if found is None:
        raise Forbidden("the token is missing or not known here", _TOKEN_HINT)
    environment, spec, status = found
    fallen = tokens.why_fallen(spec, status, environment.clock.now_ms())
    if spec.role not in ROLES:
        fallen = f"of a role that this release does not know, {spec.role!r}"
    if fallen:
        raise Forbidden(f"the token {token_id} is {fallen}", _TOKEN_HINT)
    return environment, Actor(spec.person, token_id, Role(spec.role))


def is_standing(environment: Keyring, token_id: str) -> bool:
    """Say whether the token still opens the door: neither revoked, expired nor gone. For streams that stay open."""
    spec, status = _stored(environment, token_id)
    return spec is not None and not tokens.why_fallen(spec, status, environment.clock.now_ms())


def is_of_a_process(environment: Keyring, token_id: str) -> bool:
    """Say whether a token stands, and is one that processes come with."""
    spec, status = _stored(environment, token_id)
    stands = spec is not None and not tokens.why_fallen(spec, status, environment.clock.now_ms())
    return stands and spec is not None and spec.role == Role.SDK.value


def tokens_of_processes(environment: Environment) -> Tokens:
    """Return what a relay has to know to let processes in: no secret, and no token of a person."""
    known = (
        TokenHash(id_.key, token.spec.hash, token.spec.expires_at_ms)
        for id_, token in environment.state.resources.items()
        if id_.kind is Kind.TOKEN and isinstance(token.spec, TokenSpec) and is_of_a_process(environment, id_.key)
    )
    return Tokens(environment.name, tuple(sorted(known, key=lambda one: one.id)))


async def bootstrap(environment: Environment) -> str | None:
    """Make an admin token where no valid one exists; return its text, which is kept nowhere else, else None."""
    for view in list_tokens(environment):
        if view.role == Role.ADMIN.value and is_standing(environment, view.id):
            return None
    server = Actor("rollout-server", "at start", Role.ADMIN)
    created = await create_token(environment, CreateToken(Role.ADMIN.value, "first-admin"), server)
    return created.secret


def _check(command: CreateToken, now_ms: int) -> None:
    problems = []
    if command.role not in ROLES:
        hint = f"use one of {', '.join(ROLES)}"
        problems.append(Problem("", "role", "unknown_role", f"there is no role {command.role[:40]!r}", hint))
    person = command.person
    if not person.strip() or len(person) > PERSON_CHARACTERS_MAX or not person.isprintable():
        hint = f"give an address or a service's name, one visible line of at most {PERSON_CHARACTERS_MAX} characters"
        problems.append(Problem("", "person", "bad_person", "a token needs somebody who answers for it", hint))
    if command.expires_at_ms:
        if command.expires_at_ms <= now_ms:
            hint = "give a later time, or none for the default of the role"
            problems.append(Problem("", "expires_at_ms", "in_the_past", "the token would be born expired", hint))
        elif command.expires_at_ms - now_ms > tokens.LIFETIME_MAX_MS:
            hint = "a token lives five years at most; make the next one before it ends"
            problems.append(Problem("", "expires_at_ms", "too_late", "the token would live too long", hint))
    if problems:
        raise InvalidInput(problems)


def _new_text(environment: Environment) -> str:
    """An id that is free: it is short, and names the token for good, revoked ones included."""
    while True:
        text = tokens.token_text(secrets.token_bytes(tokens.ID_BYTES), secrets.token_bytes(tokens.SECRET_BYTES))
        if environment.resource(ResourceId(Kind.TOKEN, tokens.token_id(text) or "")) is None:
            return text


def _stored(environment: Keyring, token_id: str) -> tuple[TokenSpec | None, TokenStatus]:
    token = environment.resource(ResourceId(Kind.TOKEN, token_id))
    if token is None or not isinstance(token.spec, TokenSpec) or not isinstance(token.status, TokenStatus):
        return None, TokenStatus()
    return token.spec, token.status


def _view(token: Resource) -> TokenView:
    if not isinstance(token.spec, TokenSpec) or not isinstance(token.status, TokenStatus):
        raise TypeError(f"{token.id} holds no token")
    spec = token.spec
    return TokenView(
        token.metadata.key, spec.role, spec.person, spec.created_at_ms, spec.expires_at_ms, token.status.revoked_at_ms
    )
