"""A small environment in which one rollout moves one flag, made as people make it, and what is wrong with edits."""

from __future__ import annotations

from typing import Any as Anything

from rollout_server.domain.journal import State
from rollout_server.domain.resources import Kind, Resource, ResourceId
from tests.small_state import EMPTY, applied, cohort_document, document, flag_document, wished

STAGE = {"name": "canary", "share": "1%", "soak": "1h"}
FLAG = flag_document("checkout", {"id": "launch", "rollout": "launch"})
ERRORS = document("Metric", "errors", measures="proportion", bad="high")
LATENCY = document("Metric", "latency", measures="quantile", quantile="p95", per="event", unit="seconds")
CONVERSION = document("Metric", "conversion", measures="proportion", bad="low")
TEAM = document("Channel", "team", command=["notify", "--team"])
POLICY = document("Policy", "people", groups={"managers": ["mia", "kai"]})
STAFF = cohort_document("staff", "u-1", "u-2", "u-3")
GUARDED = [{"metric": "errors", "limit": "+20%"}]


def pipeline(*stages: dict[str, Anything], key: str = "careful", **spec: Anything) -> Resource:
    return document("Pipeline", key, stages=list(stages or (STAGE,)), **spec)


def rollout(key: str = "launch", **spec: Anything) -> Resource:
    whole = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful", **spec}
    return document("Rollout", key, **whole)


STATE: State = applied(
    EMPTY, FLAG, ERRORS, LATENCY, CONVERSION, TEAM, POLICY, STAFF, pipeline(guardrails=GUARDED), rollout()
)


def wrong(*documents: Resource, state: State = STATE) -> list[tuple[str, str, str]]:
    """What is wrong with applying these: resource, place and code, in order."""
    return [(one.resource, one.path, one.code) for one in wished(state, *documents).problems]


def places(*documents: Resource, state: State = STATE) -> list[tuple[str, str]]:
    """As `wrong`, where it is clear which resource is meant."""
    return [(path, code) for _, path, code in wrong(*documents, state=state)]


def id_of(kind: Kind, key: str) -> ResourceId:
    return ResourceId(kind, key)
