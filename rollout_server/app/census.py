"""Reading the processes of an environment: who runs what, counted and by name. The proof of a rollback is read here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from rollout_server.app.fleet import FleetSummary
from rollout_server.app.instance import Certificate, InstanceState, InstanceView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_sdk.engine.model import Position
    from rollout_server.app.fleet import AckTimes
    from rollout_server.app.instance import Instance


class Census(Protocol):
    """Whoever knows processes, and what is read of them. Fulfils `fleet.Fleet`.

    Attributes:
        given_up: processes that counted no more after an hour out of reach, while nobody was connected; 0 once
            somebody is.
    """

    given_up: int
    _position: Callable[[], Position]
    _needed: Callable[[], frozenset[str]]

    @property
    def began_at_ms(self) -> int:
        """Since when it knows of anybody, by this server's clock."""

    @property
    def forgotten(self) -> int:
        """How many processes count of which nothing more is known."""

    @property
    def is_whole(self) -> bool:
        """Whether every other server on the same store is heard now; where there are none, all is known here."""

    def known(self) -> tuple[Instance, ...]:
        """Return every process that counts, once."""

    def mine(self, *, leads: bool = False) -> tuple[Instance, ...]:
        """Return those that this server counts where every server counts its own; nobody else counts these.

        Args:
            leads: it holds the lease, and counts those of servers that are gone, too.
        """

    def unheard(self, revision: int) -> tuple[str, ...]:
        """Name the servers on the same store whose word on a revision is missing, each with what is missing."""

    def acknowledged(self, revision: int) -> AckTimes | None:
        """Return when processes acknowledged a recent revision, or one after it; None where none did, or long ago."""

    def views(self) -> tuple[InstanceView, ...]:
        """Return every process that counts, by name."""
        position, needed = self._position(), self._needed()
        missing: dict[tuple[str, ...], tuple[str, ...]] = {}  # there are many processes, and few releases of SDKs
        views: list[InstanceView] = []
        for one in self.known():
            capabilities = one.greeting.capabilities
            if capabilities not in missing:
                missing[capabilities] = tuple(sorted(needed - frozenset(capabilities)))
            views.append(InstanceView(one, one.state(position.epoch, position.revision), missing[capabilities]))
        return tuple(sorted(views, key=lambda view: (view.instance.name, view.instance.greeting.instance_id)))

    def certificate(self, revision: int) -> Certificate:
        """Say who has a revision of the present epoch, or a later one, in force."""
        epoch = self._position().epoch
        names: dict[InstanceState, list[str]] = {state: [] for state in InstanceState}
        for one in self.known():
            names[one.state(epoch, revision)].append(one.name)
        by_state = {state.value: tuple(sorted(some)) for state, some in names.items()}
        return Certificate(revision, forgotten=self.forgotten, unheard=self.unheard(revision), **by_state)

    def summary(self) -> FleetSummary:
        """Count the processes as they stand now."""
        views = self.views()
        connected = [view for view in views if view.instance.is_connected]
        return FleetSummary(
            connected=len(connected),
            behind=sum(view.state is InstanceState.STRAGGLING for view in connected),
            quarantined=tuple(
                f"{view.instance.name}: {flag}" for view in connected for flag in view.instance.quarantined
            ),
            unreachable=tuple(view.instance.name for view in views if view.state is InstanceState.UNREACHABLE),
            unheard=self.unheard(self._position().revision),
        )

    def unsupported(self, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """Name who cannot evaluate what, one sentence each; empty when every connected SDK can."""
        lacking: dict[tuple[str, str], Counter[str]] = {}
        for one in self.known():
            if not one.is_connected:
                continue
            capabilities = frozenset(one.greeting.capabilities)
            for flag, wanted in needed.items():
                if not wanted <= capabilities:
                    missing = ", ".join(sorted(wanted - capabilities))
                    who = f"{one.name}, SDK {one.greeting.sdk_version or 'of unknown version'}"
                    lacking.setdefault((who, missing), Counter())[flag] += 1
        return tuple(
            f"{who}, lacks {missing}, which {', '.join(sorted(flags))} needs"
            for (who, missing), flags in sorted(lacking.items())
        )

    def counts(self, *, leads: bool = False) -> dict[InstanceState, int]:
        """Count the processes in each state that `mine` returns."""
        position = self._position()
        found = Counter(one.state(position.epoch, position.revision) for one in self.mine(leads=leads))
        return {state: found[state] for state in InstanceState}
