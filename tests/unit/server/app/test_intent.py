"""What comes with every change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.app.intent import KEY_CHARACTERS_MAX, NO_INTENT, REASON_CHARACTERS_MAX, Intent, fingerprint
from rollout_server.errors import InvalidInput

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8)


@given(st.lists(JSON, max_size=4))
def test_equal_requests_have_equal_fingerprints(parts: list[object]) -> None:
    """And any other request another one: of another verb, with a part more, with a part moved."""
    print_ = fingerprint("apply", *parts)
    assert print_ == fingerprint("apply", *parts)
    assert len(print_) == 64
    assert print_ not in {fingerprint("revert", *parts), fingerprint("apply", *parts, ""), fingerprint("apply", parts)}


def test_fingerprints_are_the_same_in_every_release() -> None:
    """A client that repeats its call over an upgrade of the server is still recognised."""
    assert fingerprint("kill", "checkout-v2", ["é", 1, True, None]) == (
        "fb6b2e0876cabda11a16ba1b7093c9056da114762b7977b79c64d3190f44fc1e"
    )


@pytest.mark.parametrize(
    ("intent", "paths"),
    [
        (NO_INTENT, []),
        (Intent("k" * KEY_CHARACTERS_MAX, "r" * REASON_CHARACTERS_MAX), []),
        (Intent(reason="zu groß: 25 %, 日本"), []),
        (Intent("k" * (KEY_CHARACTERS_MAX + 1), "r" * (REASON_CHARACTERS_MAX + 1)), ["idempotency_key", "reason"]),
        (Intent("a\nb", "\u202e"), ["idempotency_key", "reason"]),
        (Intent(reason="\x1b[31m"), ["reason"]),
        (Intent("\ud800"), ["idempotency_key"]),
    ],
)
def test_an_intent_is_short_and_visible(intent: Intent, paths: list[str]) -> None:
    """What would hide or break a line of the audit log is refused, every problem at once."""
    if not paths:
        intent.check()
        return
    with pytest.raises(InvalidInput) as refusal:
        intent.check()
    assert [problem.path for problem in refusal.value.problems] == paths
