"""The control service: every call read, handed to its verb, and its answer written. Nothing is decided here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_changes, convert_rollouts
from rollout_server.api import convert_control as convert
from rollout_server.api.change_calls import ChangeCalls
from rollout_server.api.control_base import written
from rollout_server.api.convert_plan import move_batches, plan_question, plan_summary
from rollout_server.api.convert_rollout_plan import rollout_plan, rollout_plan_question
from rollout_server.api.rollout_calls import RolloutCalls
from rollout_server.app.apply import Apply, apply
from rollout_server.app.audit import verify
from rollout_server.app.backup import backup
from rollout_server.app.diagnose import diagnose
from rollout_server.app.explain import Explain, explain
from rollout_server.app.export import export
from rollout_server.app.history import History, history
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.plan import open_plan
from rollout_server.app.plan_rollout import open_rollout_plan
from rollout_server.app.resources import get_resource, list_resources
from rollout_server.app.revert import Revert, revert
from rollout_server.app.rollout_view import run_now
from rollout_server.app.status import status
from rollout_server.app.tokens import CreateToken, RevokeToken, create_token, list_tokens, revoke_token
from rollout_server.domain.resources import ResourceId
from rollout_server.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from rollout_sdk.wire.v1.control_pb2_grpc import _ServicerContext as Context
    from rollout_server.app.diagnose import Surroundings
    from rollout_server.app.notify import Notifier
    from rollout_server.app.run_rollouts import RunRollouts
    from rollout_server.app.served import Served

PIECE_BYTES = 256 * 1024


class Control(RolloutCalls, ChangeCalls):
    """The control service. Names of methods and arguments are the contract's."""

    def __init__(
        self,
        served: Mapping[str, Served],
        driving: tuple[Mapping[str, RunRollouts], Mapping[str, Notifier]],
        surroundings: Callable[[], Awaitable[Surroundings]],
        backups: tuple[Callable[[Path], Awaitable[None]], str],
    ) -> None:
        """Serve these environments.

        Args:
            served: by name.
            driving: what drives their rollouts, and what tells people of it; by name.
            surroundings: the store and the host, as they are now.
            backups: what writes a copy of the whole store, and the environment whose admins may have it, other
                environments included; empty: nobody.
        """
        super().__init__(served, *driving)
        self._surroundings = surroundings
        self._copy, self._backup_environment = backups

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """How things stand."""
        served = self._here()
        found = await status(served.environment, served.fleet, self._elsewhere)
        known = self._here_runs().known
        lines = [
            convert_rollouts.summary(one, await run_now(one, known), found.awaited, found.standing_still)
            for one in found.rollouts
        ]
        return pb.GetStatusResponse(
            environment=found.environment,
            position=write_position(found.position),
            flags=[convert.flag_summary(one) for one in found.flags],
            recent=[convert.entry(told) for told in found.recent],
            instances_connected=found.fleet.connected,
            instances_behind=found.fleet.behind,
            changes_waiting=found.changes_waiting,
            rollouts=[line for line in lines if line is not None],
        )

    async def GetResource(self, request: pb.GetResourceRequest, context: Context) -> pb.GetResourceResponse:
        """One resource."""
        resource_id = ResourceId(convert.kind_of(request.kind), request.key)
        view, position = await get_resource(self._here().environment, resource_id, convert.at_of(request.at))
        return pb.GetResourceResponse(resource=convert.resource(view), position=write_position(position))

    async def ListResources(self, request: pb.ListResourcesRequest, context: Context) -> pb.ListResourcesResponse:
        """All resources, or all of a kind."""
        kind = convert.kind_of(request.kind) if request.kind else None
        found = await list_resources(self._here().environment, kind, convert.at_of(request.at))
        return pb.ListResourcesResponse(
            resources=[convert.resource(view) for view in found.resources], position=write_position(found.position)
        )

    async def ListHistory(self, request: pb.ListHistoryRequest, context: Context) -> pb.ListHistoryResponse:
        """A page of history."""
        resource_id = ResourceId(convert.kind_of(request.kind), request.key) if request.kind else None
        question = History(resource_id, request.before_revision, request.limit)
        page = await history(self._here().environment, question)
        return pb.ListHistoryResponse(
            entries=[convert.entry(told) for told in page.entries], oldest_revision=page.oldest_revision
        )

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """Why a context gets what it gets."""
        question = Explain(request.flag, request.context_json, convert.at_of(request.at))
        found = await explain(self._here().environment, question)
        return pb.ExplainResponse(
            decision_json=found.decision_json,
            steps=[
                pb.ExplainStep(depth=step.depth, label=step.label, result=step.result, detail=step.detail)
                for step in found.steps
            ],
            position=write_position(found.position),
        )

    async def ListInstances(self, request: pb.ListInstancesRequest, context: Context) -> pb.ListInstancesResponse:
        """Who runs what."""
        served = self._here()
        return pb.ListInstancesResponse(
            instances=[convert.instance(view) for view in served.fleet.views()],
            position=write_position(served.fan_out.position),
            forgotten=served.fleet.forgotten,
            unheard=served.fleet.unheard(served.fan_out.position.revision),
        )

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:
        """Is the journal what was written?"""
        found = await verify(self._here().environment, convert.expected_of(request))
        return pb.VerifyAuditResponse(
            intact=found.intact,
            entries=found.entries,
            head=write_position(found.head),
            oldest_revision=found.oldest_revision,
            problem=found.problem,
        )

    async def Diagnose(self, request: pb.DiagnoseRequest, context: Context) -> pb.DiagnoseResponse:
        """What will hurt later."""
        served = self._here()
        checks = await diagnose(served.environment, served.fleet, await self._surroundings())
        return pb.DiagnoseResponse(checks=[convert.check(one) for one in checks])

    async def ExportSnapshot(
        self, request: pb.ExportSnapshotRequest, context: Context
    ) -> AsyncIterator[pb.ExportSnapshotResponse]:
        """The ruleset as a file."""
        data = await export(self._here().environment)
        for first in range(0, len(data), PIECE_BYTES):
            yield pb.ExportSnapshotResponse(data=data[first : first + PIECE_BYTES])

    async def Backup(self, request: pb.BackupRequest, context: Context) -> AsyncIterator[pb.BackupResponse]:
        """The whole store, as far as this environment's admins may have it."""
        environment = self._here().environment
        if environment.name != self._backup_environment:
            raise Refused(
                "backup-environment",
                "a backup holds every environment of this server, and this token opens one",
                "use a token of the environment that the setting backup_environment names, or set it",
            )
        async for piece in backup(self._copy):
            yield pb.BackupResponse(data=piece)

    async def Plan(
        self, request_iterator: AsyncIterator[pb.PlanRequest], context: Context
    ) -> AsyncIterator[pb.PlanResponse]:
        """The exact preview of a change."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("message") != "question":
            raise InvalidInput([Problem("", "", "no_question", "a plan begins with its question", "send it first")])
        served = self._here()
        session = await open_plan(served.environment, plan_question(first.question), served.fleet)
        async for request in request_iterator:
            moves = await asyncio.to_thread(session.feed, tuple(request.population.contexts_json))
            for batch in move_batches(moves):
                yield batch
        moves, result = await asyncio.to_thread(session.finish)
        for batch in move_batches(moves):
            yield batch
        yield plan_summary(result)

    async def PlanRollout(
        self, request_iterator: AsyncIterator[pb.PlanRolloutRequest], context: Context
    ) -> pb.PlanRolloutResponse:
        """How a rollout would go."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("message") != "question":
            raise InvalidInput([Problem("", "", "no_question", "a plan begins with its question", "send it first")])
        environment, runs = self._here().environment, self._here_runs()
        question = rollout_plan_question(first.question)
        session = await open_rollout_plan(environment, runs.ingest, runs.known, question, runs.tick_ms)
        async for request in request_iterator:
            await asyncio.to_thread(session.feed, tuple(request.population.contexts_json))
        return rollout_plan(await asyncio.to_thread(session.finish), environment.position)

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Make the environment hold these documents."""
        served, actor = self._here(), self._actor()
        command = Apply(
            documents=convert.documents_of(request.documents),
            intent=convert.intent_of(request.intent),
            prune=request.prune,
            plan_hash=request.plan_hash,
            allow_unsupported=request.allow_unsupported,
        )
        done = await apply(served.environment, command, actor, served.fleet)
        return pb.ApplyResponse(
            entry=await written(served.environment, done.entry),
            changes=[convert.resource_change(change) for change in done.changes],
            position=write_position(done.position),
            change=convert_changes.change(done.change) if done.change else None,
        )

    async def Revert(self, request: pb.RevertRequest, context: Context) -> pb.RevertResponse:
        """Undo an entry."""
        served, actor = self._here(), self._actor()
        command = Revert(request.revision, convert.intent_of(request.intent), request.allow_unsupported)
        done = await revert(served.environment, command, actor, served.fleet)
        return pb.RevertResponse(
            entry=await written(served.environment, done.entry),
            position=write_position(done.position),
            change=convert_changes.change(done.change) if done.change else None,
        )

    async def Kill(self, request: pb.KillRequest, context: Context) -> pb.KillResponse:
        """Serve `off` to everybody."""
        environment, actor = self._here().environment, self._actor()
        done = await kill(environment, Kill(request.flag, convert.intent_of(request.intent)), actor)
        return pb.KillResponse(
            entry=await written(environment, done.entry),
            position=write_position(done.position),
            unchanged=done.unchanged,
        )

    async def Unkill(self, request: pb.UnkillRequest, context: Context) -> pb.UnkillResponse:
        """Lift a kill."""
        environment, actor = self._here().environment, self._actor()
        done = await unkill(environment, Unkill(request.flag, convert.intent_of(request.intent)), actor)
        return pb.UnkillResponse(
            entry=await written(environment, done.entry),
            position=write_position(done.position),
            unchanged=done.unchanged,
        )

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        """Make a token."""
        environment, actor = self._here().environment, self._actor()
        intent = convert.intent_of(request.intent)
        command = CreateToken(request.role, request.person, request.expires_at_ms, intent)
        done = await create_token(environment, command, actor)
        return pb.CreateTokenResponse(
            secret=done.secret, token=convert.token(done.token), entry=await written(environment, done.entry)
        )

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        """Every token, without what opens the door."""
        return pb.ListTokensResponse(tokens=[convert.token(view) for view in list_tokens(self._here().environment)])

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:
        """Revoke a token."""
        environment, actor = self._here().environment, self._actor()
        done = await revoke_token(environment, RevokeToken(request.id, convert.intent_of(request.intent)), actor)
        return pb.RevokeTokenResponse(entry=await written(environment, done))
