"""All checks over one environment, for what a change touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_sdk.engine.findings import Findings
from rollout_server.domain.changes import ChangeSpec
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.resources import PLANNED, CohortSpec, FlagSpec, TokenSpec
from rollout_server.domain.rollouts import ChannelSpec, FreezeSpec, PipelineSpec, PolicySpec, RolloutSpec
from rollout_server.domain.validation.audiences import Audiences
from rollout_server.domain.validation.freezes import check_freeze
from rollout_server.domain.validation.metrics import check_metric
from rollout_server.domain.validation.pipelines import check_pipeline
from rollout_server.domain.validation.policies import check_channel, check_demands, check_policy
from rollout_server.domain.validation.rollouts import check_after, check_flag_rules, check_rollout
from rollout_server.domain.validation.world import World

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollout_sdk.engine.model import Cohort
    from rollout_sdk.engine.problems import Problem
    from rollout_server.domain.resources import Resource, ResourceId


@dataclass(frozen=True, slots=True)
class Scope:
    """What a change touches.

    Attributes:
        touched: what is written and all that names it, at any remove; ids that do not exist are passed over.
        written: created or edited: policies make demands of these.
        created: policies make demands of their names too.
        environments: all of the server; empty where nobody knows them, as without a server.
    """

    touched: Collection[ResourceId]
    written: Collection[ResourceId]
    created: Collection[ResourceId]
    environments: Collection[str] = ()


def validate_resources(
    resources: Mapping[ResourceId, Resource], cohorts: Mapping[str, Cohort], scope: Scope
) -> tuple[Problem, ...]:
    """Return every problem of what a change touches; total over resources that the files' reader made.

    Args:
        resources: all of the environment, as it would be after the change.
        cohorts: those among them, as SDKs receive them.
        scope: what to look into: what was in order and is not touched still is.
    """
    world = World(resources, cohorts)
    audiences = Audiences(world)
    findings = Findings()
    for id_ in sorted(scope.touched, key=str):
        resource = resources.get(id_)
        if resource is None:
            continue
        findings.resource = str(id_)
        _check(findings, world, audiences, resource)
        if id_ in scope.written and id_.kind in PLANNED:
            check_demands(findings, world, resource, is_new=id_ in scope.created)
            if scope.environments and isinstance(resource.spec, RolloutSpec):
                check_after(findings, resource.spec, scope.environments)
    return tuple(findings.problems)


def _check(findings: Findings, world: World, audiences: Audiences, resource: Resource) -> None:
    key = resource.metadata.key
    match resource.spec:
        case FlagSpec():
            check_flag_rules(findings, world, key)
        case MetricSpec() as spec:
            check_metric(findings, key, spec)
        case PipelineSpec():
            check_pipeline(findings, world, audiences, key)
        case RolloutSpec():
            check_rollout(findings, world, audiences, key)
        case FreezeSpec() as spec:
            check_freeze(findings, spec)
        case ChannelSpec() as spec:
            check_channel(findings, spec)
        case PolicySpec():
            check_policy(findings, world, key)
        case CohortSpec() | TokenSpec() | ChangeSpec():
            pass  # the engine's, and nobody's
