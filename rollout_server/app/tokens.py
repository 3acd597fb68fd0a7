"""Tokens: make, list, revoke, and find out who is calling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.app.intent import Intent

if TYPE_CHECKING:
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.domain.journal import Entry
    from rollout_server.domain.rights import Role


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
    intent: Intent = Intent()


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Revoke the token with this visible prefix."""

    id: str
    intent: Intent = Intent()


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as people may see it."""

    id: str
    role: Role
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


async def revoke_token(environment: Environment, command: RevokeToken, actor: Actor) -> Entry | None:
    """Revoke it from now on; None where it already was.

    Raises:
        NotFound: there is no such token here.
        Refused: "last-admin", nobody could make a token afterwards.
        Unavailable: the store is away.
    """


def list_tokens(environment: Environment) -> tuple[TokenView, ...]:
    """Return every token, oldest first."""


def authenticate(environments: Iterable[Environment], secret: str) -> tuple[Environment, Actor]:
    """Find out who is calling, and which environment the token names.

    Takes the same time for an unknown token as for a wrong secret.

    Raises:
        Forbidden: missing, wrong, expired or revoked.
    """


def is_standing(environment: Environment, token_id: str) -> bool:
    """Say whether the token still opens the door: neither revoked, expired nor deleted. For streams that stay open."""


async def bootstrap(environment: Environment) -> str | None:
    """Make an admin token where the environment has no valid one; return its secret, which is kept nowhere else."""
