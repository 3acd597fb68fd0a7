"""A flag as its decision list."""

from collections.abc import Set as AbstractSet

import pytest

from rollout_sdk.engine.model import PPM, All, Not, Reach, Rule, Split, Weight
from rollout_sdk.engine.narrowing import EVERYBODY, Narrowing, Side, Sided
from rollout_sdk.engine.steps import (
    Answer,
    Buckets,
    Guard,
    Guards,
    Met,
    Named,
    NotRuledOut,
    Step,
    Unmet,
    is_safe,
    only_gives,
    safe_variants,
    steps_of,
)
from tests.small_world import by_rollout, flag, leaf, requires, rollout, serve, split, target

KR, ASIA = leaf("c", "equals", "KR"), leaf("c", "in", ("KR", "TH"))
SALT = "s" * 16
OFF = frozenset({"off"})


def buckets(*intervals: tuple[str, int], salt: str = SALT) -> Buckets:
    return Buckets(salt, "user", 1, intervals)


def test_steps_follow_the_decision_order() -> None:
    """Never, requires, targets, rules, default; a kill stands for all of them."""
    one = flag("f", serve("on", KR), never=(KR,), requires=(requires("p"),), targets=(target("on", "u"),))
    assert [step.label for step in steps_of(one, Side.BEFORE, killed=False, rollouts={})] == [
        "never[0]",
        "requires p",
        "targets.on",
        'rule "r1"',
        "the default",
    ]
    assert [(step.label, step.answer) for step in steps_of(one, Side.BEFORE, killed=True, rollouts={})] == [
        ("the kill", "off")
    ]


def test_a_rollout_is_a_step_for_each_stage_and_one_for_the_rest() -> None:
    """The largest share first; inside a stage are the rule, the audience, and the negation of each never."""
    state = rollout("x", "f", Reach("canary", 10), Reach("asia", 500, ASIA), never=(KR,))
    moved = flag("f", by_rollout("x", KR), serve("on"))
    found = steps_of(moved, Side.AFTER, killed=False, rollouts={"x": state})
    assert [(step.label, step.safe) for step in found] == [
        ('rule "launch" in stage "asia"', "off"),
        ('rule "launch" in stage "canary"', "off"),
        ('rule "launch"', "off"),
        ('rule "r1"', None),
    ]
    asia, canary, rest, _ = found
    assert asia.guard == Met(Sided(All((KR, ASIA, Not(KR))), Side.AFTER), "user")
    assert canary.guard == Met(Sided(All((KR, Not(KR))), Side.AFTER), "user")
    assert (asia.answer, rest) == (
        Buckets(state.salt, "user", 1, (("on", 500), ("off", PPM))),
        Step('rule "launch"', Met(Sided(KR, Side.AFTER)), "off", "off"),
    )


def test_a_rollout_without_a_rule_above_it_ends_the_list() -> None:
    """It answers everybody; without a state, or with a share that is none, nothing is known of it."""
    moved = flag("f", by_rollout("x"), serve("on"))
    full = rollout("x", "f", Reach("full", PPM), from_variant="blue")
    assert [step.answer for step in steps_of(moved, Side.AFTER, killed=False, rollouts={"x": full})] == [
        Buckets(full.salt, "user", 1, (("on", PPM),)),
        "blue",
    ]
    assert [step.answer for step in steps_of(moved, Side.AFTER, killed=False, rollouts={})] == [None]
    bad = rollout("x", "f", Reach("bad", PPM + 1))
    assert steps_of(moved, Side.AFTER, killed=False, rollouts={"x": bad})[0].answer is None


def test_safe_variants_are_off_and_every_from() -> None:
    """What a flag may give to more contexts than before although it shrank."""
    moved = flag("f", by_rollout("x"), by_rollout("y"), by_rollout("gone"))
    states = {"x": rollout("x", "f", from_variant="blue"), "y": rollout("y", "f", from_variant="nowhere")}
    assert safe_variants(moved, states) == {"off", "blue"}
    assert safe_variants(flag("f"), states) == {"off"}


def test_what_nobody_reaches_is_no_step() -> None:
    """A rule that serves everybody ends the list; a split does not, for contexts without the unit go on."""
    assert [
        step.label
        for step in steps_of(flag("f", serve("on"), serve("blue", KR, "r2")), Side.AFTER, killed=False, rollouts={})
    ] == ['rule "r1"']
    assert steps_of(flag("f", split({"on": 10})), Side.AFTER, killed=False, rollouts={})[-1].label == "the default"


def test_a_split_whose_weights_make_no_whole_has_no_answer() -> None:
    """Neither too little nor a negative share is compared with anything."""
    for weights in ((Weight("on", 1),), (Weight("on", PPM + 1), Weight("off", -1))):
        step = steps_of(flag("f", Rule("r", Split(weights))), Side.AFTER, killed=False, rollouts={})[0]
        assert step.answer is None
        assert not is_safe(step.answer, "on", OFF)
        assert not is_safe("on", step.answer, OFF)
        assert is_safe("off", step.answer, OFF)


