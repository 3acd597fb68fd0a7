"""Approvals over real gRPC: people with tokens of their own, and a server that keeps what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.small_server import Person, bearer, channel_to, document, flag, serving, world

PEOPLE = ["mia@example.com", "kai@example.com", "ann@example.com"]
GROWS = flag("checkout", "on")


def policy(count: int, **kinds: int) -> pb.Document:
    asked = {kind: {"from": "managers", "count": one} for kind, one in (kinds or {"Flag": count}).items()}
    return document("Policy", "production", {"groups": {"managers": PEOPLE}, "approvals": asked})


async def person(admin: Person, name: str, role: str) -> Person:
    """Somebody with a token that an admin made."""
    request = pb.CreateTokenRequest(role=role, person=f"{name}@example.com")
    made = await admin.stub.CreateToken(request, metadata=admin.metadata)
    return Person(admin.channel, bearer(made.secret))


async def approve(who: Person, number: int, **intent: str) -> pb.ApproveChangeResponse:
    request = pb.ApproveChangeRequest(intent=pb.Intent(**intent), number=number)
    return await who.stub.ApproveChange(request, metadata=who.metadata)


async def reject(who: Person, number: int) -> pb.RejectChangeResponse:
    return await who.stub.RejectChange(pb.RejectChangeRequest(number=number), metadata=who.metadata)


async def described(who: Person, number: int) -> pb.GetChangeResponse:
    return await who.stub.GetChange(pb.GetChangeRequest(number=number), metadata=who.metadata)


async def listed(who: Person, **options: Any) -> dict[int, str]:
    answer = await who.stub.ListChanges(pb.ListChangesRequest(**options), metadata=who.metadata)
    return {one.number: pb.ChangeState.Name(one.state).removeprefix("CHANGE_STATE_") for one in answer.changes}


async def default_of(who: Person, key: str) -> str:
    answer = await who.stub.GetResource(pb.GetResourceRequest(kind="Flag", key=key), metadata=who.metadata)
    return str(answer.resource.document.json)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


@dataclass
class House:
    """A server with a policy, and the people of it."""

    admin: Person
    mia: Person
    kai: Person
    ann: Person
    eve: Person


@asynccontextmanager
async def house(data: Path, count: int = 2) -> AsyncIterator[House]:
    async with world(data) as here:
        await here.admin.apply(flag("checkout"), flag("search"), policy(count))
        roles = {"mia": "author", "kai": "approver", "ann": "approver", "eve": "approver"}
        yield House(here.admin, *[await person(here.admin, name, role) for name, role in roles.items()])


async def test_a_change_waits_for_two_people_and_is_applied_by_the_second(tmp_path: Path) -> None:
    """Asked, listed, described, approved: the entry names everybody, and the plan is the one that was stored."""
    async with house(tmp_path) as here:
        asked = await here.mia.apply(GROWS)
        assert not asked.HasField("entry")
        assert (asked.change.number, asked.change.author) == (1, "mia@example.com")
        assert (await here.mia.status()).changes_waiting == 1
        assert await listed(here.kai) == {1: "WAITING"}
        told = await described(here.ann, 1)
        assert [(one.key, one.operation) for one in told.plan.changes] == [("checkout", pb.OPERATION_UPDATE)]
        assert (told.plan.hash, told.plan.shrinks) == (asked.change.plan_hash, False)
        assert [(one.group, one.count) for one in told.plan.approvals] == [("managers", 2)]
        assert told.moves
        first = await approve(here.kai, 1, reason="fine")
        assert first.entry.revision
        assert [(one.count, list(one.people)) for one in first.change.missing] == [(1, ["ann@example.com"])]
        assert '"on"' not in await default_of(here.mia, "checkout")
        last = await approve(here.ann, 1)
        assert last.change.state == pb.CHANGE_STATE_APPLIED
        assert last.change.ended_revision == last.entry.revision
        assert last.entry.action == "apply"
        assert last.entry.actor.startswith("ann@example.com (")
        assert last.entry.reason == "change/1 by mia@example.com, approved by kai@example.com and ann@example.com"
        assert '"on"' in await default_of(here.mia, "checkout")
        assert (await here.mia.status()).changes_waiting == 0
        assert await listed(here.kai) == {}
        assert await listed(here.kai, all=True) == {1: "APPLIED"}
        assert (await described(here.ann, 1)).plan == told.plan


async def test_who_may_not_is_told_so(tmp_path: Path) -> None:
    """By role, by authorship with a second token, and by group."""
    async with house(tmp_path, count=1) as here:
        await here.mia.apply(GROWS)
        second = await person(here.admin, "mia", "approver")
        for nobody in (here.mia, second, here.eve, here.admin):
            code, _ = await refused(approve(nobody, 1))
            assert code is grpc.StatusCode.PERMISSION_DENIED
        assert (await refused(reject(here.eve, 1)))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert (await refused(approve(here.kai, 7)))[0] is grpc.StatusCode.NOT_FOUND
        assert await listed(here.kai) == {1: "WAITING"}


async def test_what_makes_safer_goes_through_at_once(tmp_path: Path) -> None:
    """Beside a change that waits, which is void by it, in the same entry."""
    async with house(tmp_path, count=1) as here:
        await here.mia.apply(GROWS)
        killed = await here.mia.kill("checkout")
        assert [one.kind for one in killed.entry.changes] == ["Flag", "Change"]
        code, told = await refused(approve(here.kai, 1))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert told == "change/1 was voided: kill changed flag/checkout"
        change = (await described(here.kai, 1)).change
        assert (change.state, change.ended_by, change.ended_revision) == (
            pb.CHANGE_STATE_VOIDED,
            "mia@example.com",
            killed.entry.revision,
        )


async def test_its_author_withdraws_it_and_a_revert_waits_too(tmp_path: Path) -> None:
    async with house(tmp_path, count=1) as here:
        await here.mia.apply(GROWS)
        assert (await reject(here.mia, 1)).change.state == pb.CHANGE_STATE_REJECTED
        await here.mia.apply(GROWS)
        await approve(here.kai, 2)
        shrunk = await here.mia.apply(flag("checkout"))
        assert shrunk.entry.revision
        request = pb.RevertRequest(revision=shrunk.entry.revision)
        back = await here.mia.stub.Revert(request, metadata=here.mia.metadata)
        assert (back.HasField("entry"), back.change.action, back.change.reverts) == (
            False,
            "revert",
            shrunk.entry.revision,
        )
        assert (await approve(here.ann, 3)).entry.action == "revert"


async def test_an_approval_that_is_repeated_is_given_once(tmp_path: Path) -> None:
    """Under its idempotency key, also after it applied."""
    async with house(tmp_path) as here:
        await here.mia.apply(GROWS)
        once = await approve(here.kai, 1, idempotency_key="k")
        again = await approve(here.kai, 1, idempotency_key="k")
        assert again.entry == once.entry
        last = await approve(here.ann, 1, idempotency_key="l")
        assert (await approve(here.ann, 1, idempotency_key="l")).entry == last.entry
        assert not (await approve(here.kai, 1)).HasField("entry")


async def test_all_at_once_apply_it_once(tmp_path: Path) -> None:
    """Two people, three calls each, the same moment."""
    async with house(tmp_path, count=1) as here:
        await here.mia.apply(GROWS)
        answers = await asyncio.gather(*(approve(who, 1) for who in (here.kai, here.ann) for _ in range(3)))
        assert {one.change.state for one in answers} == {pb.CHANGE_STATE_APPLIED}
        history = await here.mia.stub.ListHistory(pb.ListHistoryRequest(limit=50), metadata=here.mia.metadata)
        assert len([one for one in history.entries if one.reason.startswith("change/1 by")]) == 1


async def test_changes_outlive_the_server(tmp_path: Path) -> None:
    """Half of the approvals before a restart, half after it."""
    async with house(tmp_path) as here:
        await here.mia.apply(GROWS)
        await approve(here.kai, 1)
        tokens = here.ann.metadata
    async with serving(tmp_path) as running, channel_to(running.address) as channel:
        ann = Person(channel, tokens)
        assert [(one.group, one.count) for one in (await described(ann, 1)).change.missing] == [("managers", 1)]
        assert (await approve(ann, 1)).change.state == pb.CHANGE_STATE_APPLIED


async def test_a_policy_that_was_exported_is_no_change_and_an_edited_one_waits(tmp_path: Path) -> None:
    async with house(tmp_path, count=1) as here:
        request = pb.GetResourceRequest(kind="Policy", key="production")
        kept = (await here.mia.stub.GetResource(request, metadata=here.mia.metadata)).resource.document
        same = await here.mia.apply(kept)
        assert not same.HasField("entry")
        assert not same.HasField("change")
        assert (await here.mia.apply(policy(2))).change.number == 1
        assert (await approve(here.kai, 1)).change.state == pb.CHANGE_STATE_APPLIED
