"""One flag or cohort by itself."""

from dataclasses import replace

import pytest

from rollout_sdk.engine.findings import Findings
from rollout_sdk.engine.limits import NEVER_PER_FLAG, REQUIRES_PER_FLAG, RULES_PER_FLAG, TARGET_UNITS_PER_FLAG
from rollout_sdk.engine.model import PPM, Cohort, Flag, KeySet, Requirement, Rule, Split, ValueType, Variant, Weight
from rollout_sdk.engine.validate_flags import check_cohort, check_flag
from tests.small_world import cohort, flag, leaf, requires, serve, split, target

KR = leaf("country", "equals", "KR")
BAD = leaf("n", "<", "5")


def found(thing: Flag | Cohort) -> list[tuple[str, str]]:
    findings = Findings("x/y")
    if isinstance(thing, Flag):
        check_flag(findings, thing)
    else:
        check_cohort(findings, thing)
    assert all(problem.message for problem in findings.problems)
    return [(problem.path, problem.code) for problem in findings.problems]


def weights(**shares_ppm: int) -> Rule:
    return Rule("r", Split(tuple(Weight(key, share) for key, share in shares_ppm.items())))


GOOD = flag(
    "f",
    serve("on", KR),
    split({"on": 10, "blue": 20}, None, "r2"),
    never=(KR,),
    requires=(requires("p"),),
    targets=(target("on", "u-1"), target("blue", "u-2")),
)


def test_good_ones_have_no_problems() -> None:
    """A flag with everything, and a cohort by list or by condition."""
    assert found(GOOD) == []
    assert found(cohort("c", ["u"])) == []
    assert found(cohort("c", when=KR)) == []


@pytest.mark.parametrize(
    ("thing", "path", "code"),
    [
        (replace(GOOD, key="Checkout"), "metadata.key", "bad_key"),
        (replace(GOOD, unit="u" * 33), "spec.unit", "bad_unit"),
        (replace(GOOD, salt="short"), "spec.salt", "bad_salt"),
        (replace(GOOD, off="of"), "spec.off", "unknown_variant"),
        (replace(GOOD, default="onn"), "spec.default", "unknown_variant"),
        (replace(GOOD, never=(KR, BAD)), "spec.never[1].<", "bad_operand"),
        (replace(GOOD, requires=(Requirement("p", ()),)), "spec.requires[0].variants", "empty_list"),
        (replace(GOOD, rules=(serve("onn"),)), "spec.rules[0].serve", "unknown_variant"),
        (replace(GOOD, rules=(serve("on", BAD),)), "spec.rules[0].when.<", "bad_operand"),
        (replace(GOOD, rules=(serve("on"), serve("on"))), "spec.rules[1].id", "duplicate_rule"),
        (replace(GOOD, rules=(serve("on", id_="A"),)), "spec.rules[0].id", "bad_key"),
        (replace(GOOD, rules=(split({"onn": 10}),)), "spec.rules[0].split.onn", "unknown_variant"),
        (replace(GOOD, rules=(weights(on=1),)), "spec.rules[0].split", "bad_sum"),
        (replace(GOOD, rules=(weights(),)), "spec.rules[0].split", "bad_sum"),
        (replace(GOOD, rules=(Rule("r", Split((Weight("on", PPM),), law=2)),)), "spec.rules[0].split", "unknown_law"),
        (replace(GOOD, targets=(target("onn", "u"),)), "spec.targets.onn", "unknown_variant"),
        (replace(GOOD, targets=(target("on", "u", ""),)), "spec.targets.on[1]", "bad_unit_key"),
        (
            replace(GOOD, targets=(target("on", "u", "v"), target("blue", "w", "v"))),
            "spec.targets.blue[1]",
            "duplicate_unit",
        ),
        (replace(GOOD, targets=(target("on", "u"), target("on", "v"))), "spec.targets.on", "duplicate_target"),
        (replace(GOOD, variants=(*GOOD.variants, Variant("on", "x"))), "spec.variants.on", "duplicate_variant"),
        (replace(GOOD, variants=(*GOOD.variants, Variant("a\u200b", "x"))), 'spec.variants["a\\u200b"]', "bad_variant"),
        (replace(GOOD, variants=(*GOOD.variants, Variant("x", 1))), "spec.variants.x", "wrong_type"),
        (cohort("C", ["u"]), "metadata.key", "bad_key"),
        (cohort("c", ["u"], unit="Tenant"), "spec.unit", "bad_unit"),
        (cohort("c", when=BAD), "spec.when.<", "bad_operand"),
        (cohort("c"), "spec", "empty_cohort"),
        (cohort("c", [], ["u"]), "spec", "empty_cohort"),
        (Cohort("c", KeySet(1_000_001), KeySet()), "spec.include", "too_many"),
        (Cohort("c", KeySet(1), KeySet(1_000_001)), "spec.exclude", "too_many"),
    ],
)
def test_each_mistake_is_told_at_its_place(thing: Flag | Cohort, path: str, code: str) -> None:
    """One mistake, one problem, with the path that the document has there."""
    assert found(thing) == [(path, code)]


