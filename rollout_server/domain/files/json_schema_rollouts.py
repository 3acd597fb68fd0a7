"""JSON Schema of metrics, pipelines, rollouts, freezes, channels and policies, in the words of their readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import ATTRIBUTE_PATH_CHARS, REGEX_BYTES, SALT_CHARS
from rollout_server.domain.files import bounds, durations, percent
from rollout_server.domain.files.fields import words
from rollout_server.domain.files.pipelines import EVERYONE, HEALTHY
from rollout_server.domain.files.policies import KINDS, REQUIRABLE
from rollout_server.domain.files.quantities import COUNT_MAX, QUANTILE_PATTERN
from rollout_server.domain.files.schema_parts import closed_map, ref, text, texts
from rollout_server.domain.guardrails.spec import Action, Bad, Measures, Per, Source
from rollout_server.domain.rollouts import AfterHold

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json

_MOMENT = text(description='RFC 3339 with its zone: "2026-12-01T09:00:00+09:00"')
_WHEN = text(description='RFC 3339 with its zone, or every week: "FRI 16:00"')
_COUNT: dict[str, Json] = {"type": "integer", "minimum": 0, "maximum": COUNT_MAX}


def definitions() -> dict[str, Json]:
    """Return what the kinds are made of, by the name under which they refer to each other."""
    return {
        "metricSpec": _metric(),
        "pipelineSpec": _pipeline(),
        "rolloutSpec": _rollout(),
        "freezeSpec": _freeze(),
        "channelSpec": _channel(),
        "policySpec": _policy(),
        "never": {"type": "array", "items": {"anyOf": [ref("key"), ref("condition")]}},
        "duration": {"type": "string", "pattern": durations.DURATION_PATTERN, "examples": ["30m", "1h", "1d"]},
        "change": {"type": "string", "pattern": percent.CHANGE_PATTERN, "examples": ["+20%", "-3%"]},
        "stage": _stage(),
        "guardrail": _guardrail(),
        "approval": closed_map(
            {"from": ref("key"), "count": {**_COUNT, "description": "How many different members; 1 if left out."}},
            ("from",),
        ),
    }


def _metric() -> dict[str, Json]:
    query = text(bounds.QUERY_CHARACTERS_MAX, description='PromQL of a counter for each arm, with {arm="{arm}"} in it')
    return closed_map(
        {
            "measures": {"enum": _words(Measures)},
            "quantile": {"type": "string", "pattern": QUANTILE_PATTERN, "examples": ["p95"]},
            "per": {"enum": _words(Per)},
            "unit": text(bounds.UNIT_CHARACTERS_MAX, description="Of its values: seconds, EUR."),
            "bad": {"enum": _words(Bad)},
            "late": ref("duration"),
            "source": {"enum": _words(Source)},
            "numerator": query,
            "denominator": query,
        },
        ("measures",),
    )


def _pipeline() -> dict[str, Json]:
    escalation = closed_map({"after": ref("duration"), "notify": ref("key")}, ("after", "notify"))
    return closed_map(
        {
            "strata": texts(ATTRIBUTE_PATH_CHARS),
            "stages": {"type": "array", "items": ref("stage")},
            "finish": closed_map({"share": ref("percentage"), "watch": ref("duration")}),
            "guardrails": {"type": "array", "items": ref("guardrail")},
            "on_blind": closed_map({"hold": ref("duration"), "then": {"enum": _words(AfterHold)}}, ("hold", "then")),
            "escalation": {"type": "array", "items": escalation},
        },
        ("stages",),
    )


def _stage() -> Json:
    audience: Json = {
        "anyOf": [{"const": EVERYONE}, ref("condition")],
        "description": "Everyone, a cohort, or a condition.",
    }
    wanted = closed_map({"exposed": _COUNT, "guardrails": {"const": HEALTHY}, "approval": ref("approval")})
    return closed_map(
        {
            "name": ref("key"),
            "audience": audience,
            "share": ref("percentage"),
            "ramp": ref("duration"),
            "soak": ref("duration"),
            "exit": wanted,
            "owner": text(bounds.OWNER_CHARACTERS_MAX),
        },
        ("name", "share"),
    )


def _guardrail() -> Json:
    at_least: Json = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": percent.POINTS_PATTERN}]}
    limit: Json = {
        "anyOf": [
            ref("change"),
            closed_map({"relative": ref("change"), "at_least": at_least}, ("relative",)),
            closed_map({"absolute": {"type": "number"}}, ("absolute",)),
        ],
        "description": "Against the control (+10%, with the sign of what is bad), or a number in the metric's unit.",
    }
    return closed_map(
        {
            "metric": ref("key"),
            "limit": limit,
            "action": {"enum": _words(Action)},
            "weight": ref("percentage"),
            "tolerance": ref("percentage"),
        },
        ("metric", "limit"),
    )


def _rollout() -> dict[str, Json]:
    return closed_map(
        {
            "flag": ref("key"),
            "from": ref("variant"),
            "to": ref("variant"),
            "pipeline": ref("key"),
            "never": ref("never"),
            "start": _MOMENT,
            "after": closed_map({"environment": ref("key")}, ("environment",)),
            "salt": {"type": "string", "pattern": f"^[a-z0-9-]{{{SALT_CHARS}}}$"},
        },
        ("flag", "from", "to", "pipeline"),
    )


def _freeze() -> dict[str, Json]:
    return closed_map(
        {
            "from": _WHEN,
            "to": _WHEN,
            "zone": text(description="IANA name: Asia/Seoul"),
            "tags": texts(bounds.TAG_CHARACTERS_MAX),
            "except": texts(bounds.OWNER_CHARACTERS_MAX),
            "stagger": ref("duration"),
        },
        ("from", "to"),
    )


def _channel() -> dict[str, Json]:
    command: Json = {
        "type": "array",
        "minItems": 1,
        "maxItems": bounds.ARGUMENTS_MAX,
        "items": text(bounds.URL_CHARACTERS_MAX),
        "description": "A program and its arguments; the notification arrives on its standard input as JSON.",
    }
    url = text(bounds.URL_CHARACTERS_MAX)
    secret = closed_map({"env": text(bounds.OWNER_CHARACTERS_MAX)}, ("env",))
    one: list[Json] = [{"required": [name]} for name in ("webhook", "command", "apprise")]
    return closed_map({"webhook": url, "command": command, "apprise": url, "secret": secret}, oneOf=one)


def _policy() -> dict[str, Json]:
    kinds: Json = {"enum": list(KINDS)}
    people: Json = {**texts(bounds.OWNER_CHARACTERS_MAX), "maxItems": bounds.MEMBERS_MAX}
    return closed_map(
        {
            "groups": {"type": "object", "propertyNames": ref("key"), "additionalProperties": people},
            "approvals": {"type": "object", "propertyNames": kinds, "additionalProperties": ref("approval")},
            "names": {"type": "object", "propertyNames": kinds, "additionalProperties": text(REGEX_BYTES)},
            "require": {"type": "array", "items": {"enum": list(REQUIRABLE)}},
        }
    )


def _words(choices: type[Action | AfterHold | Bad | Measures | Per | Source]) -> list[Json]:
    return list(words(choices))
