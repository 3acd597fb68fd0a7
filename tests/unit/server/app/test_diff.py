"""Diff: what differs between two points, or a point and documents."""

from __future__ import annotations

import pytest

from rollout_server.app.diff import Diff, diff
from rollout_server.app.kill import Kill, kill
from rollout_server.app.moments import At
from rollout_server.app.tokens import CreateToken, create_token
from rollout_server.domain.diff import Operation
from rollout_server.errors import InvalidInput, NotFound
from tests.small_environment import MIA, cohort, delete, flag, flag_id, opened, put

QUARTER = {"split": {"on": "25%", "off": "75%"}}


async def test_two_points_differ_in_what_changed_between_them() -> None:
    """Created, updated, deleted, killed; by kind and key; tokens are nobody's to see here."""
    async with opened() as environment:
        await put(environment, flag("a"), flag("gone"), flag("same"))
        await put(environment, flag("a", QUARTER), cohort("beta", "u-1"))
        await delete(environment, flag_id("gone"))
        await create_token(environment, CreateToken("sdk", "shop"), MIA)
        await kill(environment, Kill("same"), MIA)
        changes = await diff(environment, Diff(At(revision=1)))
        assert [(str(change.id), change.operation) for change in changes] == [
            ("cohort/beta", Operation.CREATE),
            ("flag/a", Operation.UPDATE),
            ("flag/gone", Operation.DELETE),
            ("flag/same", Operation.UPDATE),
        ]
        assert await diff(environment, Diff(At(revision=2), At(revision=2))) == ()
        back = await diff(environment, Diff(At(revision=5), At(revision=1)))
        assert [change.operation for change in back][:2] == [Operation.DELETE, Operation.UPDATE]


async def test_documents_are_compared_by_what_people_write() -> None:
    """A kill is no difference to a file; what the file does not hold is one."""
    async with opened() as environment:
        await put(environment, flag("a"), flag("b"))
        await kill(environment, Kill("a"), MIA)
        changes = await diff(environment, Diff(At(), documents=(flag("a"), flag("new"))))
        assert [(str(change.id), change.operation) for change in changes] == [
            ("flag/b", Operation.DELETE),
            ("flag/new", Operation.CREATE),
        ]
        with pytest.raises(InvalidInput):
            await diff(environment, Diff(At(), documents=(flag("a", {"server": "on"}),)))
        with pytest.raises(NotFound):
            await diff(environment, Diff(At(revision=99)))
