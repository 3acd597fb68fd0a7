"""From a resource to the tree that `read` reads as the same resource: fixed order of fields, defaults left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.model import DEFAULT_UNIT
from rollout_server.domain.changes import ChangeSpec
from rollout_server.domain.files.conditions import write_condition
from rollout_server.domain.files.flags import write_flag
from rollout_server.domain.files.metrics import write_metric
from rollout_server.domain.files.pipelines import write_pipeline
from rollout_server.domain.files.policies import write_channel, write_policy
from rollout_server.domain.files.rollouts import write_freeze, write_rollout
from rollout_server.domain.guardrails.spec import MetricSpec
from rollout_server.domain.resources import CohortSpec, FlagSpec, TokenSpec
from rollout_server.domain.rollouts import ChannelSpec, FreezeSpec, PipelineSpec, PolicySpec, RolloutSpec

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.resources import Metadata, Resource


def write(resource: Resource) -> dict[str, Json]:
    """Return `kind`, `metadata` and `spec`; status and version are not people's to write and are left out.

    Raises:
        ValueError: the resource holds what no file can say: a token, one name twice in a map, a split of another law.
    """
    tree = _write_spec(resource)
    document: dict[str, Json] = {"kind": resource.kind.value, "metadata": write_metadata(resource.metadata)}
    if tree:
        document["spec"] = tree
    return document


def _write_spec(resource: Resource) -> dict[str, Json]:
    match resource.spec:
        case FlagSpec() as spec:
            return write_flag(spec)
        case CohortSpec() as spec:
            return _write_cohort(spec)
        case MetricSpec() as spec:
            return write_metric(spec)
        case PipelineSpec() as spec:
            return write_pipeline(spec)
        case RolloutSpec() as spec:
            return write_rollout(spec)
        case FreezeSpec() as spec:
            return write_freeze(spec)
        case ChannelSpec() as spec:
            return write_channel(spec)
        case PolicySpec() as spec:
            return write_policy(spec)
        case TokenSpec() | ChangeSpec():
            raise ValueError(f"{resource.id} is not written by people")


def write_metadata(metadata: Metadata) -> dict[str, Json]:
    """Return the map of `metadata`, defaults left out."""
    tree: dict[str, Json] = {"key": metadata.key}
    if metadata.owner:
        tree["owner"] = metadata.owner
    if metadata.description:
        tree["description"] = metadata.description
    if metadata.tags:
        tree["tags"] = list(metadata.tags)
    if metadata.expires:
        tree["expires"] = metadata.expires
    return tree


def _write_cohort(spec: CohortSpec) -> dict[str, Json]:
    tree: dict[str, Json] = {}
    if spec.unit != DEFAULT_UNIT:
        tree["unit"] = spec.unit
    if spec.include:
        tree["include"] = list(spec.include)
    if spec.exclude:
        tree["exclude"] = list(spec.exclude)
    if spec.when is not None:
        tree["when"] = write_condition(spec.when)
    return tree
