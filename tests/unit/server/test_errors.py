"""Every refusal has a stable code and says what to do next."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.problems import Problem
from rollout_server import errors

PROBLEM = Problem("flag/a", "spec.off", "unknown_variant", 'there is no variant "of"', 'did you mean "off"?')
REFUSALS = [
    errors.InvalidInput([PROBLEM]),
    errors.NotFound("flag", "a", "see `rollout get flags`"),
    errors.Conflict("flag/a", 3, 5),
    errors.Refused("frozen", "nothing grows now", "wait until Monday"),
    errors.Forbidden("the token has expired", "make another"),
    errors.Unavailable("journal", "the disk is full"),
    errors.Unknown("journal", "the store did not answer"),
    errors.Corrupt("rollout.db", "a digest does not hold", "restore a backup"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_a_refusal_says_what_happened_and_what_next(refusal: errors.RolloutError) -> None:
    """None is a bare word, and none leaves the reader without a next step."""
    assert str(refusal)
    assert refusal.hint


def test_codes_are_stable_and_tell_refusals_apart() -> None:
    """Programs branch on them, so they change never."""
    codes = [refusal.code for refusal in REFUSALS]
    assert codes[:5] == ["invalid_input", "not_found", "conflict", "refused", "forbidden"]
    assert codes[5:] == ["unavailable", "unknown", "corrupt"]
    assert {type(refusal) for refusal in REFUSALS} == {*errors.RolloutError.__subclasses__(), errors.Unknown}


def test_what_is_unknown_is_never_told_as_not_done() -> None:
    """Who handles an absent store handles this too, but the words never claim that nothing was written."""
    unknown = errors.Unknown("journal", "the store did not answer")
    assert isinstance(unknown, errors.Unavailable)
    assert "nothing was changed" not in unknown.hint
    assert "same idempotency key" in unknown.hint


def test_all_problems_are_kept_and_the_first_is_told() -> None:
    """One line for a log, the whole list for whoever mends it."""
    both = errors.InvalidInput([PROBLEM, PROBLEM])
    assert both.problems == (PROBLEM, PROBLEM)
    assert str(both).startswith("2 problems, the first: flag/a: spec.off: there is no variant")
