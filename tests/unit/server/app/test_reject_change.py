"""Saying no, and withdrawing."""

from __future__ import annotations

import pytest

from rollout_server.domain.changes import ChangeState
from rollout_server.errors import Forbidden, Refused
from tests.small_approvals import (
    ADMIN,
    AUTHOR,
    GROWS,
    KAI,
    STRANGER,
    approve,
    ask,
    guarded,
    policy,
    reject,
    serves_on,
)
from tests.small_environment import flag


@pytest.mark.parametrize(("who", "because"), [(KAI, ""), (AUTHOR, "withdrawn by its author"), (ADMIN, "")])
async def test_who_is_asked_who_asked_and_admins_may_end_it(who: object, because: str) -> None:
    """The change is over for good; nothing was applied, and no is said once."""
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        done = await reject(environment, 1, who)  # type: ignore[arg-type]  # an actor
        assert done.entry is not None
        assert done.entry.action == "reject change"
        assert (done.change.status.state, done.change.status.because) == (ChangeState.REJECTED, because)
        assert done.change.ended_revision == done.entry.revision
        assert (done.change.missing, done.change.spec.documents) == ((), ())
        assert not serves_on(environment, "a")
        assert (await reject(environment, 1, who)).entry is None  # type: ignore[arg-type]  # an actor


async def test_others_may_not() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        with pytest.raises(Forbidden, match=r"eve@example\.com is not asked about change/1"):
            await reject(environment, 1, STRANGER)


async def test_what_is_over_is_not_rejected() -> None:
    async with guarded(policy()) as environment:
        await ask(environment, flag("a", GROWS))
        await approve(environment, 1, KAI)
        with pytest.raises(Refused, match="change/1 was applied"):
            await reject(environment, 1, AUTHOR)
