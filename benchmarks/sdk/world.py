"""The world that every library is asked about: users, flags, and what the right answers are. Imports nobody's library.

Every flag serves true or false. Its rules serve true; whoever meets none of them is in a share that gets true. So what
is right is known for each user, but for shares: there each library has buckets of its own, and the share is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, Literal, TypeAlias

USERS: Final = 1_000
LISTED: Final = 10_000
MANY: Final = 1_000
FLEET: Final = 5_000
EVERYBODY: Final = 100
SHARE: Final = 25
SHARE_TOLERANCE: Final = 5.0
"""Percent: 3.6 standard deviations of 1,000 users."""

Operator: TypeAlias = Literal["in", "below", "ends_with"]


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `country`, `plan`, `age` and `email` are the attributes."""

    key: str
    country: str
    plan: str
    age: int
    email: str

    @property
    def attributes(self) -> dict[str, str | int]:
        """A dict of the caller's own, as a request would hold it."""
        return {"country": self.country, "plan": self.plan, "age": self.age, "email": self.email}


@dataclass(frozen=True, slots=True)
class Rule:
    """Serves true where one attribute compares so.

    Attributes:
        operand: texts for `in` (exact), a number for `below`, a text for `ends_with`.
    """

    attribute: Literal["country", "plan", "age", "email"]
    operator: Operator
    operand: tuple[str, ...] | int | str

    def holds(self, user: User) -> bool:
        """Whether it serves this user."""
        value = getattr(user, self.attribute)
        match self.operand:
            case int(bound):
                return isinstance(value, int) and value < bound
            case str(end):
                return isinstance(value, str) and value.endswith(end)
            case texts:
                return value in texts


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        share: percent of the users who meet no rule that get true.
        lists: true for the listed users too.
        counted: a guarded rollout where a library has such a thing, so that whom it exposes is counted.
    """

    key: str
    rules: tuple[Rule, ...] = ()
    share: int = 0
    lists: bool = False
    counted: bool = False

    def right(self, user: User) -> bool | None:
        """Return the right answer; None where the library's own buckets decide."""
        if any(rule.holds(user) for rule in self.rules) or (self.lists and user.key in LISTED_SET):
            return True
        return {0: False, EVERYBODY: True}.get(self.share)


def users() -> tuple[User, ...]:
    """Return everybody who asks; one in four is in each country, one in two on the list."""
    countries = islice(cycle(("TH", "DE", "US", "FR")), USERS)
    return tuple(
        User(f"user-{number}", country, "pro", 18 + number % 60, f"user-{number}@example.com")
        for number, country in enumerate(countries)
    )


LISTED_KEYS: Final = tuple(f"user-{2 * number}" for number in range(LISTED))
LISTED_SET: Final = frozenset(LISTED_KEYS)

FIVE_RULES: Final = (
    Rule("country", "in", ("JP",)),
    Rule("plan", "in", ("gold", "platinum")),
    Rule("age", "below", 18),
    Rule("email", "ends_with", "@example.org"),
    Rule("country", "in", ("TH", "KR")),
)

PLAIN: Final = Flag("plain", share=EVERYBODY)
PERCENTAGE: Final = Flag("percentage", share=SHARE, counted=True)
SPLIT: Final = Flag("split", share=SHARE)
FIVE: Final = Flag("five-rules", FIVE_RULES)
COHORT: Final = Flag("cohort", lists=True)


def fleet(count: int) -> tuple[Flag, ...]:
    """Return many flags as an application has them: plain ones, shares, and one to five rules before a share."""
    kinds: tuple[tuple[tuple[Rule, ...], int], ...] = (
        ((), EVERYBODY),
        ((), SHARE),
        (FIVE_RULES[4:], 0),
        (FIVE_RULES[2:3], SHARE),
        (FIVE_RULES, SHARE),
    )
    return tuple(Flag(f"flag-{number}", *kind) for number, kind in enumerate(islice(cycle(kinds), count)))


def wrong(flag: Flag, answers: Sequence[bool]) -> str:
    """Return what is wrong with a flag's answers to all users, in order; empty when nothing is."""
    by_bucket: list[bool] = []
    for user, answer in zip(users(), answers, strict=True):
        right = flag.right(user)
        if right is None:
            by_bucket.append(answer)
        elif answer is not right:
            return f"{flag.key} is {answer} for {user}, and {right} is right"
    return _wrong_share(flag.key, by_bucket, flag.share)


def wrong_at_once(flags: Sequence[Flag], user: User, answers: Sequence[bool]) -> str:
    """The same for all flags' answers to one user."""
    by_bucket: list[bool] = []
    for flag, answer in zip(flags, answers, strict=True):
        right = flag.right(user)
        if right is None:
            by_bucket.append(answer)
        elif answer is not right:
            return f"{flag.key} is {answer} for {user}, and {right} is right"
    return _wrong_share("all flags at once", by_bucket, SHARE)


def _wrong_share(what: str, answers: Sequence[bool], share: int) -> str:
    if not answers:
        return ""
    percent = 100 * sum(answers) / len(answers)
    if abs(percent - share) <= SHARE_TOLERANCE:
        return ""
    return f"{what} is true for {percent:.1f} % of {len(answers)}, and {share} % are right"
