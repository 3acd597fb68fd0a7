"""A first ruleset decides the same while it is read, flag by flag, as afterwards, whatever its records hold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sdk import preview
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.model import Cohort, Flag, FlagState, Origin, RolloutState
from rollout_sdk.held import work_out
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RecordKind, WireRecord, digest_of
from rollout_sdk.wire.v1 import ruleset_pb2
from tests.doubles.delivery_server import record
from tests.evaluation_worlds import World, seeded
from tests.small_rules import position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.decide import Decider

ORIGIN = Origin("epoch-1", 1)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rulesets of any size and kind are previewed."""
    monkeypatch.setattr(preview, "FLAGS_MIN", 1)
    monkeypatch.setattr(preview, "UNREAD_PER_READ", 0)


def part_of(world: World, random: Random) -> Part:
    """A snapshot of a world, the payloads of two of its records damaged."""
    ruleset = world.ruleset()
    resources: list[Flag | Cohort | RolloutState | FlagState] = [
        *ruleset.flags.values(),
        *ruleset.cohorts.values(),
        *ruleset.rollouts.values(),
        *ruleset.states.values(),
    ]
    records = []
    for each in resources:
        with suppress(TypeError, ValueError):  # some bad flags cannot even be written
            records.append(record(each, 1))
    for index in random.sample(range(len(records)), 2):
        records[index] = damaged(records[index], random)
    chunks = {
        chunk.digest: chunk.data
        for cohort in ruleset.cohorts.values()
        for keys in (cohort.include, cohort.exclude)
        for chunk in keys.chunks
    }
    digest = digest_of(records).to_bytes()
    return Part(True, 0, position(1), digest, tuple(chunks.items()), tuple(records))


def damaged(good: WireRecord, random: Random) -> WireRecord:
    message = ruleset_pb2.Record.FromString(good.data)
    payload = bytearray(message.payload)
    payload[random.randrange(len(payload))] ^= 1 << random.randrange(8)
    message.payload = bytes(payload)
    return replace(good, data=message.SerializeToString(deterministic=True))


def answers(decider: Decider, keys: Sequence[str], contexts: Sequence[Context]) -> dict[str, list[str]]:
    return {key: [decision_json(decider.decide(key, context)) for context in contexts] for key in keys}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_asked_for_early_decides_as_the_whole(seed: int) -> None:
    """Decisions, in any order of asking, and in the end what is refused and why."""
    random = seeded(seed)
    world = World(random, bad_share=0.2)
    part = part_of(world, random)
    whole, early = work_out(None, [part]), preview.preview([part])
    assert early is not None
    keys = [key for kind, key in (each.id for each in part.records) if kind == RecordKind.FLAG]
    contexts = [world.context() for _ in range(3)]
    asked = random.sample([*keys, "nobody"], len(keys) + 1)
    decider, early_decider = whole.compiled.bind(ORIGIN), early.compiled.bind(ORIGIN)
    assert answers(early_decider, asked, contexts) == answers(decider, asked, contexts)
    assert set(early.quarantined) == set(whole.quarantined)
    assert dict(early.compiled.quarantined) == dict(whole.compiled.quarantined)
    assert early_decider.decide_all(contexts[0]).keys() == decider.decide_all(contexts[0]).keys()
    flags = whole.compiled.flags.items()
    exposing = {key for key, flag in flags if any(each.state.reaches for each in flag.rollouts.values())}
    assert exposing <= early.counted.keys()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_all_at_once_decides_as_the_whole(seed: int) -> None:
    """What `decide_all` says, of quarantined flags too."""
    random = seeded(seed)
    world = World(random, bad_share=0.2)
    part = part_of(world, random)
    early = preview.preview([part])
    assert early is not None
    context = world.context()
    found = early.compiled.bind(ORIGIN).decide_all(context)
    expected = work_out(None, [part]).compiled.bind(ORIGIN).decide_all(context)
    assert {key: decision_json(each) for key, each in found.items()} == {
        key: decision_json(each) for key, each in expected.items()
    }
