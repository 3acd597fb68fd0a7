"""Effects say themselves whether they commit with the state."""

from __future__ import annotations

from rollout_server.domain.machine.effects import (
    COMMITS,
    FlagOff,
    Notify,
    OpenAllocation,
    Refusal,
    SetReaches,
    WriteFinalVariant,
)
from rollout_server.domain.machine.run import Notice, NoticeKind


def test_what_is_one_entry_with_the_state() -> None:
    """What SDKs see commits with the state; evidence and messages follow from it."""
    committed = (SetReaches(1, 1, "", ()), FlagOff("checkout"), WriteFinalVariant("checkout", "on"))
    after = (OpenAllocation(2), Notify(Notice("launch/1/1", NoticeKind.HELD, "held")), Refusal("phase", "no", "wait"))
    assert all(isinstance(effect, COMMITS) for effect in committed)
    assert not any(isinstance(effect, COMMITS) for effect in after)