@pytest.mark.parametrize(
    ("after", "before", "safe"),
    [
        ("on", "on", True),
        ("off", "on", True),
        ("on", "off", False),
        ("blue", "on", False),
        (buckets(("on", 10), ("off", PPM)), "on", True),
        (buckets(("on", 10), ("off", PPM)), "blue", False),
        ("on", buckets(("on", PPM)), True),
        ("on", buckets(("on", 10), ("off", PPM)), False),
        (buckets(("on", 10), ("off", PPM)), buckets(("on", 20), ("off", PPM)), True),
        (buckets(("on", 20), ("off", PPM)), buckets(("on", 10), ("off", PPM)), False),
        (buckets(("on", 10), ("off", PPM)), buckets(("on", 20), ("off", PPM), salt="z" * 16), False),
        (buckets(("on", 10), ("off", PPM)), buckets(("on", PPM), salt="z" * 16), True),
        (buckets(("blue", 10), ("off", 20), ("on", PPM)), buckets(("blue", 10), ("on", PPM)), True),
        (buckets(("blue", 11), ("on", PPM)), buckets(("blue", 10), ("on", PPM)), False),
    ],
)
def test_an_answer_is_safe_when_each_bucket_keeps_its_variant_or_gets_off(
    after: Answer, before: Answer, *, safe: bool
) -> None:
    """Compared bucket by bucket, under the same salt, law and unit."""
    assert is_safe(after, before, OFF) is safe


def test_only_gives_looks_at_every_bucket() -> None:
    """An answer gives only off when no bucket gets anything else."""
    assert only_gives("off", "off")
    assert only_gives(buckets(("off", PPM)), "off")
    assert not only_gives(buckets(("off", PPM - 1), ("on", PPM)), "off")
    assert not only_gives(None, "off")


def guards(newly_given: AbstractSet[str] | None = None) -> Guards:
    narrowing = Narrowing({}, {})
    narrowing.refill()
    return Guards(narrowing, lambda key: newly_given if key == "p" else None)


def met(condition: object = EVERYBODY, unit: str | None = None) -> Met:
    assert not isinstance(condition, str)
    return Met(Sided(condition, Side.BEFORE), unit)  # type: ignore[arg-type]


def unmet(*variants: str, side: Side = Side.BEFORE, parent: str = "p") -> Unmet:
    return Unmet(parent, frozenset(variants), side)


NEVER_KR = NotRuledOut(Sided(KR, Side.BEFORE))
NEVER_ASIA = NotRuledOut(Sided(ASIA, Side.BEFORE))


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (met(ASIA), met(KR), True),
        (met(KR), met(ASIA), False),
        (met(ASIA), met(KR, "user"), True),
        (met(ASIA, "user"), met(KR, "user"), True),
        (met(ASIA, "user"), met(KR, "tenant"), False),
        (met(ASIA, "user"), met(KR), False),
        (NEVER_ASIA, NEVER_KR, True),
        (NEVER_ASIA, met(KR), True),
        (met(ASIA), NEVER_KR, False),
        (met(), NEVER_KR, True),
        (met(), unmet("on"), True),
        (met(), Named("user", frozenset({"u"})), True),
        (met(unit="user"), Named("user", frozenset({"u"})), False),
        (Named("user", frozenset({"u", "v"})), Named("user", frozenset({"u"})), True),
        (Named("user", frozenset({"u"})), Named("user", frozenset({"u", "v"})), False),
        (Named("tenant", frozenset({"u"})), Named("user", frozenset({"u"})), False),
        (unmet("on"), unmet("on", "blue"), True),
        (unmet("on", "blue"), unmet("on"), False),
        (unmet("on"), unmet("on", parent="q"), False),
        (unmet("on", side=Side.AFTER), unmet("on"), False),
    ],
)
def test_a_guard_covers_another_when_it_takes_all_that_the_other_takes(
    wide: Guard, narrow: Guard, *, covers: bool
) -> None:
    """Rules need true, never takes unknown too, splits need the unit; what is not proven is not covered."""
    assert guards().covers(wide, narrow) is covers


def test_a_parent_that_shrank_is_missed_by_no_fewer() -> None:
    """Who missed the parent's variants before misses them after, unless it may give one of them to more contexts."""
    shrunk = guards(OFF)
    assert shrunk.covers(unmet("on", side=Side.AFTER), unmet("on"))
    assert not shrunk.covers(unmet("on", "off", side=Side.AFTER), unmet("on", "off"))
    assert not shrunk.covers(unmet("on"), unmet("on", side=Side.AFTER))
    assert not guards().covers(unmet("on", side=Side.AFTER), unmet("on"))
    assert guards(frozenset()).covers(unmet("on", "off", side=Side.AFTER), unmet("on", "off"))


def test_targets_of_different_units_are_disjoint() -> None:
    """Nobody is in two lists of units without a common key; of anything else that is not known."""
    one, other = Named("user", frozenset({"u"})), Named("user", frozenset({"v"}))
    assert guards().disjoint(one, other)
    assert not guards().disjoint(one, Named("user", frozenset({"u", "v"})))
    assert not guards().disjoint(one, Named("tenant", frozenset({"v"})))
    assert not guards().disjoint(one, met(KR))
