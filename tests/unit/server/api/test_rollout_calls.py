"""Driving rollouts over real gRPC: each call reaches its verb, and its answer comes back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from rollout_sdk.engine.capabilities import CAPABILITIES
from rollout_sdk.wire.v1 import control_pb2 as pb
from tests.small_server import Person, World, bearer, document, world

STAGES = [
    {"name": "canary", "share": "20%", "soak": "1h", "exit": {"approval": {"from": "managers", "count": 1}}},
    {"name": "half", "share": "50%", "soak": "1h"},
]
PEOPLE = {"groups": {"managers": ["kai"]}}
WHY = pb.Intent(reason="because")


async def prepared(around: World) -> None:
    await around.admin.apply(
        document("Metric", "errors", {"measures": "proportion", "bad": "high", "late": "1s"}),
        document("Policy", "people", PEOPLE),
        document(
            "Pipeline",
            "slow",
            {"stages": STAGES, "guardrails": [{"metric": "errors", "limit": "+20%", "action": "rollback"}]},
        ),
        document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
        document("Rollout", "launch", {"flag": "checkout", "from": "off", "to": "on", "pipeline": "slow"}),
    )


async def call(around: World, name: str, **fields: Any) -> Any:
    request = getattr(pb, f"{name}Request")(**fields)
    return await getattr(around.admin.stub, name)(request, metadata=around.admin.metadata)


async def test_a_run_from_its_start_to_its_certificate(tmp_path: Path) -> None:
    """Start, look, pause, resume, promote, roll back: each answers with the rollout as it stands after it."""
    async with world(tmp_path) as around:
        await prepared(around)
        before = (await call(around, "GetRollout", rollout="checkout")).rollout
        assert (before.run, before.phase, before.sentence) == (0, "", "launch was never started")
        started = (await call(around, "StartRollout", intent=WHY, rollout="checkout")).moved
        assert (started.rollout.phase, started.rollout.stage, started.rollout.run) == ("running", "canary", 1)
        assert started.entry.reason == "because"
        assert [stage.name for stage in started.rollout.stages] == ["canary", "half", "finish"]
        assert [stage.state for stage in started.rollout.stages] == [2, 1, 1]
        assert {one.name for one in started.rollout.guardrails} == {"errors", "process_lost"}
        paused = (await call(around, "PauseRollout", rollout="launch")).moved.rollout
        assert paused.phase == "paused"
        resumed = (await call(around, "ResumeRollout", rollout="launch", expects="canary")).moved.rollout
        assert resumed.phase == "running"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(around, "PromoteRollout", intent=WHY, rollout="launch", expects="canary")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        summary = (await around.admin.status()).rollouts[0]
        assert (summary.key, summary.exposing, summary.needs_person) == ("launch", True, False)
        back = (await call(around, "Rollback", rollout="checkout")).moved
        assert back.rollout.phase == "rolled back"
        assert back.rollout.share_ppm == 0
        proof = (await call(around, "GetCertificate", target="checkout")).certificate
        assert (proof.what, proof.variant, proof.complete) == ("rollback", "off", True)
        assert proof.entry.revision == back.entry.revision
        assert proof.trigger.trigger == "person"


async def test_a_process_that_obeys_is_named_with_its_time(tmp_path: Path) -> None:
    """Acknowledged by the stream, seen in the certificate."""
    async with world(tmp_path) as around:
        await prepared(around)
        shop = await around.process(capabilities=tuple(sorted(CAPABILITIES)))
        await call(around, "StartRollout", intent=WHY, rollout="checkout")
        back = (await call(around, "Rollback", rollout="checkout")).moved
        await shop.reach(back.entry.revision)
        while not (await call(around, "GetCertificate", target="checkout")).certificate.complete:
            pass
        proof = (await call(around, "GetCertificate", target="checkout")).certificate
        assert proof.in_force == ["shop@h (pid 7)"]
        assert proof.complete
        assert proof.first_ack_ms <= proof.last_ack_ms


async def test_approval_is_of_people_of_the_group(tmp_path: Path) -> None:
    """The role opens the door, the group decides."""
    async with world(tmp_path) as around:
        await prepared(around)
        await call(around, "StartRollout", intent=WHY, rollout="checkout")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(around, "ApproveStage", rollout="launch", expects="canary")
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        approver = Person(around.channel, bearer(await around.running.token("approver", person="kai")))
        request = pb.ApproveStageRequest(rollout="launch", expects="canary")
        moved = (await approver.stub.ApproveStage(request, metadata=approver.metadata)).moved
        assert moved.rollout.stages[0].approved_by == ["kai"]
        rejected = pb.RejectStageRequest(intent=WHY, rollout="launch", expects="canary")
        moved = (await approver.stub.RejectStage(rejected, metadata=approver.metadata)).moved
        assert (moved.rollout.phase, moved.rollout.paused.why) == ("paused", "rejected: because")


async def test_what_does_not_apply_is_refused_with_the_machines_words(tmp_path: Path) -> None:
    """Cancel, finish and ack of a running run."""
    async with world(tmp_path) as around:
        await prepared(around)
        await call(around, "StartRollout", intent=WHY, rollout="checkout")
        for name, fields in (
            ("CancelRollout", {}),
            ("FinishRollout", {"expects": "canary"}),
            ("Acknowledge", {}),
            ("StartRollout", {}),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(around, name, rollout="launch", **fields)
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_events_and_freezes(tmp_path: Path) -> None:
    """What happened, newest first; a freeze is a resource with an end."""
    async with world(tmp_path) as around:
        await prepared(around)
        frozen = await call(around, "Freeze", intent=WHY, key="lunch", for_ms=3_600_000, tags=["web"])
        assert frozen.freeze.document.key == "lunch"
        thawed = await call(around, "Thaw", intent=WHY, key="lunch")
        assert thawed.entry.revision == frozen.entry.revision + 1
        await call(around, "StartRollout", intent=WHY, rollout="checkout")
        found = (await call(around, "ListEvents", rollout="checkout")).events
        assert [(one.kind, one.rollout, one.run) for one in found] == [("started", "launch", 1)]
        assert "frozen" in {field.name for field in pb.Rollout.DESCRIPTOR.fields}
