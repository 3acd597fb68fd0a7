"""The scripts that run inside Redis (redis_lua/*.lua), each behind the same prelude."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_HOME = Path(__file__).with_name("redis_lua")


@dataclass(frozen=True, slots=True)
class Script:
    """One script.

    Attributes:
        sha: under which Redis knows it, once it was loaded there.
    """

    name: str
    text: bytes
    sha: str


def _read(name: str, prelude: str = "prelude") -> Script:
    text = (_HOME / f"{prelude}.lua").read_bytes() + (_HOME / f"{name}.lua").read_bytes()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


OPEN = _read("open")
LOAD = _read("load")
STANDING = _read("standing")
COMMIT = _read("commit")
SETTLE = _read("settle")
RECALL = _read("recall")
CONFIRM = _read("confirm")
ENTRIES = _read("entries")
HISTORY = _read("history")
PAST = _read("past")
INDEX = _read("index")
RENEW = _read("renew")
COMPACT = _read("compact")
SWEEP = _read("sweep")
LEASE_ACQUIRE = _read("lease_acquire")
LEASE_RENEW = _read("lease_renew")
LEASE_RELEASE = _read("lease_release")
NOTES_KEEP = _read("notes_keep")
NOTES_LOAD = _read("notes_load")
RESTORED = _read("restored")
FLEET_TELL = _read("fleet_tell")

TELEMETRY_COMMIT = _read("telemetry_commit", "telemetry_prelude")
TELEMETRY_SUMS = _read("telemetry_sums", "telemetry_prelude")
TELEMETRY_KEEP = _read("telemetry_keep", "telemetry_prelude")
TELEMETRY_CHECKPOINT = _read("telemetry_checkpoint", "telemetry_prelude")
TELEMETRY_PROCESSES = _read("telemetry_processes", "telemetry_prelude")
TELEMETRY_LAST_WINDOW = _read("telemetry_last_window", "telemetry_prelude")
TELEMETRY_PRUNE = _read("telemetry_prune", "telemetry_prelude")
