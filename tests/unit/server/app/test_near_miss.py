"""Near misses."""

import pytest

from rollout_server.app.near_miss import cut, did_you_mean


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("chekout", "did you mean checkout or checkout-v2?"),
        ("checkout-v3", "did you mean checkout-v2 or checkout?"),
        ("zebra", "`rollout get flags` lists what there is"),
        ("", "`rollout get flags` lists what there is"),
    ],
)
def test_a_hint_names_what_was_meant(key: str, hint: str) -> None:
    """Close ones, best first; else where to look."""
    assert did_you_mean(key, ["checkout", "checkout-v2", "search"]) == hint


def test_a_refusal_stays_short() -> None:
    """A key of any length is named by its beginning; one that may be a key is named whole."""
    assert cut("x" * 128) == "x" * 128
    assert cut("x" * 10_000_000) == "x" * 128 + "..."


def test_a_very_long_key_costs_nothing() -> None:
    """Matching is bounded by the longest key there can be."""
    assert "rollout get flags" in did_you_mean("x" * 10_000_000, ["checkout"])
    assert did_you_mean("zzz", ["launch"], "rollouts") == "`rollout get rollouts` lists what there is"


def test_a_name_that_two_things_share_is_said_once() -> None:
    """A flag and its rollout often have one key."""
    assert did_you_mean("chekout", ["checkout", "checkout"]) == "did you mean checkout?"
