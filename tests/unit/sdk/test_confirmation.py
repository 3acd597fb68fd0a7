"""When a server last confirmed the rules."""

from __future__ import annotations

import copy
import pickle
import time

from rollout_sdk.confirmation import Confirmation
from rollout_sdk.engine.model import Decision, Origin, Reason


def test_it_ages_until_a_server_speaks_again() -> None:
    """By the monotonic clock, in milliseconds."""
    confirmation = Confirmation(time.monotonic() - 60)
    assert confirmation.ms_ago is not None
    assert confirmation.ms_ago >= 60_000
    confirmation.renew()
    assert confirmation.ms_ago < 60_000
    assert Confirmation.just_now().at_s is not None


def test_what_nobody_knows_stays_unknown() -> None:
    """No age is better than a made-up one."""
    assert (Confirmation().at_s, Confirmation().ms_ago) == (None, None)


def test_a_decision_that_travels_leaves_its_clock_behind() -> None:
    """The monotonic clock of another machine began at another moment; everything else arrives."""
    origin = Origin("e", 3, stale=True, confirmed=Confirmation.just_now())
    decision = Decision("f", [1], Reason.RULE, "on", origin)
    for travelled in (pickle.loads(pickle.dumps(decision)), copy.deepcopy(decision)):  # noqa: S301 - our own
        assert travelled == decision
        assert travelled.confirmed_ms_ago is None
    assert decision.confirmed_ms_ago is not None
