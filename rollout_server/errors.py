"""Everything that can be refused, and who must act.

RolloutError
├── InvalidInput   the caller: mend the input
├── NotFound       the caller: name something that exists
├── Conflict       the caller: read again, then decide
├── Refused        a person: a rule of this environment says no
├── Forbidden      a person: get a token that may
├── Unavailable    nobody: wait and try again
│   └── Unknown    nobody: it may have been written; repeat it with the same idempotency key
└── Corrupt        on-call: stored data does not parse

A bug is none of these: it stays what it is and becomes INTERNAL with an incident id at the border.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.engine.problems import Problem


class RolloutError(Exception):
    """Base of every refusal.

    Attributes:
        code: stable across releases.
        hint: what to do next, in one sentence.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidInput(RolloutError):
    """The input is wrong; `problems` holds all of it, not the first."""

    code = "invalid_input"

    def __init__(self, problems: Sequence[Problem], hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        first = str(self.problems[0]) if self.problems else "no detail"
        message = first if count == 1 else f"{count} problems, the first: {first}"
        super().__init__(message, hint or "mend every problem listed; nothing was changed")


class NotFound(RolloutError):
    """There is no such thing here, or the caller may not know of it: the answer is the same."""

    code = "not_found"

    def __init__(self, kind: str, key: str, hint: str = "") -> None:
        super().__init__(f"there is no {kind} {key!r} here", hint)
        self.kind = kind
        self.key = key


class Conflict(RolloutError):
    """Something moved since the caller read it."""

    code = "conflict"

    def __init__(self, what: str, expected: object, actual: object, hint: str = "") -> None:
        super().__init__(
            f"{what} moved: expected {expected}, found {actual}",
            hint or "read it again, look at what changed, and repeat the command",
        )
        self.what = what
        self.expected = expected
        self.actual = actual


class Refused(RolloutError):
    """A rule of this environment forbids it as things stand; `rule` names which."""

    code = "refused"

    def __init__(self, rule: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.rule = rule


class Forbidden(RolloutError):
    """The token is missing, wrong, expired, revoked, of another environment, or its role may not do this."""

    code = "forbidden"


class Unavailable(RolloutError):
    """Something this needs is away."""

    code = "unavailable"

    def __init__(self, dependency: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint or "nothing was changed; try again when it is back")
        self.dependency = dependency


class Unknown(Unavailable):
    """The store took the change and has not said what became of it: it may be written, and it may not."""

    code = "unknown"

    def __init__(self, dependency: str, message: str, hint: str = "") -> None:
        repeat = "repeat it with the same idempotency key: it is then written once, whatever became of this attempt"
        super().__init__(dependency, message, hint or repeat)


class Corrupt(RolloutError):
    """Stored or received data does not parse, or its digest does not hold."""

    code = "corrupt"

    def __init__(self, where: str, message: str, hint: str = "") -> None:
        super().__init__(f"{where}: {message}", hint)
        self.where = where
