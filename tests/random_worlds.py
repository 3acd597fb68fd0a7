"""Random rulesets, random edits of them, and contexts that tell them apart; all from one seed.

Domains are small on purpose: conditions overlap, cohorts share members, and a few hundred contexts meet every corner.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    InCohort,
    Leaf,
    Not,
    OnMissing,
    Operand,
    Reach,
    Requirement,
    RolloutState,
    Rule,
    Ruleset,
    Serve,
    Split,
    Target,
    ValueType,
    Variant,
    Weight,
)
from tests.small_world import ruleset

VARIANTS = ("off", "on", "blue", "red")
USERS = tuple(f"u{at}" for at in range(24))
TENANTS = ("t0", "t1", "t2")
COHORTS = ("c0", "c1", "c2", "c3")
FLAGS = ("f0", "f1", "f2", "f3")
COUNTRIES = ("KR", "kr", "KRX", "TH", "JP", "XKR")
TAGS = ("a", "b", "c", 1, True)
ADDRESSES = ("10.0.0.1", "10.0.1.1", "10.1.0.1", "2001:db8::1", "::ffff:10.0.0.1")
NETWORKS = ("10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/8", "2001:db8::/32", "10.0.0.1")
VERSIONS = ("1.2.3", "1.3.0", "2.0.0-rc.1", "2.0.0", "3")
RANGES = ("^1.2", "~1.2.3", ">=1.2.0 <2.0.0", ">=1.2.0", "1.x || 3", "<2.0.0")
MOMENTS = ("2026-01-01T00:00:00Z", "2026-01-01T09:00:00+09:00", "2026-06-01T00:00:00.5Z", "2027-01-01T00:00:00Z")


def rollouts_of(flag: str) -> tuple[str, str]:
    """The rollouts that move a flag, in every world."""
    return f"{flag}-x", f"{flag}-y"


class Dice:
    """Everything random about a world."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a test that repeats

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, values: tuple[Operand, ...], most: int = 3) -> tuple[Operand, ...]:
        return tuple(self.random.sample(values, self.random.randint(1, min(most, len(values)))))

    # ------------------------------------------------------------------------------------------------- conditions

    def leaf(self) -> Leaf:
        pick = self.random.choice
        leaf = pick((self._text_leaf, self._number_leaf, self._list_leaf, self._other_leaf))()
        if self.chance(0.25):
            leaf = replace(leaf, on_missing=pick(tuple(OnMissing)))
        return leaf

    def _text_leaf(self) -> Leaf:
        pick = self.random.choice
        folds = self.chance(0.2)
        if self.chance(0.2):
            return Leaf("user", "in", self.some(USERS), is_unit=True)
        operator = pick(("equals", "in", "starts_with", "ends_with", "contains", "regex"))
        if operator == "equals":
            return Leaf("country", operator, pick(COUNTRIES), ignore_case=folds)
        if operator == "regex":
            return Leaf("country", operator, pick(("^K", "R$", "KR|TH")), ignore_case=folds)
        parts = COUNTRIES if operator == "in" else ("K", "KR", "R", "T", "X")
        return Leaf("country", operator, self.some(parts), ignore_case=folds)

    def _number_leaf(self) -> Leaf:
        operator = self.random.choice(("<", "<=", ">", ">=", "between", "equals", "in", "modulo"))
        numbers: tuple[float, ...] = (0, 1, 2, 2.5, 3, 5)
        if operator == "between":
            return Leaf("n", operator, tuple(sorted(self.random.sample(numbers, 2))))
        if operator == "in":
            return Leaf("n", operator, self.some(numbers))
        if operator == "modulo":
            return Leaf("n", operator, (self.random.choice((2, 3)), 1))
        return Leaf("n", operator, self.random.choice(numbers))

    def _list_leaf(self) -> Leaf:
        operator = self.random.choice(("any_of", "all_of", "none_of", "size"))
        if operator == "size":
            return Leaf("tags", operator, self.random.choice((0, 1, 2, (0, 2), (1, 3), (1, 2))))
        return Leaf("tags", operator, self.some(TAGS if self.chance(0.3) else TAGS[:3]))

    def _other_leaf(self) -> Leaf:
        pick = self.random.choice
        return pick(
            (
                Leaf("version", "semver", pick(RANGES)),
                Leaf("at", pick(("before", "after")), pick(MOMENTS)),
                Leaf("ip", "cidr", self.some(NETWORKS)),
                Leaf("country", "exists", self.chance(0.5)),
                Leaf("n", "type", pick(("number", "string"))),
                Leaf("flagged", "equals", self.chance(0.5)),
            )
        )

    def condition(self, cohorts: tuple[str, ...], depth: int = 3) -> Condition:
        shape = self.random.random()
        if cohorts and shape < 0.2:
            return InCohort(self.random.choice(cohorts))
        if depth == 1 or shape < 0.55:
            return self.leaf()
        if shape < 0.65:
            return Not(self.condition(cohorts, depth - 1))
        parts = tuple(self.condition(cohorts, depth - 1) for _ in range(self.random.randint(1, 3)))
        return All(parts) if self.chance(0.5) else Any(parts)

    # --------------------------------------------------------------------------------------------------- resources

    def cohort(self, key: str) -> Cohort:
        inner = COHORTS[: COHORTS.index(key)]
        return Cohort(
            key,
            key_set(self.random.sample(USERS, self.random.randint(0, 8))),
            key_set(self.random.sample(USERS, self.random.randint(0, 4))),
            self.random.choice(("user", "user", "tenant")),
            self.condition(inner, 2) if self.chance(0.5) else None,
        )

    def outcome(self) -> Serve | Split:
        if self.chance(0.5):
            return Serve(self.random.choice(VARIANTS))
        variants = self.random.sample(VARIANTS, self.random.randint(1, 4))
        cuts = sorted(self.random.randint(0, 10) * PPM // 10 for _ in variants[1:])
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, PPM], strict=True)]
        return Split(tuple(map(Weight, variants, shares)))

    def rule(self, id_: str, flag: str) -> Rule:
        outcome = ByRollout(self.random.choice(rollouts_of(flag))) if self.chance(0.3) else self.outcome()
        return Rule(id_, outcome, self.condition(COHORTS) if self.chance(0.8) else None)

    def rollout(self, key: str, flag: str) -> RolloutState:
        before, after = self.random.sample(VARIANTS, 2)
        return RolloutState(
            key,
            flag,
            run=self.random.randint(1, 2),
            from_variant="off" if self.chance(0.3) and after != "off" else before,
            to_variant=after,
            salt=salt16(key),
            unit=self.random.choice(("user", "user", "tenant")),
            reaches=tuple(self.reach(f"s{at}") for at in range(self.random.randint(0, 3))),
            never=tuple(self.condition(COHORTS, 2) for _ in range(self.random.choice((0, 0, 1)))),
        )

    def reach(self, stage: str) -> Reach:
        share_ppm = self.random.randint(0, 10) * PPM // 10
        return Reach(stage, share_ppm, self.condition(COHORTS, 2) if self.chance(0.6) else None)

    def targets(self) -> tuple[Target, ...]:
        units = self.random.sample(USERS, 6)
        return tuple(Target(variant, (units.pop(), units.pop())) for variant in self.random.sample(VARIANTS, 2))

    def requirement(self, key: str) -> Requirement:
        among = VARIANTS if self.chance(0.1) else VARIANTS[1:]
        parent = self.random.choice(FLAGS[: FLAGS.index(key)])
        return Requirement(parent, tuple(self.random.sample(among, self.random.randint(1, 2))))

    def flag(self, key: str) -> Flag:
        return Flag(
            key=key,
            type=ValueType.STRING,
            variants=tuple(Variant(variant, variant.upper()) for variant in VARIANTS),
            off="off",
            default=self.random.choice(("off", "off", "on", "blue")),
            salt=salt16(key),
            never=tuple(self.condition(COHORTS, 2) for _ in range(self.random.choice((0, 0, 1, 2)))),
            requires=(self.requirement(key),) if key != FLAGS[0] and self.chance(0.5) else (),
            targets=self.targets() if self.chance(0.3) else (),
            rules=tuple(self.rule(f"r{at}", key) for at in range(self.random.randint(0, 3))),
        )

    def world(self) -> Ruleset:
        killed = [key for key in FLAGS if self.chance(0.05)]
        rollouts = (self.rollout(key, flag) for flag in FLAGS for key in rollouts_of(flag))
        return ruleset(*map(self.flag, FLAGS), *map(self.cohort, COHORTS), *rollouts, killed=killed)

    # ----------------------------------------------------------------------------------------------------- contexts

    def context(self) -> Context:
        pick = self.random.choice
        units = {"user": pick((*USERS, *(f"x{self.random.randint(0, 999)}" for _ in range(20))))}
        if self.chance(0.1):
            units = {}
        if self.chance(0.7):
            units["tenant"] = pick((*TENANTS, *USERS[:4]))
        domains: dict[str, tuple[object, ...]] = {
            "country": (*COUNTRIES, "", 7, None),
            "n": (0, 1, 2, 2.5, 3, 4, 5, -1, float("nan"), "1", True),
            "tags": ([], ["a"], ["a", "b"], ["a", "b", "c"], [1, "a"], [True], ["z"], [None, "a"], "a"),
            "version": (*VERSIONS, "1", "v1", 1),
            "at": (*MOMENTS, "2025-12-31T23:59:59Z", "soon", 5),
            "ip": (*ADDRESSES, "10.0.0.256", 10),
            "flagged": (True, False, 1, "true"),
        }
        return Context.of(units, {name: pick(values) for name, values in domains.items() if self.chance(0.85)})
