"""An environment as it would be after a change, sorted by what names what."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rollout_sdk.engine.model import ByRollout
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.judging import PROCESS_LOST_METRIC
from rollout_server.domain.resources import CohortSpec, FlagSpec, RolloutStatus
from rollout_server.domain.rollouts import ChannelSpec, PipelineSpec, PolicySpec, RolloutSpec
from rollout_server.domain.telemetry import PROCESS_LOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.findings import Findings
    from rollout_sdk.engine.model import Cohort
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.domain.rollouts import Approval


class World:
    """All resources by kind and key, and what follows from them.

    Attributes:
        hashed: the cohorts as SDKs receive them, for proofs about conditions.
    """

    def __init__(self, resources: Mapping[ResourceId, Resource], hashed: Mapping[str, Cohort]) -> None:
        self.hashed = hashed
        self.flags: dict[str, FlagSpec] = {}
        self.cohorts: dict[str, CohortSpec] = {}
        self.metrics: dict[str, MetricSpec] = {PROCESS_LOST: PROCESS_LOST_METRIC}
        self.pipelines: dict[str, PipelineSpec] = {}
        self.rollouts: dict[str, RolloutSpec] = {}
        self.channels: dict[str, ChannelSpec] = {}
        self.policies: dict[str, PolicySpec] = {}
        self.rollout_statuses: dict[str, RolloutStatus] = {}
        for id_, resource in resources.items():
            match resource.spec:
                case FlagSpec() as spec:
                    self.flags[id_.key] = spec
                case CohortSpec() as spec:
                    self.cohorts[id_.key] = spec
                case MetricSpec() as spec:
                    self.metrics[id_.key] = spec
                case PipelineSpec() as spec:
                    self.pipelines[id_.key] = spec
                case RolloutSpec() as spec:
                    self.rollouts[id_.key] = spec
                    if isinstance(resource.status, RolloutStatus):
                        self.rollout_statuses[id_.key] = resource.status
                case ChannelSpec() as spec:
                    self.channels[id_.key] = spec
                case PolicySpec() as spec:
                    self.policies[id_.key] = spec
                case _:
                    pass

    @cached_property
    def groups(self) -> dict[str, frozenset[str]]:
        """Who is in each group, of all policies together."""
        found: dict[str, frozenset[str]] = {}
        for policy in self.policies.values():
            for name, people in policy.groups:
                found[name] = found.get(name, frozenset()) | frozenset(people)
        return found

    @cached_property
    def rollouts_of(self) -> dict[str, list[str]]:
        """The rollouts of each flag, by key, in order."""
        found: dict[str, list[str]] = {}
        for key in sorted(self.rollouts):
            found.setdefault(self.rollouts[key].flag, []).append(key)
        return found

    @cached_property
    def rollouts_through(self) -> dict[str, list[str]]:
        """The rollouts of each pipeline, by key, in order."""
        found: dict[str, list[str]] = {}
        for key in sorted(self.rollouts):
            found.setdefault(self.rollouts[key].pipeline, []).append(key)
        return found

    def names_rollout(self, flag: str, rollout: str) -> bool:
        """Whether a rule of the flag leaves its answer to the rollout."""
        spec = self.flags.get(flag)
        outcomes = [rule.outcome for rule in spec.rules] if spec else []
        return any(isinstance(outcome, ByRollout) and outcome.rollout == rollout for outcome in outcomes)

    def is_completed(self, rollout: str) -> bool:
        """Whether the rollout's last run reached its end: its flag may have the final variant and no rule by now."""
        status = self.rollout_statuses.get(rollout)
        return status is not None and status.is_completed


def check_approval(findings: Findings, world: World, approval: Approval, path: str) -> None:
    """Note an approval that nobody, or too few people, could give."""
    if approval.count < 1:
        findings.add(f"{path}.count", "bad_count", "an approval by nobody asks for nothing", "write count: 1, or more")
    people = world.groups.get(approval.group)
    if people is None:
        findings.unknown(f"{path}.from", "group", approval.group, world.groups)
    elif approval.count > len(people) > 0:
        message = f"{approval.count} of them must agree, and only {len(people)} are in {approval.group}"
        findings.add(f"{path}.count", "too_few_people", message, "ask for fewer, or add people to the group")
