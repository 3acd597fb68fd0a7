"""Where decisions come from, and how old that is."""

from __future__ import annotations

from dataclasses import dataclass

from rollout_sdk.engine.model import Decision, Origin, Reason


@dataclass
class Said:
    """A confirmation that a test makes up."""

    at_s: float | None
    ms_ago: int | None


def test_whoever_asks_for_the_age_gets_the_present_one() -> None:
    """Not that of the moment of the decision: the decision itself read no clock."""
    said = Said(100.0, 40)
    origin = Origin("e", 3, confirmed=said)
    decision = Decision("f", value=True, reason=Reason.RULE, variant="on", origin=origin)
    assert (decision.confirmed_ms_ago, origin.confirmed_ms_ago, origin.confirmed_at_s) == (40, 40, 100.0)
    said.ms_ago = 9_000
    assert decision.confirmed_ms_ago == 9_000


def test_where_nobody_ever_confirmed_anything_no_age_is_made_up() -> None:
    """Defaults before the first rules, and files that do not say when they were written."""
    assert (Origin().confirmed_ms_ago, Origin().confirmed_at_s) == (None, None)
    nobody = Origin("e", 3, confirmed=Said(None, None))
    assert (nobody.confirmed_ms_ago, nobody.confirmed_at_s) == (None, None)


def test_the_same_rules_are_the_same_origin_whenever_they_were_confirmed() -> None:
    """Decisions stay comparable, and the age is in no log of theirs."""
    one, other = Origin("e", 3, confirmed=Said(1.0, 1)), Origin("e", 3, confirmed=Said(2.0, 2))
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == "Origin(epoch='e', revision=3, stale=False)"
