"""launchdarkly-server-sdk: `variation`, no events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING

from ldclient import Config, Context, LDClient
from ldclient.interfaces import UpdateProcessor
from ldclient.versioned_data_kind import FEATURES, SEGMENTS

from benchmarks.sdk.peer import Pass, Peer
from benchmarks.sdk.world import EVERYBODY, Flag, Rule, User

if TYPE_CHECKING:
    from ldclient.interfaces import FeatureStore

SEGMENT = "listed"
WEIGHT_PER_PERCENT = 1_000
ON, OFF = 0, 1


def _source(wire: bytes) -> type[UpdateProcessor]:
    """Return a data source that does with these bytes what the streaming one does with its first message."""

    class Source(UpdateProcessor):  # type: ignore[misc] # the library is not installed where types are checked
        def __init__(self, _config: Config, store: FeatureStore, ready: Event) -> None:
            self._store, self._ready = store, ready

        def start(self) -> None:
            data = json.loads(wire)
            self._store.init({FEATURES: data["flags"], SEGMENTS: data["segments"]})
            self._ready.set()

        def stop(self) -> None:
            pass

        def is_alive(self) -> bool:
            return False

        def initialized(self) -> bool:
            return True

    return Source


class LaunchDarkly(Peer):
    """A client on a data source of ours, without events."""

    @staticmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        segment = {"key": SEGMENT, "version": 1, "included": list(listed), "excluded": [], "rules": [], "salt": "s"}
        return json.dumps({"flags": {flag.key: _flag(flag) for flag in flags}, "segments": {SEGMENT: segment}}).encode()

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        config = Config("benchmark", update_processor_class=_source(wire), send_events=False, diagnostic_opt_out=True)
        self._client = LDClient(config, start_wait=5)
        self._users = users
        self._contexts = [_context(user) for user in users]

    def ask(self, flag: str, user: int) -> bool:
        return self._client.variation(flag, self._contexts[user], False) is True

    def asking(self, flag: str) -> Pass:
        decide, contexts = self._client.variation, self._contexts

        def once() -> None:
            for context in contexts:
                decide(flag, context, False)

        return once

    def asking_anew(self, flag: str) -> Pass:
        decide, users = self._client.variation, self._users

        def once() -> None:
            for user in users:
                decide(flag, _context(user), False)

        return once

    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:  # noqa: ARG002 - it is asked for all it has
        decide_all, context = self._client.all_flags_state, self._contexts[user]
        return lambda: decide_all(context)

    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        values = self._client.all_flags_state(self._contexts[user]).to_values_map()
        return [values[flag] is True for flag in flags]

    def close(self) -> None:
        self._client.close()


def _context(user: User) -> Context:
    builder = Context.builder(user.key).set("country", user.country).set("plan", user.plan)
    return builder.set("age", user.age).set("email", user.email).build()


def _flag(flag: Flag) -> dict[str, object]:
    rules = [
        {"id": f"rule-{number}", "variation": ON, "clauses": [_clause(rule)]} for number, rule in enumerate(flag.rules)
    ]
    if flag.lists:
        rules.append({"id": "listed", "variation": ON, "clauses": [_listed()]})
    return {
        "key": flag.key,
        "version": 1,
        "on": True,
        "variations": [True, False],
        "offVariation": OFF,
        "fallthrough": _rest(flag.share),
        "rules": rules,
        "salt": flag.key,
        "prerequisites": [],
        "targets": [],
        "contextTargets": [],
    }


def _rest(percent: int) -> dict[str, object]:
    if percent in (0, EVERYBODY):
        return {"variation": ON if percent else OFF}
    on = percent * WEIGHT_PER_PERCENT
    weights = [
        {"variation": ON, "weight": on},
        {"variation": OFF, "weight": EVERYBODY * WEIGHT_PER_PERCENT - on},
    ]
    return {"rollout": {"contextKind": "user", "variations": weights}}


def _clause(rule: Rule) -> dict[str, object]:
    operator = {"in": "in", "below": "lessThan", "ends_with": "endsWith"}[rule.operator]
    values = list(rule.operand) if isinstance(rule.operand, tuple) else [rule.operand]
    return {"attribute": rule.attribute, "op": operator, "values": values, "negate": False, "contextKind": "user"}


def _listed() -> dict[str, object]:
    return {"attribute": "", "op": "segmentMatch", "values": [SEGMENT], "negate": False, "contextKind": "user"}


PEER = LaunchDarkly
