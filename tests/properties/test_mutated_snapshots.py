"""Promise 3: whatever one record holds, no crash, and no flag that does not use it changes its decisions.

Every mutation is confined to the payload of one record: bytes flipped, cut, inserted, swapped between records; fields
of the parsed message blanked, set to unknown enums, operators, laws and kinds, to numbers at the borders, to text from
elsewhere, repeated, or joined by fields of a later schema.
"""

# ruff: noqa: S311 - a seed that fails must fail again
from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.model import (
    Cohort,
    Flag,
    FlagState,
    InCohort,
    Leaf,
    OnMissing,
    Origin,
    Reach,
    Requirement,
    RolloutState,
    Rule,
    Serve,
)
from rollout_sdk.held import Held, work_out
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RecordKind, WireError, WireRecord
from rollout_sdk.wire.snapshot import frame, pack, unpack
from rollout_sdk.wire.v1 import resources_pb2, ruleset_pb2
from tests.doubles.delivery_server import record
from tests.small_rules import boolean, by_rollout, cohort, for_cohort, full, position, rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 2_000
SOAK = 100_000

RESOURCES: tuple[Flag | Cohort | FlagState | RolloutState, ...] = (
    full("target"),
    boolean("parent"),
    cohort("barred", "u-9"),
    replace(cohort("staff", "u-1", "u-2"), when=Leaf("country", "equals", "TH")),
    for_cohort("by-cohort", "staff"),
    replace(boolean("child"), requires=(Requirement("target", ("big",)),)),
    boolean("healthy", rules=(Rule("th", Serve("off"), Leaf("country", "in", ("TH",))),)),
    boolean("killed"),
    FlagState("killed", killed=True),
    FlagState("target"),
    by_rollout("moved", "launch"),
    replace(
        rollout(
            "launch",
            "moved",
            Reach("staff", 1_000_000, InCohort("staff")),
            Reach("canary", 250_000, Leaf("country", "in", ("TH", "DE"))),
        ),
        never=(Leaf("regulated", "equals", operand=True, on_missing=OnMissing.NO_MATCH),),
        allocation=3,
        stage="canary",
        strata=("tenant",),
    ),
)
RECORDS = tuple(record(resource, 1) for resource in RESOURCES)
CHUNKS = tuple(
    (chunk.digest, chunk.data)
    for resource in RESOURCES
    if isinstance(resource, Cohort)
    for chunk in resource.include.chunks
)
USERS: dict[tuple[int, str], set[str]] = {
    (RecordKind.FLAG, "target"): {"target", "child"},
    (RecordKind.FLAG, "parent"): {"parent", "target", "child"},
    (RecordKind.FLAG, "child"): {"child"},
    (RecordKind.FLAG, "by-cohort"): {"by-cohort"},
    (RecordKind.FLAG, "healthy"): {"healthy"},
    (RecordKind.FLAG, "killed"): {"killed"},
    (RecordKind.COHORT, "barred"): {"target", "child"},
    (RecordKind.COHORT, "staff"): {"by-cohort", "moved"},
    (RecordKind.FLAG_STATE, "killed"): {"killed"},
    (RecordKind.FLAG_STATE, "target"): {"target", "child"},
    (RecordKind.FLAG, "moved"): {"moved"},
    (RecordKind.ROLLOUT, "launch"): {"moved"},
}
FLAGS = tuple(resource.key for resource in RESOURCES if isinstance(resource, Flag))
CONTEXTS = (
    Context(),
    Context("u-1", country="TH"),
    Context("u-2", country="KR", email="a@example.COM"),
    Context.of({"user": "u-9", "tenant": "t-1"}, {"country": "DE"}),
    Context.of({"tenant": "x-5"}, {"country": 7}),
)
MESSAGES: dict[int, type[Message]] = {
    RecordKind.FLAG: resources_pb2.Flag,
    RecordKind.COHORT: resources_pb2.Cohort,
    RecordKind.FLAG_STATE: ruleset_pb2.FlagState,
    RecordKind.ROLLOUT: ruleset_pb2.RolloutState,
}
NUMBERS = (0, 1, 2, 9, 99, 250_001, 2**31 - 1, 2**32 - 1)
TEXTS = ("", "telepathy", "off", "target", "x" * 300, "[", "[]", "null", '{"a":1}', "1e400", "\u202e", "[[1]]", "-1")
LATER = b"\xa2\x1f\x05later"
"""A field that no release of today knows."""


def part(records: tuple[WireRecord, ...], revision: int, base: int | None = None) -> Part:
    return Part(base is None, base or 0, position(revision), b"", () if base else CHUNKS, records)


def decisions(held: Held) -> dict[str, list[str]]:
    decider = held.compiled.bind(Origin())
    found: dict[str, list[str]] = {}
    for flag in FLAGS:
        answers = [decider.decide(flag, context) for context in CONTEXTS]
        found[flag] = [decision_json(each) for each in answers]
    return found


