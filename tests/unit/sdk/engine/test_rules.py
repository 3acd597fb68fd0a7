from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine import limits
from rollout_sdk.engine.bucketing import bucket, hash_bound, split_head, unit64, unit_hash
from rollout_sdk.engine.conditions import Uncompilable
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.exposure import compile_stages
from rollout_sdk.engine.model import Flag, Reason, Requirement, Rule, Split, Target, Weight
from rollout_sdk.engine.outcomes import Outcome
from rollout_sdk.engine.rules import compile_killed, compile_rules
from tests.rulesets import ON_OFF, bad_leaf, by_rollout, flag, in_cohort, leaf, reach, rollout, serve, split

EVERYBODY = (leaf("t", "exists", operand=False),)


def outcome(rules: Flag, context: Context, *, killed: bool = False) -> Outcome:
    made = compile_rules(rules, killed=killed, cohorts={}, parents={})
    return made.outcomes[made.evaluate(context)]


def test_killed_serves_off_before_anything_else() -> None:
    """Also where everything else would say on."""
    rules = flag("f", serve(), targets=(Target("on", ("u-1",)),), default="on")
    assert outcome(rules, Context("u-1"), killed=True) == Outcome("off", Reason.KILLED)
    assert outcome(rules, Context("u-1")) == Outcome("on", Reason.TARGET)


def test_killed_rules_are_compiled_all_the_same() -> None:
    """What is wrong with them must be known before somebody lifts the kill."""
    with pytest.raises(Uncompilable, match="resembles"):
        compile_rules(flag("f", serve(bad_leaf())), killed=True, cohorts={}, parents={})


def test_a_killed_flag_needs_its_off_variant_only() -> None:
    """Kill acts where no rule can be read; without an off variant it cannot."""
    broken = flag("f", serve(bad_leaf()), Rule("r", Split((), law=9)))
    made = compile_killed(broken)
    assert made.outcomes[made.evaluate(Context())] == Outcome("off", Reason.KILLED)
    with pytest.raises(Uncompilable):
        compile_killed(replace(broken, off="gone"))


def test_a_unit_is_in_the_first_target_that_names_it() -> None:
    """Should two name it after all, the order decides."""
    rules = flag("f", targets=(Target("off", ("u-1",)), Target("on", ("u-1", "u-2"))), default="on")
    assert outcome(rules, Context("u-1")).variant == "off"
    assert outcome(rules, Context("u-2")) == Outcome("on", Reason.TARGET)


def test_a_target_is_text_and_not_the_missing_unit() -> None:
    """A context without a unit is in no target."""
    assert outcome(flag("f", targets=(Target("on", ("None", "")),)), Context()) == Outcome("off", Reason.DEFAULT)


@pytest.mark.parametrize(
    "weights",
    [
        (1_000_000,),
        (500_000, 500_000),
        (0, 1_000_000),
        (1_000_000, 0),
        (1, 999_999),
        (200_000, 300_000, 500_000),
        (0, 0, 1_000_000),
        (333_333, 0, 666_667),
    ],
)
def test_weights_own_buckets_in_their_order(weights: tuple[int, ...]) -> None:
    """The first weight owns the lowest buckets, each exactly as many as its share."""
    variants = tuple(replace(ON_OFF[0], key=f"v{number}") for number in range(len(weights)))
    shares = tuple(Weight(f"v{number}", share) for number, share in enumerate(weights))
    rules = replace(flag("f", Rule("r", Split(shares))), variants=variants, off="v0", default="v0")
    for number in range(400):
        key = f"user-{number}"
        left = bucket(rules.salt, unit64(key))
        wanted = next(index for index in range(len(weights)) if left < sum(weights[: index + 1]))
        assert outcome(rules, Context(key)) == Outcome(f"v{wanted}", Reason.SPLIT, "r")


def test_conditions_before_and_after_a_split() -> None:
    """A split without its unit passes on; only a default served for it says so."""
    rules = flag("f", split(1_000_000, EVERYBODY[0], "s"), serve(leaf("a", "equals", 1), rule="later"))
    assert outcome(rules, Context("u-1")) == Outcome("on", Reason.SPLIT, "s")
    assert outcome(rules, Context()) == Outcome("off", Reason.NO_UNIT)
    assert outcome(rules, Context(a=1)) == Outcome("on", Reason.RULE, "later")
    assert outcome(rules, Context(t=1)) == Outcome("off", Reason.DEFAULT)


