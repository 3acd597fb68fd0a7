"""The ruleset log: parts, sizes, sharing. That nothing is missed is proven in tests/properties."""

from __future__ import annotations

import pytest

from rollout_sdk.wire.records import RecordKind
from rollout_server.app import record_log
from rollout_server.app.environment import Environment
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.record_log import PART_BYTES
from rollout_server.app.ruleset_log import RulesetLog
from rollout_server.app.tokens import CreateToken, create_token
from rollout_server.domain.resources import Kind, ResourceId
from tests.reader import Reader
from tests.small_environment import MIA, cohort, delete, document, flag, flag_id, opened, put


def log_of(environment: Environment) -> RulesetLog:
    """A log that follows the environment."""
    log = RulesetLog(environment.state, environment.ruleset)
    environment.subscribe(lambda entry, _, after: log.advance(entry, after, environment.ruleset) if entry else None)
    return log


def whole(log: RulesetLog) -> Reader:
    reader = Reader()
    reader.take(log.parts_since(None))
    return reader


async def test_a_kill_travels_as_a_record_of_its_own() -> None:
    """It acts on a flag whose rules are quarantined; lifting it takes the record away."""
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, flag("checkout"))
        reader = whole(log)
        assert set(reader.records) == {(RecordKind.FLAG, "checkout")}
        await kill(environment, Kill("checkout"), MIA)
        (part,) = log.parts_since(reader.held)
        assert {(record.kind, record.key) for record in part.records} >= {(RecordKind.FLAG_STATE, "checkout")}
        reader.take((part,))
        await unkill(environment, Unkill("checkout"), MIA)
        (part,) = log.parts_since(reader.held)
        assert part.removed == ((RecordKind.FLAG_STATE, "checkout"),)


async def test_a_rollout_travels_as_a_record_of_its_own() -> None:
    """Sent again when its flag buckets another unit; what no SDK needs is not sent; deleting takes it away."""
    async with opened() as environment:
        log = log_of(environment)
        moved = {"flag": "checkout", "from": "off", "to": "on", "pipeline": "careful"}
        await put(environment, flag("checkout"), document("Rollout", "checkout", moved))
        await put(environment, document("Policy", "checkout"))
        reader = whole(log)
        assert set(reader.records) == {(RecordKind.FLAG, "checkout"), (RecordKind.ROLLOUT, "checkout")}
        await put(environment, flag("checkout", unit="tenant"))
        (part,) = log.parts_since(reader.held)
        assert (RecordKind.ROLLOUT, "checkout") in {(record.kind, record.key) for record in part.records}
        reader.take((part,))
        assert reader.records == whole(log).records
        await delete(environment, ResourceId(Kind.ROLLOUT, "checkout"), ResourceId(Kind.POLICY, "checkout"))
        (part,) = log.parts_since(reader.held)
        assert part.removed == ((RecordKind.ROLLOUT, "checkout"),)
        assert (RecordKind.FLAG, "checkout") in whole(log).records


async def test_a_token_moves_the_revision_and_sends_nothing() -> None:
    """SDKs learn that time went on, and nothing about who may call."""
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, flag("checkout"))
        reader = whole(log)
        created = await create_token(environment, CreateToken("sdk", "shop"), MIA)
        (part,) = log.parts_since(reader.held)
        assert (part.records, part.removed, part.chunks) == ((), (), ())
        assert part.position.revision == created.entry.revision
        assert all(b"shop" not in data for data in whole(log).records.values())


async def test_nothing_of_people_or_keys_is_sent() -> None:
    """Owners, descriptions, tags and raw members stay here (S3)."""
    async with opened() as environment:
        log = log_of(environment)
        members = cohort("beta", "canary-unit-1", "canary-unit-2")
        people = document("Flag", "checkout", owner="canary", description="canary", tags=["canary"])
        await put(environment, members, people)
        reader = whole(log)
        sent = b"".join((*reader.records.values(), *reader.chunks.values()))
        assert b"canary" not in sent


async def test_parts_are_small_and_whole() -> None:
    """A reader that never reads makes the server hold one part, whatever there is to send."""
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, *(flag(f"f-{n}", *({"serve": "on"} for _ in range(40))) for n in range(200)))
        await put(environment, cohort("big", *(f"u-{n}" for n in range(30_000))))
        parts = log.parts_since(None)
        assert len(parts) > 3
        for part in parts:
            size_bytes = sum(len(data) for _, data in part.chunks) + sum(len(record.data) for record in part.records)
            assert size_bytes <= PART_BYTES
        assert len(whole(log).records) == 201


async def test_chunks_come_before_what_names_them() -> None:
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, cohort("big", *(f"u-{n}" for n in range(30_000))))
        kinds = ["chunks" if part.chunks else "records" for part in log.parts_since(None)]
        assert kinds == sorted(kinds)
        assert not any(part.chunks and part.records for part in log.parts_since(None))


async def test_an_edit_of_one_member_resends_little() -> None:
    """Chunks that stay are not sent again (DESIGN section 5)."""
    async with opened() as environment:
        log = log_of(environment)
        members = [f"u-{n}" for n in range(60_000)]
        await put(environment, cohort("big", *members))
        reader = whole(log)
        await put(environment, cohort("big", *members, "one-more"))
        parts = log.parts_since(reader.held)
        assert sum(len(part.chunks) for part in parts) <= 2
        reader.take(parts)
        assert reader.records == whole(log).records


async def test_whoever_stands_at_the_same_place_gets_the_same_objects() -> None:
    """Serialised once for a revision, shared by all streams."""
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, flag("checkout"))
        held = log.position
        await put(environment, flag("search"))
        assert log.parts_since(held) is log.parts_since(held)
        assert log.parts_since(None) is log.parts_since(None)
        assert log.parts_since(log.position) == ()


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a client gets a snapshot instead of a delta that would miss a deletion."""
    monkeypatch.setattr(record_log, "HISTORY_MAX", 6)
    async with opened() as environment:
        log = log_of(environment)
        await put(environment, flag("checkout"))
        readers = [whole(log)]
        for number in range(5):
            await put(environment, flag(f"search-{number}"))
            readers.append(whole(log))
            await delete(environment, flag_id(f"search-{number}"))
        assert len(log._tombstones) == len(log._marks) == 6
        is_snapshot = [log.parts_since(reader.held)[0].snapshot for reader in readers]
        assert is_snapshot == [True, True, True, False, False, False]
        for reader in readers:
            reader.take(log.parts_since(reader.held))
            assert reader.records == whole(log).records
