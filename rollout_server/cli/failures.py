"""How a command ends: exit codes, and failures that say what happened, where, and what to do next."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.problems import Problem


class Exit(IntEnum):
    """Exit codes, stable across releases (docs/cli.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DIFFERENCES = 3
    ROLLED_BACK = 4
    NOT_IN_FORCE = 5
    APPROVAL_NEEDED = 6
    CONFLICT = 7
    NOT_ALLOWED = 8
    UNREACHABLE = 9
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandFailed(Exception):
    """Ends a command.

    Attributes:
        what: what happened and where, one sentence.
        hint: what to do next; may be empty.
        details: further lines, one thing each: a problem, a host.
        exit_code: what the process returns.
    """

    def __init__(
        self, what: str, hint: str = "", *, details: Sequence[str] = (), exit_code: Exit = Exit.FAILED
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.details = tuple(details)
        self.exit_code = exit_code


class ServerRefused(CommandFailed):
    """The server answered no.

    Attributes:
        code: stable, of `rollout_server.errors`: "not_found", "conflict", ...; empty where the server gave none.
        problems: all that is wrong with the input, each with the origin its document carried.
    """

    def __init__(
        self,
        what: str,
        hint: str = "",
        *,
        code: str = "",
        problems: Sequence[Problem] = (),
        details: Sequence[str] = (),
        exit_code: Exit = Exit.FAILED,
    ) -> None:
        super().__init__(what, hint, details=details, exit_code=exit_code)
        self.code = code
        self.problems = tuple(problems)


class Finished(Exception):
    """Ends a command that did its work with another exit code than 0."""

    def __init__(self, exit_code: Exit) -> None:
        super().__init__(exit_code.name)
        self.exit_code = exit_code


def usage(what: str, hint: str = "") -> CommandFailed:
    """Return the failure of a command that was typed wrongly."""
    return CommandFailed(what, hint, exit_code=Exit.USAGE)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return "did you mean a, b?" for near misses of `word`, best first; empty when nothing is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=3, cutoff=0.6)
    return f"did you mean {', '.join(near)}?" if near else ""
