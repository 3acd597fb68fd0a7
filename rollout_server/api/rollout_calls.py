"""The part of the control service that drives rollouts. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.wire.delivery import write_position
from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.api import convert_control as convert
from rollout_server.api import convert_rollouts
from rollout_server.api.control_base import ControlBase, written
from rollout_server.app.certify import certify
from rollout_server.app.drive_rollout import Drive, Verb, drive
from rollout_server.app.events import events
from rollout_server.app.freeze import Freeze, Thaw, freeze, thaw
from rollout_server.app.resources import get_resource
from rollout_server.app.rollout_view import rollout_view
from rollout_server.app.start_rollout import Starter, StartRollout, start_rollout
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.people import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.wire.v1.control_pb2_grpc import _ServicerContext as Context
    from rollout_server.app.environment import Environment
    from rollout_server.app.events import Event
    from rollout_server.app.notify import Notifier
    from rollout_server.app.run_rollouts import RunRollouts
    from rollout_server.app.served import Served
    from rollout_server.app.start_rollout import Moved
    from rollout_server.domain.notification import Notified


_OF_AN_END = frozenset({NoticeKind.ROLLED_BACK, NoticeKind.KILLED})

_VerbRequest: TypeAlias = (
    "pb.PauseRolloutRequest | pb.ResumeRolloutRequest | pb.PromoteRolloutRequest | pb.ApproveStageRequest"
    " | pb.RejectStageRequest | pb.FinishRolloutRequest | pb.CancelRolloutRequest | pb.AcknowledgeRequest"
    " | pb.RollbackRequest"
)


class RolloutCalls(ControlBase):
    """Names of methods and arguments are the contract's."""

    def __init__(
        self, served: Mapping[str, Served], runs: Mapping[str, RunRollouts], notifiers: Mapping[str, Notifier]
    ) -> None:
        """Serve these environments.

        Args:
            served: by name.
            runs: what drives their rollouts, by name.
            notifiers: of those where people are told, by name.
        """
        super().__init__(served)
        self._runs = runs
        self._notifiers = notifiers

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.GetRolloutResponse:
        """A rollout as it stands."""
        view = await self._view(request.rollout)
        return pb.GetRolloutResponse(rollout=view, position=write_position(self._here().environment.position))

    async def ListEvents(self, request: pb.ListEventsRequest, context: Context) -> pb.ListEventsResponse:
        """What happened to rollouts."""
        found = await events(self._here().environment, request.rollout, request.before_revision, request.limit)
        return pb.ListEventsResponse(events=[convert_rollouts.event(one, self._told(one)) for one in found])

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Context) -> pb.StartRolloutResponse:
        """Open the next run."""
        served, actor = self._here(), self._actor()
        names = names_of(served.environment.state.resources.values(), actor.person)
        command = StartRollout(request.rollout, convert.intent_of(request.intent), request.allow_unsupported)
        starter = Starter(actor.person, actor.label, names)
        done = await start_rollout(served.environment, command, starter, served.fleet, self._elsewhere)
        return pb.StartRolloutResponse(moved=await self._moved(done))

    async def PauseRollout(self, request: pb.PauseRolloutRequest, context: Context) -> pb.PauseRolloutResponse:
        """Stop, and keep who is exposed."""
        return pb.PauseRolloutResponse(moved=await self._drive(Verb.PAUSE, request))

    async def ResumeRollout(self, request: pb.ResumeRolloutRequest, context: Context) -> pb.ResumeRolloutResponse:
        """Go on after a pause."""
        return pb.ResumeRolloutResponse(moved=await self._drive(Verb.RESUME, request, request.expects))

    async def PromoteRollout(self, request: pb.PromoteRolloutRequest, context: Context) -> pb.PromoteRolloutResponse:
        """Go to another stage."""
        moved = await self._drive(Verb.PROMOTE, request, request.expects, request.to)
        return pb.PromoteRolloutResponse(moved=moved)

    async def ApproveStage(self, request: pb.ApproveStageRequest, context: Context) -> pb.ApproveStageResponse:
        """Agree that a stage may be left."""
        return pb.ApproveStageResponse(moved=await self._drive(Verb.APPROVE, request, request.expects))

    async def RejectStage(self, request: pb.RejectStageRequest, context: Context) -> pb.RejectStageResponse:
        """Do not agree."""
        return pb.RejectStageResponse(moved=await self._drive(Verb.REJECT, request, request.expects))

    async def FinishRollout(self, request: pb.FinishRolloutRequest, context: Context) -> pb.FinishRolloutResponse:
        """Write the final variant into the flag."""
        return pb.FinishRolloutResponse(moved=await self._drive(Verb.FINISH, request, request.expects))

    async def CancelRollout(self, request: pb.CancelRolloutRequest, context: Context) -> pb.CancelRolloutResponse:
        """Never start."""
        return pb.CancelRolloutResponse(moved=await self._drive(Verb.CANCEL, request))

    async def Acknowledge(self, request: pb.AcknowledgeRequest, context: Context) -> pb.AcknowledgeResponse:
        """Stop the escalation."""
        return pb.AcknowledgeResponse(moved=await self._drive(Verb.ACK, request))

    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> pb.RollbackResponse:
        """Take everybody back."""
        return pb.RollbackResponse(moved=await self._drive(Verb.ROLLBACK, request))

    async def GetCertificate(self, request: pb.GetCertificateRequest, context: Context) -> pb.GetCertificateResponse:
        """Who obeys a rollback or a kill."""
        served, runs = self._here(), self._here_runs()
        found = await certify(served.environment, served.fleet, runs.known, request.target)
        resources = served.environment.state.resources
        metrics = {id_.key: one.spec for id_, one in resources.items() if isinstance(one.spec, MetricSpec)}
        entry = await written(served.environment, found.entry)
        message = convert_rollouts.certificate(found, entry, metrics)
        notifier = self._notifiers.get(served.environment.name)
        if notifier is not None and found.run is not None:
            outcomes = notifier.outcomes(found.run.rollout, found.run.number)
            message.notified.extend(convert_rollouts.delivery(one) for one in outcomes if one.kind in _OF_AN_END)
        return pb.GetCertificateResponse(certificate=message)

    async def Freeze(self, request: pb.FreezeRequest, context: Context) -> pb.FreezeResponse:
        """Let nothing grow."""
        exempt = tuple(getattr(request, "except"))  # a word of Python's own
        intent = convert.intent_of(request.intent)
        command = Freeze(request.key, request.for_ms, tuple(request.tags), exempt, request.stagger_ms, intent)
        environment = self._here().environment
        done = await freeze(environment, command, self._actor())
        view, _ = await get_resource(environment, done.freeze.id)
        return pb.FreezeResponse(
            entry=await written(environment, done.entry),
            freeze=convert.resource(view),
            position=write_position(done.position),
            warnings=done.surprises,
        )

    async def Thaw(self, request: pb.ThawRequest, context: Context) -> pb.ThawResponse:
        """End a freeze."""
        command, environment = Thaw(request.key, convert.intent_of(request.intent)), self._here().environment
        done = await thaw(environment, command, self._actor())
        view, _ = await get_resource(environment, done.freeze.id)
        return pb.ThawResponse(
            entry=await written(environment, done.entry),
            freeze=convert.resource(view),
            position=write_position(done.position),
        )

    def _here_runs(self) -> RunRollouts:
        return self._runs[self._here().environment.name]

    def _told(self, event: Event) -> list[Notified]:
        """Return who was told of an event, as far as this server knows."""
        environment = self._here().environment.name
        notifier = self._notifiers.get(environment)
        told = notifier.outcomes(event.rollout, event.run) if notifier is not None and event.id else ()
        return [one for one in told if one.notification.startswith(f"{environment}/{event.id}@")]

    def _elsewhere(self, name: str) -> Environment | None:
        return self._served[name].environment if name in self._served else None

    async def _view(self, target: str) -> pb.Rollout:
        served = self._here()
        known = self._here_runs().known
        found = await rollout_view(served.environment, served.fleet, known, self._elsewhere, target)
        return convert_rollouts.rollout(found)

    async def _drive(self, verb: Verb, request: _VerbRequest, expects: str = "", to: str = "") -> pb.Moved:
        command = Drive(verb, request.rollout, expects, to, convert.intent_of(request.intent))
        done = await drive(self._here().environment, command, self._actor(), self._here_runs().known)
        return await self._moved(done)

    async def _moved(self, done: Moved) -> pb.Moved:
        return pb.Moved(
            entry=await written(self._here().environment, done.entry),
            rollout=await self._view(str(done.rollout.id)),
            position=write_position(done.position),
        )
