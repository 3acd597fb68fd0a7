"""What a library must be able to do to be measured; one module of `peers` for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from benchmarks.sdk.world import Flag, User

Pass: TypeAlias = Callable[[], object]
"""Asks everything of one scenario once. Only this is timed, so there is nothing in it but the library's own calls."""


class Peer(ABC):
    """One library with one set of flags, fed from memory, its network and its events off."""

    @staticmethod
    @abstractmethod
    def write(flags: Sequence[Flag], listed: Sequence[str]) -> bytes:
        """Return what its server would send for these flags and this list."""

    @abstractmethod
    def __init__(self, wire: bytes, users: Sequence[User]) -> None:
        """Start a client on what `write` returned, and make the users' contexts."""

    @classmethod
    def write_sent(cls, flags: Sequence[Flag]) -> bytes:
        """Return what its server would send over a connection; mostly no other than what `write` returns."""
        return cls.write(flags, ())

    @classmethod
    def fed(cls, sent: bytes, users: Sequence[User]) -> Peer:
        """Start a client on what `write_sent` returned, and return once it is ready."""
        return cls(sent, users)

    def settle(self) -> None:  # noqa: B027 - most have nothing to wait for
        """Wait until nothing is left to do behind a client that is ready."""

    @abstractmethod
    def ask(self, flag: str, user: int) -> bool:
        """Decide one flag for one user, the quickest way the library has."""

    @abstractmethod
    def asking(self, flag: str) -> Pass:
        """Decide one flag for every user, whose contexts exist already."""

    @abstractmethod
    def asking_anew(self, flag: str) -> Pass:
        """The same, making each context for the decision."""

    @abstractmethod
    def asking_at_once(self, flags: Sequence[str], user: int) -> Pass:
        """Decide all flags for one user, by the nearest that the library has; it has a few more than these."""

    @abstractmethod
    def read_at_once(self, flags: Sequence[str], user: int) -> list[bool]:
        """Return the answers of that, in the order of `flags`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of threads and memory, so that another can be started in this process."""
