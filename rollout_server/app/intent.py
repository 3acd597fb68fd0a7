"""What comes with every change: why it is made, and what makes a repeat of it harmless."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from rollout_sdk.engine.problems import Problem
from rollout_server.errors import InvalidInput

KEY_CHARACTERS_MAX = 128
REASON_CHARACTERS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Intent:
    """Sent with every mutating command.

    Attributes:
        idempotency_key: a repeat under the same key within 7 days returns the first answer; empty: no repeat is known.
        reason: one sentence for the audit log.
    """

    idempotency_key: str = ""
    reason: str = ""

    def check(self) -> None:
        """Refuse what would not be one short, visible line in an audit log.

        Raises:
            InvalidInput: with every problem.
        """
        limits = (
            ("idempotency_key", self.idempotency_key, KEY_CHARACTERS_MAX),
            ("reason", self.reason, REASON_CHARACTERS_MAX),
        )
        problems = [problem for name, text, most in limits if (problem := _line_problem(name, text, most))]
        if problems:
            raise InvalidInput(problems)


NO_INTENT = Intent()


def fingerprint(action: str, *parts: object) -> str:
    """Return SHA-256, lowercase hex, of a request as the caller made it; `parts` are plain JSON values.

    Equal requests have equal fingerprints in every process and release, so that an idempotency key that comes back with
    another request is found out.
    """
    text = json.dumps([action, *parts], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _line_problem(name: str, text: str, most: int) -> Problem | None:
    if len(text) > most:
        return Problem("", name, "too_long", f"it has {len(text)} characters", f"use at most {most}")
    if not text.isprintable():
        message = "it holds a line break, or a character that cannot be seen"
        return Problem("", name, "not_printable", message, "write one line of visible text")
    return None
