"""The control service over real gRPC: each call reaches its verb, and its answer comes back whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.snapshot import unpack
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import control_base
from rollout_server.errors import Unavailable
from tests.small_server import World, document, flag, world


async def planned(around: World, *requests: pb.PlanRequest) -> tuple[list[pb.Move], pb.PlanSummary]:
    async def asked() -> AsyncIterator[pb.PlanRequest]:
        for request in requests:
            yield request

    moves: list[pb.Move] = []
    summary = pb.PlanSummary()
    async for response in around.admin.stub.Plan(asked(), metadata=around.admin.metadata):
        moves.extend(response.moves.moves)
        if response.HasField("summary"):
            summary = response.summary
    return moves, summary


def context(user: str) -> str:
    return json.dumps({"units": {"user": user}})


async def test_a_plan_counts_a_population_that_is_streamed_in_and_can_be_applied(tmp_path: Path) -> None:
    """The preview is exact, and its hash binds what is then applied."""
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        question = pb.PlanQuestion(documents=[flag("checkout", "on")], moves_limit=2)
        batches = [pb.PopulationBatch(contexts_json=[context(f"u-{n}"), context(f"v-{n}")]) for n in range(3)]
        moves, summary = await planned(
            around, pb.PlanRequest(question=question), *(pb.PlanRequest(population=batch) for batch in batches)
        )
        assert (summary.population, summary.moves[0].moved, len(moves)) == (6, 6, 2)
        assert [change.key for change in summary.changes] == ["checkout"]
        assert not summary.shrinks
        applied = await around.admin.apply(flag("checkout", "on"), plan_hash=summary.hash)
        assert applied.entry.revision == applied.position.revision
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await around.admin.apply(flag("checkout", "off"), plan_hash=summary.hash)
        assert caught.value.code() is grpc.StatusCode.ABORTED


async def test_a_plan_begins_with_its_question(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        for requests in ((), (pb.PlanRequest(population=pb.PopulationBatch()),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await planned(around, *requests)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_was_written_can_be_read_told_explained_and_undone(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        stub, metadata = around.admin.stub, around.admin.metadata
        await around.admin.apply(flag("checkout"), document("Cohort", "beta", {"include": ["u-1"]}), key="k-1")
        again = await around.admin.apply(flag("checkout"), document("Cohort", "beta", {"include": ["u-1"]}), key="k-1")
        assert again.entry.revision == again.position.revision, "a repeat returns the first entry"
        edited = await around.admin.apply(flag("checkout", "on"))
        one = await stub.GetResource(pb.GetResourceRequest(kind="flag", key="checkout"), metadata=metadata)
        assert one.resource.version == edited.entry.revision
        assert json.loads(one.resource.document.json)["spec"]["default"] == "on"
        everything = await stub.ListResources(pb.ListResourcesRequest(), metadata=metadata)
        assert {resource.document.key for resource in everything.resources} == {"beta", "checkout"}
        before = pb.At(revision=again.entry.revision)
        old = await stub.ListResources(pb.ListResourcesRequest(kind="Flag", at=before), metadata=metadata)
        assert '"default": "on"' not in old.resources[0].document.json.replace('":"', '": "')
        assert old.position.revision == again.entry.revision
        told = await stub.ListHistory(pb.ListHistoryRequest(kind="Flag", key="checkout"), metadata=metadata)
        assert [entry.revision for entry in told.entries] == [edited.entry.revision, again.entry.revision]
        explained = await stub.Explain(
            pb.ExplainRequest(flag="checkout", context_json=context("u-1")), metadata=metadata
        )
        assert json.loads(explained.decision_json)["variant"] == "on"
        assert explained.steps
        undone = await stub.Revert(pb.RevertRequest(revision=edited.entry.revision), metadata=metadata)
        assert undone.entry.revision == edited.entry.revision + 1
        verified = await stub.VerifyAudit(pb.VerifyAuditRequest(), metadata=metadata)
        assert verified.intact
        checks = await stub.Diagnose(pb.DiagnoseRequest(), metadata=metadata)
        assert checks.checks


async def test_a_kill_is_told_once(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        first, second = await around.admin.kill("checkout"), await around.admin.kill("checkout")
        assert (first.unchanged, second.unchanged) == (False, True)
        assert not second.HasField("entry")
        assert (await around.admin.status()).flags[0].killed
        assert not (await around.admin.unkill("checkout")).unchanged


async def test_an_exported_snapshot_holds_what_streams_send(tmp_path: Path) -> None:
    """A client that starts from the file continues by a delta, not by a snapshot."""
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"), flag("search"), document("Cohort", "beta", {"include": ["u-1"]}))
        await around.admin.kill("search")
        process = await around.process()
        await process.next()
        pieces = around.admin.stub.ExportSnapshot(pb.ExportSnapshotRequest(), metadata=around.admin.metadata)
        snapshot = unpack(b"".join([piece.data async for piece in pieces]))
        assert (snapshot.position, snapshot.ruleset_digest) == (process.reader.held, process.reader.digest)


async def test_a_token_is_shown_once_and_opens_nothing_when_revoked(tmp_path: Path) -> None:
    async with world(tmp_path) as around:
        created = await around.admin.token("viewer")
        listed = await around.admin.stub.ListTokens(pb.ListTokensRequest(), metadata=around.admin.metadata)
        assert created.token.id in {token.id for token in listed.tokens}
        assert created.secret not in str(listed)
        assert (await around.admin.revoke(created.token.id)).HasField("entry")
        assert not (await around.admin.revoke(created.token.id)).HasField("entry")


async def test_what_was_committed_is_never_answered_as_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill stands although its fields cannot be looked up."""

    async def away(*_: object) -> None:
        raise Unavailable("journal", "away")

    monkeypatch.setattr(control_base, "tell", away)
    async with world(tmp_path) as around:
        await around.admin.apply(flag("checkout"))
        killed = await around.admin.kill("checkout")
        assert killed.entry.action == "kill"
        assert killed.entry.revision == killed.position.revision


async def test_a_rollout_is_planned_over_a_population_that_is_streamed_in(tmp_path: Path) -> None:
    """Counts are over the population; a plan without its question is refused."""
    stage = {"name": "half", "share": "50%", "soak": "1h"}
    async with world(tmp_path) as around:
        await around.admin.apply(
            document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
            document("Pipeline", "careful", {"stages": [stage]}),
            document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}),
        )

        async def asked(*requests: pb.PlanRolloutRequest) -> AsyncIterator[pb.PlanRolloutRequest]:
            for request in requests:
                yield request

        question = pb.PlanRolloutRequest(question=pb.PlanRolloutQuestion(rollout="checkout", listed_max=5))
        batch = pb.PlanRolloutRequest(
            population=pb.PopulationBatch(contexts_json=[context(f"u-{n}") for n in range(100)])
        )
        plan = await around.admin.stub.PlanRollout(asked(question, batch, batch), metadata=around.admin.metadata)
        assert (plan.rollout, plan.contexts, plan.units) == ("launch", 200, 100)
        assert [stage.name for stage in plan.stages] == ["half", "finish"]
        assert plan.stages[0].exposed + plan.stages[0].control == plan.stages[1].exposed == 100
        assert len(plan.stages[0].candidates) == 5
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await around.admin.stub.PlanRollout(asked(batch), metadata=around.admin.metadata)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
