"""The record log: what was put in is what readers are led to. That nothing is missed is proven in tests/properties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.model import Cohort, FlagState, Position
from rollout_sdk.wire.codec import record_of_cohort, record_of_state
from rollout_sdk.wire.records import RecordKind, RulesetDigest
from rollout_server.app import record_log
from rollout_server.app.record_log import RecordLog, Standing
from tests.reader import Reader


def at(revision: int, epoch: str = "e1") -> Position:
    return Position(epoch, revision, f"{epoch}-{revision}".encode())


def killed(key: str, version: int, log: RecordLog) -> None:
    log.put(record_of_state(FlagState(key, killed=True), version), version)
    log.stand(at(version), at_ms=version)


def test_a_reader_is_led_by_what_changed() -> None:
    """A delta holds what was put in since, and says what was buried."""
    log, reader = RecordLog(at(0)), Reader()
    killed("a", 1, log)
    killed("b", 2, log)
    reader.take(log.parts_since(None))
    killed("c", 3, log)
    log.drop((RecordKind.FLAG_STATE, "a"))
    log.bury((RecordKind.FLAG_STATE, "a"), 4)
    log.stand(at(4), at_ms=4)
    (part,) = log.parts_since(reader.held)
    assert [record.key for record in part.records] == ["c"]
    assert part.removed == ((RecordKind.FLAG_STATE, "a"),)
    reader.take((part,))
    assert {key for _, key in reader.records} == {"b", "c"}
    assert reader.held == at(4)


def test_the_digest_is_that_of_the_records() -> None:
    """Replacing and dropping takes out what was put in before."""
    log = RecordLog(at(0))
    killed("a", 1, log)
    killed("a", 2, log)
    assert log.digest == RulesetDigest().add(record_of_state(FlagState("a", killed=True), 2).data)
    log.drop((RecordKind.FLAG_STATE, "a"))
    log.drop((RecordKind.FLAG_STATE, "a"))
    assert log.digest == RulesetDigest()


def test_chunks_go_with_the_last_record_that_names_them() -> None:
    """And are sent again only to whoever was before the record that brought them."""
    log = RecordLog(at(0))
    keys = key_set(("t-1", "t-2"))
    for version, key in enumerate(("one", "two"), start=1):
        log.put(record_of_cohort(Cohort(key, keys, key_set(())), version), version, keys.chunks)
        log.stand(at(version), at_ms=version)
    (second,) = log.parts_since(at(1))
    assert second.chunks == ()
    assert log.chunk(keys.chunks[0].digest) == keys.chunks[0]
    log.drop((RecordKind.COHORT, "one"))
    assert log.chunk(keys.chunks[0].digest) is not None
    log.drop((RecordKind.COHORT, "two"))
    assert log.chunk(keys.chunks[0].digest) is None
    assert log.everything() == ([], [])


@pytest.mark.parametrize(
    ("held", "standing"),
    [
        (None, Standing.ELSEWHERE),
        (at(2, "e2"), Standing.ELSEWHERE),
        (at(2), Standing.HERE),
        (replace(at(2), digest=b"another"), Standing.LOST),
        (at(4), Standing.LOST),
        (at(0), Standing.TOO_OLD),
    ],
)
def test_every_position_stands_somewhere(held: Position | None, standing: Standing) -> None:
    """Here, elsewhere, too old, or in a history that this one lost."""
    log = RecordLog(at(1))
    for version in (1, 2, 3):
        killed("a", version, log)
    assert log.standing(held) is standing


def test_who_was_before_what_is_remembered_gets_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks and tombstones are bounded."""
    monkeypatch.setattr(record_log, "HISTORY_MAX", 3)
    log = RecordLog(at(0))
    for version in range(1, 9):
        killed("a", version, log)
    assert log.standing(at(5)) is Standing.TOO_OLD
    assert log.parts_since(at(5))[0].snapshot
    assert not log.parts_since(at(6))[0].snapshot
