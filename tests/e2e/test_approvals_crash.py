"""kill -9 of the server around approvals: each change is applied at most once, and never without its people."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.e2e.test_approvals import approve, person, policy
from tests.small_server import Person, ServerProcess, admin_of, channel_to, flag, free_port

APPROVERS = ("kai", "ann")
KILL_WITHIN_S = 0.02


async def given(who: Person, number: int) -> pb.ApproveChangeResponse | None:
    """Approve, or hear nothing because the server died."""
    try:
        return await approve(who, number)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return None


async def told(who: Person) -> list[pb.Entry]:
    """The whole history, oldest first."""
    answer = await who.stub.ListHistory(pb.ListHistoryRequest(limit=500), metadata=who.metadata)
    return list(reversed(answer.entries))


def carried_out(entries: list[pb.Entry], number: int) -> list[pb.Entry]:
    """The entries that created the flag of a change."""
    return [one for one in entries for change in one.changes if (change.kind, change.key) == ("Flag", f"flag-{number}")]


def people(entries: list[pb.Entry], number: int) -> set[str]:
    """Who approved a change, by the journal's own words."""
    return {
        one.actor.partition("@")[0]
        for one in entries
        if one.action in {"approve change", "apply"}
        and any((change.kind, change.key) == ("Change", str(number)) for change in one.changes)
    }


def check(entries: list[pb.Entry], numbers: range, acknowledged: dict[int, set[str]]) -> None:
    for number in numbers:
        done = carried_out(entries, number)
        assert len(done) <= 1, f"change/{number} was applied twice"
        agreed = people(entries, number)
        assert acknowledged.get(number, set()) <= agreed, "an approval that was acknowledged is lost"
        if done:
            assert agreed == set(APPROVERS)
            assert done[0].reason.startswith(f"change/{number} by mia@example.com, approved by ")
            assert [change.kind for change in done[0].changes] == ["Flag", "Change"]


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("kills", [pytest.param(4), pytest.param(20, marks=pytest.mark.soak)])
async def test_a_change_is_applied_at_most_once_and_never_without_its_people(tmp_path: Path, kills: int) -> None:
    """Two people approve at the same moment, the server is killed amid it; in the end each change is applied once."""
    chance = random.Random(kills)  # noqa: S311 - when to kill, no secret
    acknowledged: dict[int, set[str]] = {}
    tokens: dict[str, tuple[tuple[str, str], ...]] = {}
    async with ServerProcess(tmp_path, free_port(), log_level="error") as server:
        for number in range(1, kills + 1):
            await server.start()
            async with channel_to(server.address) as channel:
                admin = await admin_of(tmp_path, channel)
                if not tokens:
                    await admin.apply(policy(2))
                    for name, role in (("mia", "author"), ("kai", "approver"), ("ann", "approver")):
                        tokens[name] = (await person(admin, name, role)).metadata
                check(await told(admin), range(1, number), acknowledged)
                asked = await Person(channel, tokens["mia"]).apply(flag(f"flag-{number}", "on"))
                assert asked.change.number == number
                calls = {name: asyncio.create_task(given(Person(channel, tokens[name]), number)) for name in APPROVERS}
                await asyncio.wait(calls.values(), timeout=chance.uniform(0, KILL_WITHIN_S))
                await server.end(kill=True)
                for name, call in calls.items():
                    if await call is not None:
                        acknowledged.setdefault(number, set()).add(name)
        await server.start()
        async with channel_to(server.address) as channel:
            admin = await admin_of(tmp_path, channel)
            every = range(1, kills + 1)
            check(await told(admin), every, acknowledged)
            for number in every:
                for name in APPROVERS:
                    await approve(Person(channel, tokens[name]), number)
            entries = await told(admin)
            check(entries, every, {number: set(APPROVERS) for number in every})
            assert all(len(carried_out(entries, number)) == 1 for number in every)
            assert (await admin.status()).changes_waiting == 0