def mutated(payload: bytes, kind: int, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        message = MESSAGES[kind].FromString(payload)
        for _ in range(rng.randint(1, 3)):
            mutate_field(message, rng)
        return message.SerializeToString() + (LATER if rng.random() < 0.1 else b"")
    data = bytearray(payload)
    for _ in range(rng.randint(1, 3)):
        mutate_bytes(data, rng)
    return bytes(data)


def mutate_bytes(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    match rng.randrange(5):
        case 0 if place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            del data[place:]
        case 2:
            data[place:place] = rng.randbytes(rng.randint(1, 4))
        case 3:
            data[place : place + 2] = data[place : place + 2][::-1]
        case _:
            data += rng.choice(RECORDS).data[place:]


def submessages(message: Message) -> Iterator[Message]:
    yield message
    for _, value in message.ListFields():
        for each in value if hasattr(value, "__len__") and not isinstance(value, str | bytes) else [value]:
            if isinstance(each, Message):
                yield from submessages(each)


def mutate_field(root: Message, rng: random.Random) -> str:
    """Change one field in place; return its name, with its message's."""
    message = rng.choice(list(submessages(root)))
    fields: list[FieldDescriptor] = list(message.DESCRIPTOR.fields)  # type: ignore[arg-type] # its stub says less
    field = rng.choice(fields)
    value: Any = getattr(message, field.name)
    if rng.random() < 0.3:
        message.ClearField(field.name)
    elif field.is_repeated:
        if value and rng.random() < 0.5:
            del value[rng.randrange(len(value))]
        elif value:
            value.append(value[0])
        elif field.message_type is not None:
            value.add()
        else:
            value.append(b"x" if field.type == FieldDescriptor.TYPE_BYTES else rng.choice(TEXTS))
    elif field.message_type is not None:
        value.SetInParent()
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, rng.choice(TEXTS))
    elif field.type == FieldDescriptor.TYPE_BYTES:
        setattr(message, field.name, rng.randbytes(3))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(message, field.name, not value)
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        setattr(message, field.name, rng.choice((float("nan"), float("inf"), -0.0, 1e308)))
    else:
        setattr(message, field.name, rng.choice(NUMBERS[:7] if field.type != FieldDescriptor.TYPE_UINT32 else NUMBERS))
    return f"{message.DESCRIPTOR.name}.{field.name}"


def with_payload(original: WireRecord, payload: bytes) -> WireRecord:
    message = ruleset_pb2.Record.FromString(original.data)
    message.payload = payload
    message.version = 2
    return WireRecord(original.kind, original.key, 2, message.SerializeToString(deterministic=True))


def check(seed: int, good: Held, before: dict[str, list[str]]) -> None:
    rng = random.Random(seed)
    original = rng.choice(RECORDS)
    payload = ruleset_pb2.Record.FromString(original.data).payload
    bad = with_payload(original, mutated(payload, original.kind, rng))
    held = work_out(good, [part((bad,), 2, base=1)])
    after = decisions(held)
    for flag in set(FLAGS) - USERS[original.id]:
        assert after[flag] == before[flag], (seed, flag)
    for quarantined in held.quarantined:
        assert quarantined.flag in USERS[original.id], (seed, quarantined)
        assert quarantined.error, seed
    if (RecordKind.FLAG, original.key) == original.id and any(each.flag == original.key for each in held.quarantined):
        assert after[original.key] == before[original.key], (seed, "last good rules")
    if original.kind == RecordKind.ROLLOUT and any(each.flag == "moved" for each in held.quarantined):
        assert after["moved"] == before["moved"], (seed, "last good state")
    if seed % 10 == 0:  # the same as a whole file, with nothing held: what is readable is served
        fresh = decisions(work_out(None, [part(tuple(bad if each is original else each for each in RECORDS), 2)]))
        for flag in set(FLAGS) - USERS[original.id]:
            assert fresh[flag] == before[flag], (seed, flag, "fresh")


def run(count: int, start: int = 0) -> None:
    good = work_out(None, [part(RECORDS, 1)])
    assert good.quarantined == ()
    before = decisions(good)
    for seed in range(start, start + count):
        check(seed, good, before)


def test_a_mutated_record_harms_only_what_uses_it() -> None:
    """No crash, no healthy flag changed, and what is refused keeps its last good rules."""
    run(SHORT)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_mutated_records_harm_only_what_uses_them() -> None:
    """The promised number."""
    run(SOAK, start=SHORT)


def test_mutations_reach_every_field() -> None:
    """The mutator itself is tested: a field that it never touches proves nothing."""
    rng = random.Random(7)
    touched: set[str] = set()
    wanted: set[str] = set()
    for original in RECORDS:
        payload = ruleset_pb2.Record.FromString(original.data).payload
        for _ in range(1_500):
            message = MESSAGES[original.kind].FromString(payload)
            wanted.update(
                f"{each.DESCRIPTOR.name}.{field.name}"
                for each in submessages(message)
                for field in each.DESCRIPTOR.fields
            )
            touched.add(mutate_field(message, rng))
    assert wanted - touched == set()
    assert {
        "Flag",
        "Variant",
        "Value",
        "Rule",
        "Split",
        "Weight",
        "Condition",
        "ConditionList",
        "Leaf",
        "RolloutState",
        "Reach",
    } <= ({name.partition(".")[0] for name in wanted})


def test_a_mutated_file_is_refused_or_harms_only_what_it_changed() -> None:
    """Under a checksum that holds (whoever writes can also sign), the body's own bytes may be anything."""
    file = pack(position(1), RECORDS, ())
    rng = random.Random(11)
    for _ in range(SHORT // 4):
        body = bytearray(file[52:])
        mutate_bytes(body, rng)
        try:
            snapshot = unpack(frame(bytes(body)))
        except WireError:
            continue
        work_out(None, [replace(part(snapshot.records, 1), chunks=snapshot.chunks)])
