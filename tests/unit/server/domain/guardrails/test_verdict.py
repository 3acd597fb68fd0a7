"""What a verdict can say."""

from __future__ import annotations

from rollout_server.domain.guardrails.verdict import Standing


def test_the_standings_are_the_documented_words() -> None:
    """The six verdicts of the design, and no more: quiet is undecided, paused is no verdict."""
    words = ["healthy", "degraded", "undecided", "blind", "skewed", "unjudged"]
    assert [standing.value for standing in Standing] == words