def test_shares_outside_of_the_whole_are_told_beside_the_sum() -> None:
    """Negative shares do not make up for too large ones."""
    assert found(replace(GOOD, rules=(weights(on=PPM + 1, off=-1),))) == [
        ("spec.rules[0].split.on", "bad_share"),
        ("spec.rules[0].split.off", "bad_share"),
    ]
    doubled = Rule("r", Split((Weight("on", PPM // 2), Weight("on", PPM // 2))))
    assert found(replace(GOOD, rules=(doubled,))) == [("spec.rules[0].split.on", "duplicate_weight")]


def test_the_sum_says_exactly_what_is_missing() -> None:
    """Shares are exact to one in a million, and so is the hint."""
    findings = Findings("flag/f")
    check_flag(findings, replace(GOOD, rules=(weights(on=333_333, off=666_666),)))
    assert findings.problems[0].message == "the shares add up to 99.9999%, not to 100%"
    assert findings.problems[0].hint == "0.0001% is missing"
    findings = Findings("flag/f")
    check_flag(findings, replace(GOOD, rules=(weights(on=PPM, off=25_000),)))
    assert findings.problems[0].hint == "2.5% too much"


def test_a_flag_without_variants_is_told_with_all_that_follows() -> None:
    """Nothing is hidden by the first problem."""
    empty = flag("f", variants=())
    assert found(empty) == [
        ("spec.variants", "no_variants"),
        ("spec.off", "unknown_variant"),
        ("spec.default", "unknown_variant"),
    ]


@pytest.mark.parametrize(
    ("thing", "path", "limit"),
    [
        (
            lambda n: replace(GOOD, rules=tuple(serve("on", KR, f"r{at}") for at in range(n))),
            "spec.rules",
            RULES_PER_FLAG,
        ),
        (lambda n: replace(GOOD, never=(KR,) * n), "spec.never", NEVER_PER_FLAG),
        (lambda n: replace(GOOD, requires=(requires("p"),) * n), "spec.requires", REQUIRES_PER_FLAG),
        (
            lambda n: replace(GOOD, targets=(target("on", *(f"u{at}" for at in range(n))),)),
            "spec.targets",
            TARGET_UNITS_PER_FLAG,
        ),
        (
            lambda n: flag("f", variants=tuple(Variant(f"v{at}", "x") for at in range(n)), off="v0", default="v0"),
            "spec.variants",
            256,
        ),
    ],
)
def test_each_limit_is_named_when_exceeded_by_one(thing: object, path: str, limit: int) -> None:
    """The limit itself passes; one more is refused where the thing is made."""
    assert callable(thing)
    assert found(thing(limit)) == []
    assert found(thing(limit + 1)) == [(path, "too_many")]


def test_values_are_checked_against_the_type() -> None:
    """Every variant's value, not only the served ones."""
    assert found(flag("f", type=ValueType.BOOLEAN)) == [
        ("spec.variants.on", "wrong_type"),
        ("spec.variants.off", "wrong_type"),
        ("spec.variants.blue", "wrong_type"),
    ]
