"""What comes with every change: why it is made, and what makes a repeat of it harmless."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

_KEY_LENGTH_MAX = 128
_REASON_LENGTH_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Intent:
    """Sent with every mutating command.

    Attributes:
        idempotency_key: a repeat under the same key within 7 days returns the first answer; empty: no repeat is known.
        reason: one sentence for the audit log.
    """

    idempotency_key: str = ""
    reason: str = ""


def fingerprint(action: str, *parts: object) -> str:
    """Return SHA-256, lowercase hex, of a request as the caller made it; `parts` are plain JSON values.

    Equal requests have equal fingerprints in every process and release, so that an idempotency key that comes back with
    another request is found out.
    """
    text = json.dumps([action, *parts], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
