"""An SDK as the delivery contract describes it, written a second time: it folds parts and believes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.records import RulesetDigest


@dataclass
class Reader:
    """What a process holds: its position, every record as sent, and the chunks."""

    held: Position | None = None
    records: dict[tuple[int, str], bytes] = field(default_factory=dict)
    chunks: dict[bytes, bytes] = field(default_factory=dict)

    def take(self, parts: tuple[Part, ...]) -> None:
        """Put in force after the last part, in one swap."""
        if not parts:
            return
        records, chunks = ({}, {}) if parts[0].snapshot else (dict(self.records), dict(self.chunks))
        for number, part in enumerate(parts, start=1):
            assert part.snapshot == parts[0].snapshot
            assert part.more == (number < len(parts))
            if not part.snapshot:
                assert self.held is not None
                assert part.base_revision == self.held.revision
            assert all(sha256(data).digest() == digest for digest, data in part.chunks)
            chunks |= dict(part.chunks)
            records |= {record.id: record.data for record in part.records}
            for gone in part.removed:
                records.pop(gone, None)
        self.held, self.records, self.chunks = parts[-1].position, records, chunks
        assert self.digest == parts[-1].ruleset_digest

    @property
    def digest(self) -> bytes:
        """Sum of the hashes of the records held."""
        digest = RulesetDigest()
        for data in self.records.values():
            digest = digest.add(data)
        return digest.to_bytes()
