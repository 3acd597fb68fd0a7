"""What SDKs receive of a rollout: the spec and the run under way, joined. No clock: shares are those last committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import DEFAULT_UNIT, Reach, RolloutState
from rollout_server.domain.machine import reaches
from rollout_server.domain.resources import FlagSpec, Kind, ResourceId, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollout_server.domain.resources import Resource


def rollout_states(resources: Mapping[ResourceId, Resource]) -> Iterator[RolloutState]:
    """Yield the state of every rollout, started or not: a rule may name any of them."""
    for id_, resource in resources.items():
        if id_.kind is Kind.ROLLOUT:
            yield rollout_state_of(resource, resources)


def rollout_state_of(resource: Resource, resources: Mapping[ResourceId, Resource]) -> RolloutState:
    """Join a rollout's spec and status.

    A run moved between the variants that it was started with. Where the spec names others by now (which is refused
    while a run is under way), everybody gets the new `from`, until the next run is started.

    Args:
        resource: the rollout.
        resources: where its flag is, whose kind of unit it buckets.

    Raises:
        TypeError: the resource is no rollout, or has no status as every resource of a state has.
    """
    spec, status = resource.spec, resource.status
    if not isinstance(spec, RolloutSpec) or not isinstance(status, RolloutStatus):
        raise TypeError(f"{resource.id} is no rollout with a status")
    flag = resources.get(ResourceId(Kind.FLAG, spec.flag))
    run = status.run
    is_its = run is not None and (run.flag, run.from_variant, run.to_variant) == (
        spec.flag,
        spec.from_variant,
        spec.to_variant,
    )
    reached = tuple(Reach(one.stage, one.share_ppm, one.audience) for one in reaches(run)) if run and is_its else ()
    return RolloutState(
        rollout=resource.metadata.key,
        flag=spec.flag,
        run=status.runs,
        from_variant=spec.from_variant,
        to_variant=spec.to_variant,
        salt=status.salt,
        unit=flag.spec.unit if flag is not None and isinstance(flag.spec, FlagSpec) else DEFAULT_UNIT,
        law=status.law,
        reaches=reached,
        never=spec.never,
        allocation=run.allocation if run else 0,
        stage=reached[-1].stage if reached else "",
        strata=run.pipeline.strata if run else (),
    )
