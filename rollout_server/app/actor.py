"""Who does something: the person behind a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_server.domain.rights import Role


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller.

    Attributes:
        person: who answers for the token, an address or a service's name.
        token_id: the token's visible prefix, 8 characters.
    """

    person: str
    token_id: str
    role: Role

    @property
    def label(self) -> str:
        """What the journal keeps: "mia@example.com (a1b2c3d4)"."""
        return f"{self.person} ({self.token_id})"
