"""statsig-python-core, whose evaluator is Rust: `check_gate`, all logging off."""

from __future__ import annotations

import json
from collections.abc import Sequence

from statsig_python_core import DataStore, Statsig, StatsigOptions, StatsigUser
from statsig_python_core.data_store import DataStoreResponse

from benchmarks.sdk.peer import Pass, Peer
from benchmarks.sdk.world import EVERYBODY, Flag, Rule, User

EVERYONE = "everyone"


class _Memory(DataStore):  # type: ignore[misc] # the library is not installed where types are checked
    """A data store that holds one set of specs."""

    def __init__(self, specs: str) -> None:
        super().__init__()
        self._specs = specs

    def get(self, key: str) -> DataStoreResponse:  # noqa: ARG002 - the library asks for one key
        return DataStoreResponse(result=self._specs, time=1)


class StatsigPeer(Peer):
    """A client that reads a data store and has no network."""

    @staticmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        conditions: dict[str, object] = {EVERYONE: _condition("public", None, None, None)}
        gates = {flag.key: _gate(flag, listed, conditions) for flag in flags}
        specs = {
            "has_updates": True,
            "time": 1,
            "response_format": "dcs-v2",
            "company_id": "benchmark",
            "feature_gates": gates,
            "condition_map": conditions,
            "dynamic_configs": {},
            "layer_configs": {},
            "layers": {},
            "experiment_to_layer": {},
        }
        return json.dumps(specs).encode()

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        options = StatsigOptions()
        options.data_store = _Memory(wire.decode())
        options.disable_network = True
        options.disable_all_logging = True
        options.output_log_level = "none"
        self._client = Statsig("secret-benchmark", options)
        self._client.initialize().wait()
        self._users = users
        self._contexts = [_user(user) for user in users]

    def ask(self, flag: str, user: int) -> bool:
        return self._client.check_gate(self._contexts[user], flag) is True

    def asking(self, flag: str) -> Pass:
        decide, contexts = self._client.check_gate, self._contexts

        def once() -> None:
            for context in contexts:
                decide(context, flag)

        return once

    def asking_anew(self, flag: str) -> Pass:
        decide, users = self._client.check_gate, self._users

        def once() -> None:
            for user in users:
                decide(_user(user), flag)

        return once

    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:
        decide, context = self._client.check_gate, self._contexts[user]
        return lambda: [decide(context, flag) for flag in flags]

    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        return [self.ask(flag, user) for flag in flags]

    def close(self) -> None:
        self._client.shutdown().wait()


def _user(user: User) -> StatsigUser:
    return StatsigUser(user.key, email=user.email, country=user.country, custom={"plan": user.plan, "age": user.age})


def _gate(flag: Flag, listed: Sequence[str], conditions: dict[str, object]) -> dict[str, object]:
    rules = []
    for rule in flag.rules:
        name = f"{rule.attribute} {rule.operator} {rule.operand}"
        conditions[name] = _leaf(rule)
        rules.append(_rule(name, EVERYBODY))
    if flag.lists:
        conditions["listed"] = _condition("unit_id", "any_case_sensitive", list(listed), None)
        rules.append(_rule("listed", EVERYBODY))
    if flag.share:
        rules.append(_rule(EVERYONE, flag.share))
    return {
        "type": "feature_gate",
        "entity": "feature_gate",
        "salt": flag.key,
        "enabled": True,
        "defaultValue": False,
        "idType": "userID",
        "version": 1,
        "rules": rules,
    }


def _rule(condition: str, percent: int) -> dict[str, object]:
    return {
        "name": condition,
        "id": condition,
        "salt": condition,
        "passPercentage": percent,
        "conditions": [condition],
        "returnValue": True,
        "idType": "userID",
    }


def _leaf(rule: Rule) -> dict[str, object]:
    match rule.operand:
        case int(bound):
            return _condition("user_field", "lt", bound, rule.attribute)
        case str(end):
            return _condition("user_field", "str_ends_with_any", [end], rule.attribute)
        case texts:
            return _condition("user_field", "any_case_sensitive", list(texts), rule.attribute)


def _condition(kind: str, operator: str | None, target: object, field: str | None) -> dict[str, object]:
    return {"type": kind, "operator": operator, "targetValue": target, "field": field, "idType": "userID"}


PEER = StatsigPeer
