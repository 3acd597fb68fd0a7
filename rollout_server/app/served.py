"""One environment as this server serves it: its state, the way to its streams, and the processes at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.capabilities import needed_by
from rollout_server.app.fan_out import FanOut
from rollout_server.app.instances import Instances

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.environment import Environment


class Served:
    """What belongs together, by environment.

    Attributes:
        streams: how many are open now.
    """

    def __init__(self, environment: Environment, *, renew_epoch_every_ms: int, instances_max: int) -> None:
        """Take over an environment that was started."""
        self.environment = environment
        self.fan_out = FanOut(environment, renew_epoch_every_ms)
        self.instances = Instances(
            environment.clock,
            position=lambda: self.fan_out.position,
            mark=self.fan_out.mark,
            needed=self._needed,
            instances_max=instances_max,
        )
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
