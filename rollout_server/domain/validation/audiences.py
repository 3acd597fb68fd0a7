"""Whom the stages of a pipeline reach, as far as it can be proven from what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.bucketing import bucket
from rollout_sdk.engine.model import PPM, InCohort
from rollout_sdk.engine.narrowing import EVERYBODY, Narrowing, Side, Sided
from rollout_sdk.engine.sameness import same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.model import Condition
    from rollout_server.domain.rollouts import Stage
    from rollout_server.domain.validation.world import World


COUNTED_MAX = 100_000
"""Units whose buckets are looked at one by one, for each stage that asks: about a tenth of a second."""


class Audiences:
    """What is known of audiences in one environment. Every answer is a proof: False only says that none was found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._narrowing = Narrowing(world.hashed, world.hashed)
        self._members: dict[str, frozenset[str]] = {}

    def covers(self, wide: Condition | None, narrow: Condition | None) -> bool:
        """Whether everybody in `narrow` is proven to be in `wide`."""
        if wide is None or same(wide, narrow):
            return True
        self._narrowing.refill()
        return self._narrowing.at_most(Sided(narrow or EVERYBODY, Side.AFTER), Sided(wide, Side.AFTER))

    def has_control(self, stages: Sequence[Stage]) -> bool:
        """Whether, with these stages entered, somebody can be reached and not exposed."""
        everywhere = [stage.audience for stage in stages if stage.share_ppm >= PPM]
        return any(
            0 < stage.share_ppm < PPM and not any(self.covers(whole, stage.audience) for whole in everywhere)
            for stage in stages
        )

    def most_exposed(self, stages: Sequence[Stage], unit: str, salt: str, enough: int) -> int | None:
        """Return how many units these stages can expose; None where they list nobody of this kind, or leave it open.

        Args:
            stages: entered, in order.
            unit: kind whose units are counted.
            salt: of the rollout; without one every listed unit may be exposed.
            enough: counting stops here. Of more than `COUNTED_MAX` listed units, all count.
        """
        shares: dict[str, int] = {}
        for stage in stages:
            keys = self._listed(stage.audience, unit)
            if keys is None:
                return None
            for key in keys:
                shares[key] = max(shares.get(key, 0), stage.share_ppm)
        if not salt or len(shares) < enough or len(shares) > COUNTED_MAX:
            return len(shares)
        count = 0
        for key, share_ppm in shares.items():
            count += bucket(salt, key) < share_ppm
            if count >= enough:
                break
        return count

    def _listed(self, audience: Condition | None, unit: str) -> frozenset[str] | None:
        """Return the units of this kind that an audience consists of, where a cohort lists them all."""
        if not isinstance(audience, InCohort):
            return None
        key = audience.cohort
        cohort = self._world.cohorts.get(key)
        if cohort is None or cohort.when is not None or cohort.unit != unit:
            return None
        if key not in self._members:
            self._members[key] = frozenset(cohort.include) - frozenset(cohort.exclude)
        return self._members[key]
