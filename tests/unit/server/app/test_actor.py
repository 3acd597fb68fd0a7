"""Who does something."""

from rollout_server.app.actor import Actor
from rollout_server.domain.rights import Role


def test_the_journal_keeps_person_and_prefix() -> None:
    """Enough to ask somebody, and to revoke the token; nothing that opens a door."""
    assert Actor("mia@example.com", "a1b2c3d4", Role.AUTHOR).label == "mia@example.com (a1b2c3d4)"