def test_never_takes_what_is_not_false() -> None:
    """Silence exposes nobody."""
    rules = flag("f", never=(leaf("regulated", "equals", operand=True),), default="on")
    assert outcome(rules, Context(regulated=True)) == Outcome("off", Reason.NEVER)
    assert outcome(rules, Context()) == Outcome("off", Reason.NEVER)
    assert outcome(rules, Context(regulated=False)) == Outcome("on", Reason.DEFAULT)


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        ("law", flag("f", Rule("r", Split((Weight("on", 1_000_000),), law=2)))),
        ("too little", flag("f", Rule("r", Split((Weight("on", 999_999),))))),
        ("too much", flag("f", Rule("r", Split((Weight("on", 1_000_001),))))),
        ("negative", flag("f", Rule("r", Split((Weight("on", 1_000_001), Weight("off", -1)))))),
        ("no weights", flag("f", Rule("r", Split(())))),
        ("weight", flag("f", Rule("r", Split((Weight("gone", 1_000_000),))))),
        ("serve", flag("f", serve(variant="gone"))),
        ("target", flag("f", targets=(Target("gone", ("u",)),))),
        ("default", flag("f", default="gone")),
        ("off", replace(flag("f", never=EVERYBODY), off="gone")),
        ("salt", flag("f", salt="short")),
        ("salt", flag("f", salt="é" * 16)),
        ("operator", flag("f", serve(bad_leaf()))),
        ("never", flag("f", never=(bad_leaf(),))),
        ("cohort", flag("f", serve(in_cohort()))),
        ("rules", flag("f", *(serve(EVERYBODY[0], rule=str(n)) for n in range(limits.RULES_PER_FLAG * 2 + 1)))),
        ("requires", flag("f", requires=(Requirement("p", ("on",)),) * (limits.REQUIRES_PER_FLAG * 2 + 1))),
        ("never", flag("f", never=EVERYBODY * (limits.NEVER_PER_FLAG * 2 + 1))),
        ("targets", flag("f", targets=(Target("on", ("u",) * (limits.TARGET_UNITS_PER_FLAG * 2 + 1)),))),
    ],
)
def test_what_no_reader_takes(what: str, rules: Flag) -> None:
    """Each is refused; none is repaired in silence."""
    with pytest.raises(Uncompilable):
        compile_rules(rules, killed=False, cohorts={}, parents={})


def test_off_is_checked_even_where_nothing_leads_to_it() -> None:
    """Somebody may have to kill the flag tonight."""
    with pytest.raises(Uncompilable, match="gone"):
        compile_rules(replace(flag("f"), off="gone"), killed=False, cohorts={}, parents={})


@pytest.mark.parametrize("more_weights", [False, True])
def test_the_first_hash_of_a_bucket_is_not_in_the_share_below(*, more_weights: bool) -> None:
    """Strictly less, to the last bit of the hash."""
    rules = flag("f")
    head = split_head(rules.salt)
    keys = (f"user-{number}" for number in range(100_000))
    key = next(
        key for key in keys if unit_hash(head, unit64(key).encode()) == hash_bound(bucket(rules.salt, unit64(key)))
    )
    place = bucket(rules.salt, unit64(key))
    for share, inside in ((place, False), (place + 1, True)):
        rest = (Weight("off", 1_000_000 - share), Weight("off", 0))[: 1 + more_weights]
        made = flag("f", Rule("r", Split((Weight("on", share), *rest))))
        assert (outcome(made, Context(key)).variant == "on") is inside


def test_only_a_rollout_of_everybody_is_named_as_one() -> None:
    """Who counts may answer for such a flag itself; for any other it asks the flag."""
    stages = {"x": compile_stages(rollout(reach(250_000)), {})}

    def everyone(rules: Flag, *, killed: bool = False) -> bool:
        made = compile_rules(rules, killed=killed, cohorts={}, parents={}, rollouts=stages)
        return made.everyone is not None

    alone = flag("f", by_rollout())
    assert everyone(alone)
    assert not everyone(alone, killed=True)
    assert not everyone(replace(alone, never=EVERYBODY))
    assert not everyone(replace(alone, targets=(Target("on", ("u-1",)),)))
    assert not everyone(flag("f", by_rollout(when=EVERYBODY[0])))
    assert not everyone(flag("f", by_rollout(), serve()))


def test_a_flag_answers_the_same_once_it_is_quick() -> None:
    """Closures before, one function after, behind the same steps."""
    rules = flag("f", serve(leaf("country", "equals", "TH")), split(1_000_000), targets=(Target("off", ("u-9",)),))
    made = compile_rules(rules, killed=False, cohorts={}, parents={})
    contexts = [Context("u-1", country="TH"), Context("u-1"), Context("u-9", country="TH"), Context(None)]
    slow, before = made.evaluate, [made.evaluate(context) for context in contexts]
    made.quicken()
    made.quicken()
    assert made.evaluate is not slow
    assert [made.evaluate(context) for context in contexts] == before
