"""A stored change as the journal keeps it."""

from __future__ import annotations

import pytest

from rollout_server.domain.changes import voice


@pytest.mark.parametrize("other", ["Mia@Example.com", " mia@example.com ", "\uff4dia@example.com"])
def test_one_person_has_one_voice(other: str) -> None:
    """Capitals, spaces and wide letters make nobody else of somebody."""
    assert voice(other) == voice("mia@example.com")


def test_two_people_have_two() -> None:
    assert voice("mia@example.com") != voice("kai@example.com")
