"""One environment as this server serves it: its state, the way to its streams, and the processes at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.capabilities import needed_by
from rollout_server.app.fan_out import FanOut
from rollout_server.app.instances import Instances
from rollout_server.app.roster import Roster
from rollout_server.app.share_fleet import ShareFleet
from rollout_server.app.shared_fleet import SharedFleet

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.census import Census
    from rollout_server.app.environment import Environment
    from rollout_server.ports import Replicas


class Served:
    """What belongs together, by environment.

    Attributes:
        streams: how many are open now.
        instances: the processes of this server.
        fleet: those of all servers on the store.
        sharing: tells the other servers of the first, and hears of theirs; None where there can be no others.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        renew_epoch_every_ms: int,
        instances_max: int,
        replicas: Replicas | None = None,
        name: str = "",
    ) -> None:
        """Take over an environment that was started.

        Args:
            environment: it.
            renew_epoch_every_ms: see `FanOut`.
            instances_max: processes remembered, of each server.
            replicas: the way to other servers on the store; None where there can be none.
            name: of this server, for people at those.
        """
        self.environment = environment
        self.fan_out = FanOut(environment, renew_epoch_every_ms)
        about = (environment.clock, lambda: self.fan_out.position, self.fan_out.mark, self._needed, instances_max)
        self.instances: Instances
        self.fleet: Census
        self.sharing: ShareFleet | None = None
        if replicas is None:
            self.instances = self.fleet = Instances(*about)
        else:
            self.instances = roster = Roster(*about)
            self.fleet = fleet = SharedFleet(roster, environment.clock, instances_max)
            self.sharing = ShareFleet(environment, roster, fleet, self.fan_out, replicas, name)
        self.streams = 0
        self._needed_by: tuple[Ruleset, frozenset[str]] | None = None

    @property
    def name(self) -> str:
        """The environment's."""
        return self.environment.name

    def _needed(self) -> frozenset[str]:
        """Every capability that the present ruleset needs; looked for once a revision, when somebody asks."""
        ruleset = self.environment.ruleset
        if self._needed_by is None or self._needed_by[0] is not ruleset:
            needed = (needed_by(flag, ruleset.cohorts) for flag in ruleset.flags.values())
            self._needed_by = (ruleset, frozenset[str]().union(*needed))
        return self._needed_by[1]
