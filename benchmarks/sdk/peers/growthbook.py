"""growthbook: an instance for each user, as its guide has one for each request; `is_on`, no tracking."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from growthbook import GrowthBook

from benchmarks.sdk.peer import Pass, Peer
from benchmarks.sdk.world import EVERYBODY, Flag, Rule, User

GROUP = "listed"


class GrowthBookPeer(Peer):
    """Instances that share the payload as read."""

    @staticmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        payload = {"features": {flag.key: _feature(flag) for flag in flags}, "savedGroups": {GROUP: list(listed)}}
        return json.dumps(payload).encode()

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        payload = json.loads(wire)
        self._features, self._groups = payload["features"], payload["savedGroups"]
        self._users = users
        self._parsed = self._instance({}, self._features).get_features()
        self._instances = [self._instance({"id": user.key, **user.attributes}, self._parsed) for user in users]

    def _instance(self, attributes: dict[str, str | int], features: dict[str, object]) -> GrowthBook:
        """An instance; parsed features are shared, for reading them anew for each user would take minutes."""
        return GrowthBook(attributes=attributes, features=features, saved_groups=self._groups)

    def ask(self, flag: str, user: int) -> bool:
        return self._instances[user].is_on(flag) is True

    def asking(self, flag: str) -> Pass:
        instances = self._instances

        def once() -> None:
            for instance in instances:
                instance.is_on(flag)

        return once

    def asking_anew(self, flag: str) -> Pass:
        users, instance = self._users, self._instance({}, self._parsed)

        def once() -> None:
            for user in users:
                instance.set_attributes(
                    {"id": user.key, "country": user.country, "plan": user.plan, "age": user.age, "email": user.email}
                )
                instance.is_on(flag)

        return once

    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:
        is_on = self._instances[user].is_on
        return lambda: [is_on(flag) for flag in flags]

    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        return [self.ask(flag, user) for flag in flags]

    def close(self) -> None:
        for instance in self._instances:
            instance.destroy()


def _feature(flag: Flag) -> dict[str, object]:
    rules: list[dict[str, object]] = [
        {"condition": {rule.attribute: _condition(rule)}, "force": True} for rule in flag.rules
    ]
    if flag.lists:
        rules.append({"condition": {"id": {"$inGroup": GROUP}}, "force": True})
    if 0 < flag.share < EVERYBODY:
        rules.append({"coverage": flag.share / EVERYBODY, "hashAttribute": "id", "seed": flag.key, "force": True})
    return {"defaultValue": flag.share == EVERYBODY, "rules": rules}


def _condition(rule: Rule) -> dict[str, object]:
    match rule.operand:
        case int(bound):
            return {"$lt": bound}
        case str(end):
            return {"$regex": re.escape(end) + "$"}
        case texts:
            return {"$in": list(texts)}


PEER = GrowthBookPeer
