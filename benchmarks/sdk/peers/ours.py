"""Rollout Guard: `Client.decide`, the whole decision with variant, reason and stage; exposures counted."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread

from benchmarks.sdk.peer import Pass, Peer
from benchmarks.sdk.world import EVERYBODY, Flag, Rule, User
from rollout_sdk import Client, Context
from rollout_sdk.engine import model
from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.runtime import Runtime
from rollout_sdk.settings import Settings

VARIANTS = (model.Variant("on", value=True), model.Variant("off", value=False))
PPM_PER_PERCENT = 10_000
LIST = "listed"


class Ours(Peer):
    """A client without a server: `Client.offline`, which counts exposures as a connected one does."""

    @staticmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        from rollout_sdk.wire.codec import record_of_cohort, record_of_flag, record_of_rollout
        from rollout_sdk.wire.snapshot import pack

        cohort = model.Cohort(LIST, key_set(listed), key_set(()))
        records = [record_of_flag(_flag(flag), 1) for flag in flags]
        records += [record_of_rollout(_rollout(flag), 1) for flag in flags if flag.counted]
        records += [record_of_cohort(cohort, 1)] if listed else []
        return pack(model.Position("benchmark", 1, bytes(32)), records, cohort.include.chunks)

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        self._client = Client.offline(wire)
        self._users = users
        self._contexts = [Context(user.key, **user.attributes) for user in users]

    def ask(self, flag: str, user: int) -> bool:
        return self._client.decide(flag, self._contexts[user]).value is True

    @classmethod
    def write_sent(cls, flags: Sequence[Flag]) -> bytes:
        from rollout_sdk.wire import delivery, snapshot
        from rollout_sdk.wire.v1 import delivery_pb2, ruleset_pb2

        kept = snapshot.unpack(cls.write(flags, ()))
        update = delivery_pb2.Update(
            snapshot=True,
            position=delivery.write_position(kept.position),
            ruleset_digest=kept.ruleset_digest,
            records=[ruleset_pb2.Record.FromString(record.data) for record in kept.records],
        )
        return delivery_pb2.WatchResponse(update=update).SerializeToString()

    @classmethod
    def fed(cls, sent: bytes, users: Sequence[User]) -> Fed:
        return Fed(sent, users)

    def asking(self, flag: str) -> Pass:
        decide, contexts = self._client.decide, self._contexts

        def once() -> None:
            for context in contexts:
                decide(flag, context)

        return once

    def asking_anew(self, flag: str) -> Pass:
        decide, users = self._client.decide, self._users

        def once() -> None:
            for user in users:
                decide(flag, Context(user.key, country=user.country, plan=user.plan, age=user.age, email=user.email))

        return once

    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:  # noqa: ARG002 - it is asked for all it has
        decide_all, context = self._client.decide_all, self._contexts[user]
        return lambda: decide_all(context)

    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        decisions = self._client.decide_all(self._contexts[user])
        return [decisions[flag].value is True for flag in flags]

    def close(self) -> None:
        self._client.close()


class Fed(Ours):
    """A client whose thread gets what a server sends, without the server: ready when the client is."""

    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        self._runtime = Runtime(Settings())
        self._runtime.prepare(lambda: False)
        self._contexts = [Context(user.key, **user.attributes) for user in users]
        self._thread = Thread(target=self._receive, args=[wire])
        self._thread.start()
        self._runtime.wait_until_ready(None)

    def _receive(self, wire: bytes) -> None:
        from rollout_sdk.wire.delivery import read_response
        from rollout_sdk.wire.v1 import delivery_pb2

        message = read_response(delivery_pb2.WatchResponse.FromString(wire))
        if message is not None:
            self._runtime.receive(message)

    def ask(self, flag: str, user: int) -> bool:
        return self._runtime.front.now.decider.decide(flag, self._contexts[user]).value is True

    def settle(self) -> None:
        self._thread.join()

    def close(self) -> None:
        self._thread.join()
        self._runtime.close(0)


def _flag(flag: Flag) -> model.Flag:
    rules = [
        model.Rule(f"rule-{number}", model.Serve("on"), _condition(rule)) for number, rule in enumerate(flag.rules)
    ]
    if flag.lists:
        rules.append(model.Rule("listed", model.Serve("on"), model.InCohort(LIST)))
    if flag.counted:
        rules.append(model.Rule("share", model.ByRollout(flag.key)))
    elif 0 < flag.share < EVERYBODY:
        rules.append(model.Rule("share", _split(flag.share)))
    default = "on" if flag.share == EVERYBODY else "off"
    return model.Flag(flag.key, model.ValueType.BOOLEAN, VARIANTS, "off", default, salt16(flag.key), rules=tuple(rules))


def _split(percent: int) -> model.Split:
    on_ppm = percent * PPM_PER_PERCENT
    return model.Split((model.Weight("on", on_ppm), model.Weight("off", model.PPM - on_ppm)))


def _condition(rule: Rule) -> model.Leaf:
    operator = "<" if rule.operator == "below" else rule.operator
    return model.Leaf(rule.attribute, operator, rule.operand)


def _rollout(flag: Flag) -> model.RolloutState:
    reach = model.Reach("canary", flag.share * PPM_PER_PERCENT)
    return model.RolloutState(
        flag.key, flag.key, 1, "off", "on", salt16(flag.key), reaches=(reach,), allocation=1, stage="canary"
    )


PEER = Ours
