"""One environment in memory: its folded state, kept up with the journal by a tail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rollout_sdk.engine.model import Origin, Position

if TYPE_CHECKING:
    from rollout_sdk.engine.compile import CompiledRuleset
    from rollout_sdk.engine.model import Ruleset
    from rollout_server.domain.journal import Draft, Entry, State
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.ports import Clock, Journal


@dataclass(frozen=True, slots=True)
class At:
    """A point of history; with neither, now. A time means the last entry committed at or before it."""

    revision: int | None = None
    time_ms: int | None = None


NOW = At()

Listener: TypeAlias = "Callable[[Entry | None, State, State], None]"
"""Called with (entry, state before, state after) in revision order, each entry once, on the event loop.

The entry is None where the whole state was read anew: the history is another one, or entries were lost from the log.
A listener must not raise and must not block.
"""


class Environment:
    """One environment's truth in this process. Lives on one event loop; every public name is for that loop only."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.clock = clock

    @property
    def name(self) -> str:
        """The environment's name."""

    @property
    def state(self) -> State:
        """The state as far as this replica has applied it; a snapshot that never changes."""

    @property
    def position(self) -> Position:
        """Where this replica stands."""

    @property
    def ruleset(self) -> Ruleset:
        """What SDKs receive at `position`."""

    @property
    def compiled(self) -> CompiledRuleset:
        """The ruleset at `position`, compiled; made on first use after a change, from the one before it."""

    @property
    def is_following(self) -> bool:
        """Whether the store answered the tail's last question: False says that reads may be out of date."""

    def resource(self, resource_id: ResourceId) -> Resource | None:
        """Return the resource as it stands."""

    async def start(self) -> None:
        """Load the state and start to follow the journal.

        Raises:
            Corrupt: what is stored does not parse.
            Unavailable: the store is away.
        """

    async def close(self) -> None:
        """Stop following. The journal stays open: whoever built it closes it."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each entry from now on; return what ends that."""

    async def wait_for(self, revision: int) -> None:
        """Return once this replica has applied this revision.

        Raises:
            Unavailable: the store is away, and the revision has not come.
        """

    async def commit(self, draft: Draft) -> Entry:
        """Commit through the journal, and return once this replica has applied the entry.

        Raises:
            Conflict, Unavailable: see `ports.Journal.commit`.
        """

    async def state_at(self, at: At) -> State:
        """Return the state at a point of history.

        Raises:
            NotFound: the point is older than what is kept, or has not happened yet.
        """

    async def compiled_at(self, at: At) -> CompiledRuleset:
        """Return the compiled ruleset at a point of history; raises as `state_at`."""
