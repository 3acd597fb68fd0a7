"""The door over real gRPC: every method of every service, asked by everybody (S1, S2, S4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc, delivery_pb2, telemetry_pb2
from rollout_server.app.environment import Environment
from rollout_server.domain.journal import Change, Draft
from rollout_server.domain.resources import Kind, Metadata, Resource, TokenSpec, TokenStatus
from rollout_server.domain.rights import Role, allows, is_open
from rollout_server.domain.tokens import token_hash, token_id, token_text
from tests.small_server import Metadata as Headers
from tests.small_server import Person, bearer, channel_to, flag, serving

METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (pb, delivery_pb2, telemetry_pb2, health_pb2, reflection_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
OURS = [method for method in METHODS if not is_open(method)]


@dataclass
class House:
    """Two environments with the same roles, and every kind of token that opens nothing."""

    address: str
    channel: grpc.aio.Channel
    roles: dict[Role, Headers]
    staging: dict[Role, Headers]
    nobody: dict[str, Headers]

    async def ask(self, method: str, headers: Headers) -> tuple[grpc.StatusCode, str]:
        """Send one empty message, and return how the call ends; a stream that begins to answer is let go."""
        while True:
            call: grpc.aio.StreamStreamCall[bytes, bytes] = self.channel.stream_stream(method)(metadata=headers)
            try:
                await call.write(b"")
                await call.done_writing()
                if await call.read() is not grpc.aio.EOF:
                    call.cancel()
                    return grpc.StatusCode.OK, ""
            except (grpc.aio.AioRpcError, grpc.aio.UsageError):
                pass
            code, details = await call.code(), str(await call.details())
            if details != "Internal error from Core":  # the client's, when it is denied before it has sent everything
                return code, details


async def odd_token(environment: Environment, *, expires_at_ms: int, revoked_at_ms: int, role: str) -> Headers:
    """Commit a token as no verb would make it."""
    text = token_text(expires_at_ms.to_bytes(4, "big", signed=True)[:4], revoked_at_ms.to_bytes(32))
    spec = TokenSpec(token_hash(text), role, "mia", 0, expires_at_ms)
    token = Resource(Kind.TOKEN, Metadata(token_id(text) or ""), spec, TokenStatus(revoked_at_ms))
    await environment.commit(Draft({}, (Change(token.id, token),), "test", "test", 1))
    return bearer(text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    data = tmp_path_factory.mktemp("house")
    options = {"environments": "production,staging", "backup_environment": "production"}
    async with serving(data, **options) as running, channel_to(running.address) as channel:
        roles = {role: bearer(await running.token(role.value)) for role in Role}
        staging = {role: bearer(await running.token(role.value, "staging")) for role in Role}
        production = running.served["production"].environment
        real = dict(roles[Role.ADMIN])["authorization"]
        nobody: dict[str, Headers] = {
            "without a token": (),
            "with an empty one": (("authorization", ""),),
            "with another scheme": (("authorization", real.replace("Bearer", "Basic")),),
            "with half a token": (("authorization", real[:-1]),),
            "with more than a token": (("authorization", real + "x"),),
            "with another's secret": (("authorization", real[:19] + dict(roles[Role.SDK])["authorization"][19:]),),
            "with the id alone": (("authorization", real[:18]),),
            "with what is stored": bearer(token_hash(real.removeprefix("Bearer "))),
            "expired": await odd_token(production, expires_at_ms=1, revoked_at_ms=0, role="admin"),
            "revoked": await odd_token(production, expires_at_ms=2**31 - 1, revoked_at_ms=7, role="admin"),
            "of a role that is none": await odd_token(production, expires_at_ms=3, revoked_at_ms=0, role="root"),
            "for another environment": (*roles[Role.ADMIN], ("rollout-environment", "staging")),
            "for an environment that is none": (*roles[Role.ADMIN], ("rollout-environment", "nowhere")),
        }
        # Whoever may freeze does below, and nothing new is applied then.
        await Person(channel, roles[Role.ADMIN]).apply(flag("only-in-production"))
        yield House(running.address, channel, roles, staging, nobody)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_answers_whom_the_table_names(house: House, method: str) -> None:
    """Each role gets in where its right is written, and nowhere else."""
    answers = {role: (await house.ask(method, headers))[0] for role, headers in house.roles.items()}
    let_in = {role for role, code in answers.items() if code is not grpc.StatusCode.PERMISSION_DENIED}
    assert let_in == {role for role in Role if is_open(method) or allows(role, method)}
    assert grpc.StatusCode.INTERNAL not in answers.values()
    assert grpc.StatusCode.UNIMPLEMENTED not in answers.values()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", OURS)
async def test_no_method_answers_who_has_no_token_for_it(house: House, method: str) -> None:
    """Missing, mangled, borrowed, expired, revoked or of another environment: nobody gets in."""
    answers = {name: (await house.ask(method, headers))[0] for name, headers in house.nobody.items()}
    assert answers == dict.fromkeys(answers, grpc.StatusCode.PERMISSION_DENIED)


@pytest.mark.asyncio(loop_scope="module")
async def test_health_needs_no_token(house: House) -> None:
    for method in METHODS:
        if is_open(method):
            assert (await house.ask(method, ()))[0] is grpc.StatusCode.OK


@pytest.mark.asyncio(loop_scope="module")
async def test_what_exists_elsewhere_is_absent_here(house: House) -> None:
    """Absent and forbidden answer alike: a token learns nothing of another environment (S2)."""
    here, there = Person(house.channel, house.roles[Role.ADMIN]), Person(house.channel, house.staging[Role.ADMIN])

    async def told(person: Person, key: str) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await person.stub.GetResource(pb.GetResourceRequest(kind="Flag", key=key), metadata=person.metadata)
        return caught.value.code(), str(caught.value.details()).replace(key, "KEY")

    assert await told(there, "only-in-production") == await told(there, "nowhere-at-all")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await there.kill("only-in-production")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await here.status()).flags[0].killed
    recent = [change.key for entry in (await there.status()).recent for change in entry.changes]
    assert "only-in-production" not in recent
    listed = await there.stub.ListResources(pb.ListResourcesRequest(), metadata=there.metadata)
    assert not listed.resources


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_that_names_another_environment_learns_not_whether_it_exists(house: House) -> None:
    method = "/rollout.v1.ControlService/GetStatus"
    real, none = (house.nobody[f"for {name}"] for name in ("another environment", "an environment that is none"))
    first, second = await house.ask(method, real), await house.ask(method, none)
    assert (first[0], first[1].replace("staging", "X")) == (second[0], second[1].replace("nowhere", "X"))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_backup_is_for_the_environment_that_may_see_all(house: House) -> None:
    """It holds every environment: an admin of another one does not get it (S2)."""
    method = "/rollout.v1.ControlService/Backup"
    assert (await house.ask(method, house.staging[Role.ADMIN]))[0] is grpc.StatusCode.FAILED_PRECONDITION
    assert (await house.ask(method, house.roles[Role.ADMIN]))[0] is grpc.StatusCode.OK


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_may_repeat_the_name_of_its_environment(house: House) -> None:
    headers = (*house.roles[Role.VIEWER], ("rollout-environment", "production"))
    stub = control_pb2_grpc.ControlServiceStub(house.channel)
    assert (await stub.GetStatus(pb.GetStatusRequest(), metadata=headers)).environment == "production"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_method_that_does_not_exist_is_told_to_nobody_in_particular(house: House) -> None:
    for headers in (*house.roles.values(), ()):
        code, _ = await house.ask("/rollout.v1.ControlService/Newcomer", headers)
        assert code is grpc.StatusCode.UNIMPLEMENTED
