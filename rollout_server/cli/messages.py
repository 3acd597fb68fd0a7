"""The server's answers as plain data: the stable shape of `-o json` (tests/unit/server/cli/test_messages.py).

Only reads messages, so it needs no import of them: loading the command line stays cheap.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.wire.v1 import control_pb2, ruleset_pb2
    from rollout_server.cli.yaml_text import Data

OPERATIONS = {0: "unknown", 1: "create", 2: "update", 3: "delete", 4: "unchanged"}
CHANGE_STATES = {0: "unknown", 1: "waiting", 2: "applied", 3: "voided", 4: "rejected", 5: "expired"}
STATES = {0: "unknown", 1: "in force", 2: "quarantined", 3: "straggling", 4: "unreachable"}


def resource_id(kind: str, key: str) -> str:
    """Return "flag/checkout-v2"."""
    return f"{kind.lower()}/{key}"


def parsed(text: str) -> Data:
    """Return JSON text as data; None for an empty one, the text itself where it is no JSON."""
    if not text:
        return None
    try:
        value: Data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def position(message: ruleset_pb2.Position) -> dict[str, Data]:
    """Return a point of history."""
    return {"epoch": message.epoch, "revision": message.revision, "digest": message.digest.hex()}


def change(message: control_pb2.ResourceChange) -> dict[str, Data]:
    """Return one resource's change with its fields."""
    return {
        "resource": resource_id(message.kind, message.key),
        "operation": OPERATIONS.get(message.operation, "unknown"),
        "version_before": message.version_before,
        "version_after": message.version_after,
        "fields": [
            {"path": field.path, "before": parsed(field.before_json), "after": parsed(field.after_json)}
            for field in message.fields
        ],
    }


def changes(messages: Iterable[control_pb2.ResourceChange]) -> list[Data]:
    """Return changes, those that change nothing left out."""
    return [change(message) for message in messages if OPERATIONS.get(message.operation) != "unchanged"]


def entry(message: control_pb2.Entry) -> dict[str, Data]:
    """Return one entry of the journal, with the command that undoes it."""
    return {
        "revision": message.revision,
        "at_ms": message.at_ms,
        "actor": message.actor,
        "action": message.action,
        "reason": message.reason,
        "changes": changes(message.changes),
        "digest": message.digest.hex(),
        "undo": undo(message),
    }


def person(actor: str) -> str:
    """Return who acted, without the visible prefix of their token: "mia@example.com (rg_a1b2)" is two facts."""
    who, _, token = actor.rpartition(" (")
    return who if who and token.endswith(")") else actor


def undo(message: control_pb2.Entry) -> str:
    """Return the command that undoes an entry; empty where there is none."""
    first = message.changes[0].key if message.changes else ""
    by_verb = {
        "kill": f"rollout unkill {first}",
        "unkill": f"rollout kill {first}",
        **dict.fromkeys(("start", "promote", "finish"), f"rollout rollback {first}"),
        "pause": f"rollout resume {first}",
        "resume": f"rollout pause {first}",
        "cancel": f"rollout start {first}",
        "freeze": f"rollout thaw {first}",
        "thaw": f"rollout revert {message.revision}",
        "create token": f"rollout token revoke {first}",
        "store change": f"rollout reject change/{first}",
        "apply": f"rollout revert {message.revision}",
        "revert": f"rollout revert {message.revision}",
    }
    return by_verb.get(message.action, "")


def resource(message: control_pb2.Resource) -> dict[str, Data]:
    """Return a resource as it stands: its document, and beside it status, version and dependents."""
    document = parsed(message.document.json)
    base = dict(document) if isinstance(document, dict) else {"document": document}
    return {
        **base,
        "status": parsed(message.status_json),
        "version": message.version,
        "dependents": list(message.dependents),
    }


def instance(message: control_pb2.Instance) -> dict[str, Data]:
    """Return one process that runs an SDK; `lag_ms` is None where it joined later."""
    return {
        "instance": message.instance_id,
        "service": message.service,
        "host": message.host,
        "behind": message.behind,
        "server": message.replica,
        "pid": message.pid,
        "sdk_version": message.sdk_version,
        "state": STATES.get(message.state, "unknown"),
        "revision": message.in_force.revision,
        "lag_ms": message.lag_ms if message.lag_ms >= 0 else None,
        "connected_at_ms": message.connected_at_ms,
        "last_seen_at_ms": message.last_seen_at_ms,
        "quarantined_flags": list(message.quarantined_flags),
        "missing_capabilities": list(message.missing_capabilities),
        "error": message.error,
    }


def token(message: control_pb2.Token) -> dict[str, Data]:
    """Return a token without its secret; a moment that never comes is None."""
    return {
        "id": message.id,
        "role": message.role,
        "person": message.person,
        "created_at_ms": message.created_at_ms,
        "expires_at_ms": message.expires_at_ms or None,
        "revoked_at_ms": message.revoked_at_ms or None,
    }


def move(message: control_pb2.Move) -> dict[str, Data]:
    """Return one unit that changes variant."""
    return {
        "flag": message.flag,
        "unit_kind": message.unit_kind,
        "unit_key": message.unit_key,
        "variant_before": message.variant_before,
        "variant_after": message.variant_after,
        "reason_before": message.reason_before,
        "reason_after": message.reason_after,
        "rule_before": message.rule_before,
        "rule_after": message.rule_after,
    }


def demand(message: control_pb2.Demand) -> dict[str, Data]:
    """Return who must agree."""
    return {
        "group": message.group,
        "count": message.count,
        "people": list(message.people),
        "because": list(message.because),
    }


def stored(message: control_pb2.Change) -> dict[str, Data]:
    """Return a change as it stands; what has not come yet is None."""
    return {
        "change": message.number,
        "state": CHANGE_STATES.get(message.state, "unknown"),
        "action": message.action,
        "reverts": message.reverts or None,
        "author": message.author,
        "reason": message.reason,
        "summary": message.summary,
        "stored_at_ms": message.stored_at_ms,
        "stored_revision": message.stored_revision,
        "expires_at_ms": message.expires_at_ms,
        "plan_hash": message.plan_hash,
        "demands": [demand(one) for one in message.demands],
        "approvals": [{"person": one.person, "at_ms": one.at_ms, "reason": one.reason} for one in message.approvals],
        "missing": [demand(one) for one in message.missing],
        "ended_revision": message.ended_revision or None,
        "ended_by": message.ended_by or None,
        "because": message.because or None,
    }


def summary(message: control_pb2.PlanSummary, moves: Iterable[control_pb2.Move] = ()) -> dict[str, Data]:
    """Return a plan whole: what a saved plan holds and what `-o json` prints."""
    return {
        "hash": message.hash,
        "position": position(message.position),
        "changes": changes(message.changes),
        "dependents": [{"id": item.id, "because": item.because} for item in message.dependents],
        "reads": {key: message.reads[key] for key in sorted(message.reads)},
        "shrinks": message.shrinks,
        "growth": list(message.growth),
        "population": message.population,
        "population_is_synthetic": message.population_is_synthetic,
        "moves": [
            {
                "flag": item.flag,
                "moved": item.moved,
                "never": item.never_count,
                "by_variant": [
                    {"before": one.variant_before, "after": one.variant_after, "count": one.count}
                    for one in item.by_variant
                ],
            }
            for item in message.moves
        ],
        "units": [move(item) for item in moves],
        "unsupported": list(message.unsupported),
        "warnings": list(message.warnings),
        "approvals": [demand(item) for item in message.approvals],
    }
