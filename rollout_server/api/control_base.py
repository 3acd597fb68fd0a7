"""What every call of the control service starts from: the caller, the caller's environment, what was committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.v1 import control_pb2_grpc
from rollout_server.api import convert_control as convert
from rollout_server.api.calls import current_caller
from rollout_server.app.history import ToldEntry, tell
from rollout_server.errors import RolloutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.wire.v1 import control_pb2 as pb
    from rollout_server.app.actor import Actor
    from rollout_server.app.environment import Environment
    from rollout_server.app.served import Served
    from rollout_server.domain.journal import Entry


class ControlBase(control_pb2_grpc.ControlServiceServicer):
    """Knows the environments of this server."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        """Serve these environments, by name."""
        self._served = served

    def _here(self) -> Served:
        return self._served[current_caller().environment.name]

    def _actor(self) -> Actor:
        return current_caller().actor


async def written(environment: Environment, committed: Entry | None) -> pb.Entry | None:
    """Write what was committed. It stands whether or not its fields can be looked up now: never answer a failure."""
    if committed is None:
        return None
    try:
        (told,) = await tell(environment, (committed,))
        return convert.entry(told)
    except RolloutError:
        return convert.entry(ToldEntry(committed, ()))
