"""Random rulesets and contexts from a seed: flags of every kind over cohorts and each other, some of them broken."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    All,
    Any,
    ByRollout,
    Cohort,
    Condition,
    Flag,
    FlagState,
    InCohort,
    Json,
    Leaf,
    Not,
    OnMissing,
    Position,
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
from tests.odd_values import odd_value
from tests.vectors import reader

PATHS = ("a", "country", "plan", "plan.tier", "n", "v")
KINDS = ("user", "user", "user", "tenant")
SHARES = (0, 1, 250_000, 500_000, 999_999, 1_000_000)
KEYS = ("u-1", "u-2", "u-3", "user-42", "é", "x" * 64, "x" * 65, "t-9")
VALUES: dict[ValueType, tuple[Json, ...]] = {
    ValueType.BOOLEAN: (True, False),
    ValueType.STRING: ("", "é", "blue"),
    ValueType.INTEGER: (0, 20, -(2**63), 2**53 + 1),
    ValueType.FLOAT: (0.5, 3, 1e308),
    ValueType.JSON: (None, [1, {"a": [True]}], {"deep": {"er": []}}, "text", 5, 0.5, False),
}
LEAVES = tuple(
    leaf
    for vector in reader.DECISIONS["conditions"]
    if isinstance(leaf := reader.condition(vector["when"]), Leaf) and not leaf.is_unit
)
DOCUMENTS = tuple(
    document.get("attributes", {})
    for vector in reader.DECISIONS["conditions"]
    for document, _ in vector["cases"]
    if document.get("attributes")
)
"""The attributes of every published case."""


def seeded(seed: int) -> Random:
    """A generator that says the same again for the same seed."""
    return Random(seed)  # noqa: S311 - to be repeatable is the point


class World:
    """One random ruleset, and contexts to ask it with.

    Args:
        bad_share: how likely a flag holds something that no reader takes.
    """

    def __init__(self, random: Random, *, flags: int = 12, cohorts: int = 4, bad_share: float = 0.0) -> None:
        self._random = random
        self._bad_share = bad_share
        self._cohort_keys = [f"c{number}" for number in range(cohorts)]
        self._flag_keys = [f"f{number}" for number in range(flags)]
        self.cohorts = {
            key: self._cohort(key, self._cohort_keys[:number]) for number, key in enumerate(self._cohort_keys)
        }
        self.rollouts: dict[str, RolloutState] = {}
        self.flags = {key: self.flag(key, self._flag_keys[:number]) for number, key in enumerate(self._flag_keys)}

    def ruleset(self, revision: int = 1) -> Ruleset:
        states = {key: FlagState(key, killed=True) for key in self.flags if self._random.random() < 0.05}
        versions = dict.fromkeys(self.flags, revision)
        return Ruleset(Position("world", revision), self.flags, self.cohorts, states, versions, self.rollouts)

    # --------------------------------------------------------------------------------------------------- conditions

    def leaf(self) -> Leaf:
        if self._random.random() < 0.15:
            return Leaf(self._random.choice(KINDS), "in", self._some_keys() or ("u-1",), is_unit=True)
        leaf = replace(self._random.choice(LEAVES), subject=self._random.choice(PATHS))
        if self._random.random() < 0.2:
            leaf = replace(leaf, on_missing=self._random.choice(list(OnMissing)))
        return leaf

    def condition(self, cohorts: list[str], depth: int = 0) -> Condition:
        chance = self._random.random()
        if depth > 3 or chance < 0.5:
            if cohorts and self._random.random() < 0.25:
                return InCohort(self._random.choice(cohorts))
            return self.leaf()
        parts = tuple(self.condition(cohorts, depth + 1) for _ in range(self._random.randrange(4)))
        if chance < 0.7:
            return All(parts)
        return Any(parts) if chance < 0.88 else Not(self.condition(cohorts, depth + 1))

    def _some_keys(self) -> tuple[str, ...]:
        return tuple(key for key in KEYS if self._random.random() < 0.3)

    def _cohort(self, key: str, below: list[str]) -> Cohort:
        when = self.condition(below) if self._random.random() < 0.6 else None
        include, exclude = key_set(self._some_keys()), key_set(self._some_keys())
        return Cohort(key, include, exclude, self._random.choice(KINDS), when)

    # -------------------------------------------------------------------------------------------------------- flags

    def flag(self, key: str, below: list[str]) -> Flag:
        random = self._random
        value_type = random.choice(list(ValueType))
        variants = tuple(Variant(f"v{index}", value) for index, value in enumerate(VALUES[value_type]))
        names = [variant.key for variant in variants]
        flag = Flag(
            key,
            value_type,
            variants,
            off="v0",
            default=random.choice(names),
            salt=salt16(key),
            unit=random.choice(KINDS),
            never=tuple(self.condition(self._cohort_keys) for _ in range(random.choice((0, 0, 0, 1)))),
            requires=tuple(
                Requirement(random.choice(below), tuple(f"v{index}" for index in range(random.randrange(3))))
                for _ in range(random.choice((0, 0, 1)) if below else 0)
            ),
            targets=(Target(random.choice(names), self._some_keys()),) if random.random() < 0.3 else (),
            rules=tuple(self._rule(key, f"r{index}", names) for index in range(random.randrange(4))),
        )
        return self._broken(flag) if random.random() < self._bad_share else flag

    def _rule(self, flag: str, rule: str, names: list[str]) -> Rule:
        when = self.condition(self._cohort_keys) if self._random.random() < 0.8 else None
        if self._random.random() < 0.3:
            state = self._rollout(f"x-{flag}-{rule}", flag, names)
            self.rollouts[state.rollout] = state
            return Rule(rule, ByRollout(state.rollout), when)
        if self._random.random() < 0.5:
            return Rule(rule, Serve(self._random.choice(names)), when)
        cuts = sorted(self._random.choices(SHARES, k=len(names) - 1))
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, 1_000_000], strict=True)]
        weights = (Weight(name, share) for name, share in zip(names, shares, strict=True))
        return Rule(rule, Split(tuple(weights)), when)

    def _rollout(self, key: str, flag: str, names: list[str]) -> RolloutState:
        """A rollout in any number of overlapping stages, none included."""
        random = self._random
        before, after = random.sample(names, 2)
        state = RolloutState(
            key,
            flag,
            run=random.randrange(3),
            from_variant=before,
            to_variant=after,
            salt=salt16(key),
            unit=random.choice(KINDS),
            reaches=tuple(self.reach(f"s{index}") for index in range(random.randrange(4))),
            never=tuple(self.condition(self._cohort_keys) for _ in range(random.choice((0, 0, 1)))),
            allocation=random.randrange(5),
        )
        return self._broken_rollout(state) if random.random() < self._bad_share else state

    def reach(self, stage: str) -> Reach:
        audience = self.condition(self._cohort_keys) if self._random.random() < 0.6 else None
        return Reach(stage, self._random.choice(SHARES), audience)

    def _broken_rollout(self, state: RolloutState) -> RolloutState:
        """One of the ways in which a rollout cannot be compiled, or does not fit its flag."""
        return self._random.choice(
            (
                replace(state, salt=""),
                replace(state, law=7),
                replace(state, flag="another"),
                replace(state, from_variant="gone"),
                replace(state, reaches=(*state.reaches, Reach("bad", 1_000_001))),
                replace(state, reaches=(*state.reaches, Reach("bad", 1, Leaf("a", "resembles", 1)))),
                replace(state, reaches=(Reach("bad", 1, InCohort("gone")), *state.reaches)),
                replace(state, reaches=(*state.reaches, Reach("last", 1)), never=(InCohort("gone"),)),
            )
        )

    def _broken(self, flag: Flag) -> Flag:
        """One of the ways in which a flag cannot be compiled, or requires what is not there."""
        return self._random.choice(
            (
                replace(flag, off="gone"),
                replace(flag, salt=""),
                replace(flag, rules=(*flag.rules, Rule("bad", Serve("gone")))),
                replace(flag, rules=(*flag.rules, Rule("bad", Split((), law=7)))),
                replace(flag, rules=(*flag.rules, Rule("bad", ByRollout("gone")))),
                replace(flag, never=(Leaf("a", "resembles", 1),)),
                replace(flag, never=(InCohort("gone"),)),
                replace(flag, type=ValueType.BOOLEAN, variants=(Variant("v0", "text"),)),
                replace(flag, requires=(Requirement(self._random.choice(self._flag_keys), ("v1",)),)),
            )
        )

    # ----------------------------------------------------------------------------------------------------- contexts

    def context(self) -> Context:
        """A context as a service would make it: what some published case holds, and a unit."""
        attributes: dict[str, object] = {}
        for path in PATHS:
            if self._random.random() < 0.6:
                attributes[path] = self._random.choice(list(self._random.choice(DOCUMENTS).values()))
        units = {kind: self._random.choice(KEYS) for kind in ("user", "tenant") if self._random.random() < 0.8}
        return Context.of(units, attributes)

    def odd_context(self) -> Context:
        """A context as nobody should make it."""
        units = {kind: odd_value(self._random) for kind in KINDS if self._random.random() < 0.4}
        attributes = {path: odd_value(self._random) for path in PATHS if self._random.random() < 0.7}
        if self._random.random() < 0.5:
            units["user"] = self._random.choice(KEYS)
        return Context.of(units, attributes)  # type: ignore[arg-type] # what a caller may do
