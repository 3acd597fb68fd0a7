"""The laws that a history of replicas is held to, by name, and what breaks one."""

from __future__ import annotations

from dataclasses import dataclass

GAPLESS = "the log has no gap"
ONCE = "one key is written once"
ASKED = "the log holds what was asked for"
KEPT = "what was acknowledged is in the log"
NOT_WRITTEN = "what was refused is not in the log"
REPEATED = "a repeat answers as the first"
COMPARED = "a change is written upon the version that it names"
ORDERED = "one order of writes explains all answers"
SHOWN = "a read shows its revision"
NOT_AHEAD = "nobody reads what nobody has asked for yet"
FORWARD = "a replica never goes back"
OWN = "a replica shows what it acknowledged"
SDK_FORWARD = "an SDK never goes back"
SDK_DECIDES = "an SDK decides as its revision says"
ONE_EPOCH = "a history that lost nothing keeps its epoch"
ONE_BRANCH = "a branch that died has a history of its own after the last entry that survived"


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that was broken, and by what."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"
