"""eppo-server-sdk, whose evaluator is Rust: `get_boolean_assignment`, no events."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import eppo_client

from benchmarks.sdk.peer import Pass, Peer
from benchmarks.sdk.world import EVERYBODY, Flag, Rule, User

SHARDS = 10_000
PER_PERCENT = SHARDS // EVERYBODY


class Eppo(Peer):
    """A client with its first configuration, that never polls and logs nothing."""

    @staticmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        configuration = {
            "createdAt": "2026-01-01T00:00:00.000Z",
            "format": "SERVER",
            "environment": {"name": "benchmark"},
            "flags": {flag.key: _flag(flag, listed) for flag in flags},
        }
        return json.dumps(configuration).encode()

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        self._client = eppo_client.init(
            eppo_client.ClientConfig(
                api_key="benchmark",
                base_url="http://127.0.0.1:1",
                assignment_logger=eppo_client.AssignmentLogger(),
                poll_interval_seconds=None,
                initial_configuration=eppo_client.Configuration(flags_configuration=wire),
            )
        )
        self._users = users
        self._subjects = [(user.key, user.attributes) for user in users]

    def ask(self, flag: str, user: int) -> bool:
        key, attributes = self._subjects[user]
        return self._client.get_boolean_assignment(flag, key, attributes, False) is True

    def asking(self, flag: str) -> Pass:
        decide, subjects = self._client.get_boolean_assignment, self._subjects

        def once() -> None:
            for key, attributes in subjects:
                decide(flag, key, attributes, False)

        return once

    def asking_anew(self, flag: str) -> Pass:
        decide, users = self._client.get_boolean_assignment, self._users

        def once() -> None:
            for user in users:
                attributes = {"country": user.country, "plan": user.plan, "age": user.age, "email": user.email}
                decide(flag, user.key, attributes, False)

        return once

    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:
        decide, (key, attributes) = self._client.get_boolean_assignment, self._subjects[user]
        return lambda: [decide(flag, key, attributes, False) for flag in flags]

    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        return [self.ask(flag, user) for flag in flags]

    def close(self) -> None:
        self._client.shutdown()


def _flag(flag: Flag, listed: Sequence[str]) -> dict[str, object]:
    rules = [_condition(rule) for rule in flag.rules]
    if flag.lists:
        rules.append({"attribute": "id", "operator": "ONE_OF", "value": list(listed)})
    allocations = [
        _allocation(f"{flag.key}-rule-{number}", [("on", 0, SHARDS)], [{"conditions": [condition]}])
        for number, condition in enumerate(rules)
    ]
    on = flag.share * PER_PERCENT
    allocations.append(_allocation(f"{flag.key}-rest", [("on", 0, on), ("off", on, SHARDS)], None))
    return {
        "key": flag.key,
        "enabled": True,
        "variationType": "BOOLEAN",
        "variations": {"on": {"key": "on", "value": True}, "off": {"key": "off", "value": False}},
        "allocations": allocations,
        "totalShards": SHARDS,
    }


def _allocation(key: str, shares: Sequence[tuple[str, int, int]], rules: object) -> dict[str, object]:
    """An allocation; a share of everybody needs no shards, which is quicker."""
    splits = [
        {
            "variationKey": variation,
            "shards": [] if (start, end) == (0, SHARDS) else [{"salt": key, "ranges": [{"start": start, "end": end}]}],
        }
        for variation, start, end in shares
        if start < end
    ]
    allocation: dict[str, object] = {"key": key, "splits": splits, "doLog": False}
    return allocation if rules is None else allocation | {"rules": rules}


def _condition(rule: Rule) -> dict[str, object]:
    match rule.operand:
        case int(bound):
            return {"attribute": rule.attribute, "operator": "LT", "value": bound}
        case str(end):
            return {"attribute": rule.attribute, "operator": "MATCHES", "value": re.escape(end) + "$"}
        case texts:
            return {"attribute": rule.attribute, "operator": "ONE_OF", "value": list(texts)}


PEER = Eppo
