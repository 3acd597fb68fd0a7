"""When a server last confirmed the rules: written by the stream, read by whoever asks a decision for its age."""

from __future__ import annotations

import time


class Confirmation:
    """Of one ruleset. Every decision by it holds this, so that one assignment tells all of them of another word."""

    __slots__ = ("at_s",)

    def __init__(self, at_s: float | None = None) -> None:
        """Begin with a moment of the monotonic clock; None where nobody knows."""
        self.at_s = at_s

    @classmethod
    def just_now(cls) -> Confirmation:
        """A server has just sent it."""
        return cls(time.monotonic())

    def renew(self) -> None:
        """A server has said that it still holds."""
        self.at_s = time.monotonic()

    @property
    def ms_ago(self) -> int | None:
        """Milliseconds since then; None if nobody knows."""
        at_s = self.at_s
        return None if at_s is None else int((time.monotonic() - at_s) * 1_000)

    def __reduce__(self) -> tuple[type[Confirmation], tuple[()]]:
        """A decision that is pickled may come to a machine with another clock: there nobody knows."""
        return Confirmation, ()
