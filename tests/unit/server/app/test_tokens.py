"""Tokens: make, list, revoke, find out who is calling."""

from __future__ import annotations

import pytest

from rollout_server.app.environment import Environment
from rollout_server.app.tokens import (
    CreateToken,
    RevokeToken,
    authenticate,
    bootstrap,
    create_token,
    is_standing,
    list_tokens,
    revoke_token,
)
from rollout_server.domain.journal import Change, Draft
from rollout_server.domain.resources import Kind, Metadata, Resource, ResourceId, TokenSpec, TokenStatus
from rollout_server.domain.rights import Role
from rollout_server.domain.tokens import LIFETIMES_MS, token_hash
from rollout_server.errors import Conflict, Forbidden, InvalidInput, NotFound
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, opened, under

WEEK_MS = 7 * 86_400_000


async def test_a_token_names_its_environment_and_its_person() -> None:
    """Who shows a token is known by it: environment, person, prefix and role."""
    async with opened(MemoryJournal("production")) as production, opened(MemoryJournal("staging")) as staging:
        made = await create_token(staging, CreateToken("viewer", "tom@example.com"), MIA)
        environment, actor = authenticate([production, staging], made.secret)
        assert environment is staging
        assert (actor.person, actor.token_id, actor.role) == ("tom@example.com", made.token.id, Role.VIEWER)
        assert actor.label == f"tom@example.com ({made.token.id})"
        with pytest.raises(Forbidden):
            authenticate([production], made.secret)


async def test_the_secret_is_kept_nowhere() -> None:
    """The journal holds the hash; neither the secret nor a part of it is written."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        made = await create_token(environment, CreateToken("sdk", "shop", intent=under("key-1")), MIA)
        stored = b"".join(line.body for line in journal._lines).decode()
        assert made.secret.rsplit("_", 1)[1] not in stored
        assert token_hash(made.secret) in stored
        repeated = await create_token(environment, CreateToken("sdk", "shop", intent=under("key-1")), MIA)
        assert repeated.secret == ""
        assert (repeated.token, repeated.entry) == (made.token, made.entry)
        assert len(list_tokens(environment)) == 1


async def test_two_tokens_are_never_alike() -> None:
    """Every token has 256 bits of its own, and an id that no other token here had."""
    async with opened() as environment:
        made = [await create_token(environment, CreateToken("sdk", "shop"), MIA) for _ in range(50)]
        assert len({one.secret for one in made}) == len({one.token.id for one in made}) == 50


@pytest.mark.parametrize("change", ["", "wrong", "id", "case", "prefix"])
async def test_a_wrong_token_is_forbidden(change: str) -> None:
    """Missing, of another secret, of another id, cut or changed: the answer is the same."""
    async with opened() as environment:
        secret = (await create_token(environment, CreateToken("admin", "mia"), MIA)).secret
        wrong = {
            "": "",
            "wrong": secret[:-1] + ("a" if secret[-1] != "a" else "b"),
            "id": "rg_00000000" + secret[11:],
            "case": secret.swapcase(),
            "prefix": secret[3:],
        }[change]
        with pytest.raises(Forbidden, match="missing or not known"):
            authenticate([environment], wrong)


async def test_an_expired_token_opens_nothing() -> None:
    """By default a role's lifetime holds; when it is over, only who holds the secret learns that it expired."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        made = await create_token(environment, CreateToken("operator", "tom"), MIA)
        assert made.token.expires_at_ms == START_MS + LIFETIMES_MS[Role.OPERATOR]
        clock.advance(LIFETIMES_MS[Role.OPERATOR] - 1)
        authenticate([environment], made.secret)
        assert is_standing(environment, made.token.id)
        clock.advance(1)
        assert not is_standing(environment, made.token.id)
        with pytest.raises(Forbidden, match="is expired"):
            authenticate([environment], made.secret)


async def test_a_revoked_token_opens_nothing() -> None:
    """Revocation holds at once, is told once, and is not undone by a repeat."""
    async with opened() as environment:
        made = await create_token(environment, CreateToken("admin", "tom"), MIA)
        entry = await revoke_token(environment, RevokeToken(made.token.id), MIA)
        assert entry is not None
        assert await revoke_token(environment, RevokeToken(made.token.id), MIA) is None
        assert not is_standing(environment, made.token.id)
        with pytest.raises(Forbidden, match="is revoked"):
            authenticate([environment], made.secret)
        assert [view.revoked_at_ms for view in list_tokens(environment)] == [START_MS]
        with pytest.raises(NotFound):
            await revoke_token(environment, RevokeToken("00000000"), MIA)
        assert not is_standing(environment, "00000000")


async def test_all_problems_of_a_wish_are_told_at_once() -> None:
    """Role, person and lifetime are checked together, and nothing is written."""
    async with opened() as environment:
        with pytest.raises(InvalidInput) as refusal:
            await create_token(environment, CreateToken("king", " ", START_MS), MIA)
        assert [problem.path for problem in refusal.value.problems] == ["role", "person", "expires_at_ms"]
        for wrong in ("two\nlines", "x" * 257, "\u202eevil"):
            with pytest.raises(InvalidInput):
                await create_token(environment, CreateToken("sdk", wrong), MIA)
        with pytest.raises(InvalidInput):
            await create_token(environment, CreateToken("sdk", "shop", START_MS + 10 * 365 * 86_400_000), MIA)
        assert environment.position.revision == 0


async def test_a_key_that_comes_back_with_another_wish_is_a_conflict() -> None:
    """One key stands for one request."""
    async with opened() as environment:
        await create_token(environment, CreateToken("sdk", "shop", intent=under("key-1")), MIA)
        with pytest.raises(Conflict):
            await create_token(environment, CreateToken("admin", "shop", intent=under("key-1")), MIA)


async def test_the_first_token_is_made_once() -> None:
    """A server that starts finds a valid admin token, or makes one; never two, and again only after all have fallen."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        await create_token(environment, CreateToken("viewer", "tom"), MIA)
        secret = await bootstrap(environment)
        assert secret is not None
        _, actor = authenticate([environment], secret)
        assert actor.role is Role.ADMIN
        assert await bootstrap(environment) is None
        await revoke_token(environment, RevokeToken(actor.token_id), MIA)
        assert await bootstrap(environment) is not None
        clock.advance(LIFETIMES_MS[Role.ADMIN])
        assert await bootstrap(environment) is not None


async def test_a_role_of_a_later_release_opens_nothing() -> None:
    """Deny by default: what this release does not know it does not let in."""
    async with opened() as environment:
        secret = await _stored_by_a_later_release(environment)
        with pytest.raises(Forbidden, match="does not know"):
            authenticate([environment], secret)
        assert await bootstrap(environment) is not None


async def _stored_by_a_later_release(environment: Environment) -> str:
    text = "rg_0a0a0a0a_" + "x" * 43
    spec = TokenSpec(token_hash(text), "emperor", "tom", START_MS, START_MS + WEEK_MS)
    token = Resource(Kind.TOKEN, Metadata("0a0a0a0a"), spec, TokenStatus())
    await environment.commit(Draft({}, (Change(ResourceId(Kind.TOKEN, "0a0a0a0a"), token),), "x", "create", START_MS))
    return text
