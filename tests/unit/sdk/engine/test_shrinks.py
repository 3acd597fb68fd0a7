"""The proof finds what operators do to make things safer, and claims nothing that is not so."""

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import (
    PPM,
    All,
    Any,
    Cohort,
    Flag,
    InCohort,
    Not,
    Reach,
    RolloutState,
    Rule,
    Ruleset,
    Split,
    ValueType,
    Variant,
    Weight,
)
from rollout_sdk.engine.shrinks import proof
from tests.small_world import by_rollout, cohort, flag, leaf, requires, rollout, ruleset, serve, split, target

KOREA = leaf("country", "equals", "KR")
ASIA = leaf("country", "in", ("KR", "TH", "JP"))
PRO = leaf("plan", "equals", "pro")
BETA = InCohort("beta")
BETA_COHORT = cohort("beta", ["u-1", "u-2"])
PILOTS, CANARY, WIDE = Reach("pilots", PPM, PRO), Reach("canary", 10_000), Reach("wide", 250_000)
MOVED = flag("f", by_rollout())


def moved(
    before: RolloutState, after: RolloutState, *more: Flag | Cohort, rules: Flag = MOVED
) -> tuple[Ruleset, Ruleset]:
    """The change of one rollout's state."""
    return ruleset(rules, before, *more), ruleset(rules, after, *more)


def from_blue(*reaches: Reach) -> RolloutState:
    """A rollout from blue, which is not off, to on."""
    return rollout("x", "f", *reaches, from_variant="blue")


def one(before: Flag, after: Flag) -> tuple[Ruleset, Ruleset]:
    """The change of one flag, in a world with a parent and a cohort."""
    rest = (flag("parent", serve("on")), BETA_COHORT, rollout("idle", "f", from_variant="blue"))
    return ruleset(before, *rest), ruleset(after, *rest)


ONE_HALF = flag("f", split({"on": 50}))

SHRINKS = {
    "nothing changes": one(ONE_HALF, flag("f", split({"on": 50}))),
    "a split is lowered in favour of off": one(ONE_HALF, flag("f", split({"on": 20}))),
    "a split whose off comes first is lowered": one(
        flag("f", split({"off": 50, "on": 50})), flag("f", split({"off": 80, "on": 20}))
    ),
    "the last but one of three variants is lowered": one(
        flag("f", split({"blue": 20, "on": 30})), flag("f", split({"blue": 20, "on": 10}))
    ),
    "a split goes to nobody": one(ONE_HALF, flag("f", split({"off": 100}))),
    "a split over off is dropped": one(ONE_HALF, flag("f")),
    "serving everybody becomes a split": one(flag("f", serve("on")), flag("f", split({"on": 50}))),
    "serving everybody becomes serving off": one(flag("f", serve("on")), flag("f", serve("off"))),
    "the default becomes off": one(flag("f", default="on"), flag("f")),
    "never is added": one(ONE_HALF, replace(ONE_HALF, never=(KOREA,))),
    "never is widened": one(replace(ONE_HALF, never=(KOREA,)), replace(ONE_HALF, never=(ASIA,))),
    "never is put in another order": one(replace(ONE_HALF, never=(KOREA, PRO)), replace(ONE_HALF, never=(PRO, KOREA))),
    "never of a cohort is added": one(ONE_HALF, replace(ONE_HALF, never=(BETA,))),
    "requires is added": one(ONE_HALF, replace(ONE_HALF, requires=(requires("parent"),))),
    "requires is tightened": one(
        replace(ONE_HALF, requires=(requires("parent", "on", "blue"),)),
        replace(ONE_HALF, requires=(requires("parent", "on"),)),
    ),
    "a rule before an off default is removed": one(
        flag("f", serve("on", KOREA), serve("on", PRO, "r2")), flag("f", serve("on", PRO, "r2"))
    ),
    "the last rule before an off default is removed": one(
        flag("f", serve("on", KOREA), serve("blue", PRO, "r2")), flag("f", serve("on", KOREA))
    ),
    "a rule is narrowed": one(flag("f", serve("on", ASIA)), flag("f", serve("on", KOREA))),
    "a rule is narrowed by all": one(flag("f", serve("on", ASIA)), flag("f", serve("on", All((PRO, ASIA))))),
    "a rule is narrowed by dropping an alternative": one(
        flag("f", serve("on", Any((PRO, ASIA)))), flag("f", serve("on", Any((ASIA,))))
    ),
    "a rule is narrowed behind a not": one(flag("f", serve("on", Not(KOREA))), flag("f", serve("on", Not(ASIA)))),
    "a rule that serves off is added first": one(ONE_HALF, flag("f", serve("off", KOREA, "r0"), *ONE_HALF.rules)),
    "a rule that serves off is widened": one(
        flag("f", serve("off", KOREA, "r0"), serve("on")), flag("f", serve("off", ASIA, "r0"), serve("on"))
    ),
    "rules of one variant are put in another order": one(
        flag("f", serve("on", KOREA), serve("on", PRO, "r2")), flag("f", serve("on", PRO, "r2"), serve("on", KOREA))
    ),
    "a target is removed": one(
        flag("f", targets=(target("on", "u-1", "u-2"),)), flag("f", targets=(target("on", "u-1"),))
    ),
    "a target before other targets is removed": one(
        flag("f", targets=(target("blue", "u-1", "u-2"), target("on", "u-3"))),
        flag("f", targets=(target("blue", "u-1"), target("on", "u-3"))),
    ),
    "targets are put in another order": one(
        flag("f", targets=(target("blue", "u-1", "u-2"), target("on", "u-3"))),
        flag("f", targets=(target("on", "u-3"), target("blue", "u-2", "u-1"))),
    ),
    "a target of off is added": one(ONE_HALF, replace(ONE_HALF, targets=(target("off", "u-1"),))),
    "a rule that nobody reached is added": one(
        flag("f", serve("on", ASIA), serve("off", None, "r2")),
        flag("f", serve("on", ASIA), serve("blue", KOREA, "r1b"), serve("off", None, "r2")),
    ),
    "a rule that serves what the rest does is removed": one(
        flag("f", serve("on", KOREA), default="on"), flag("f", default="on")
    ),
    "an unused variant goes": one(ONE_HALF, replace(ONE_HALF, variants=ONE_HALF.variants[:2])),
    "an unused unit is renamed": one(flag("f", serve("on", PRO)), flag("f", serve("on", PRO), unit="tenant")),
    "a rollout is rolled back": moved(rollout("x", "f", PILOTS, CANARY, WIDE), rollout("x", "f")),
    "a rollout is rolled back to what is not off": moved(from_blue(PILOTS, WIDE), from_blue()),
    "a rollout goes back a stage": moved(from_blue(PILOTS, CANARY, WIDE), from_blue(PILOTS, CANARY)),
    "a share is lowered": moved(from_blue(PILOTS, WIDE), from_blue(PILOTS, replace(WIDE, share_ppm=5))),
    "a share is lowered below that of others": moved(
        from_blue(PILOTS, WIDE), from_blue(replace(PILOTS, share_ppm=5), WIDE)
    ),
    "an audience is narrowed": moved(
        from_blue(Reach("asia", PPM, ASIA), CANARY), from_blue(Reach("asia", PPM, KOREA), CANARY)
    ),
    "never is added to a rollout": moved(from_blue(PILOTS, WIDE), replace(from_blue(PILOTS, WIDE), never=(KOREA,))),
    "never of a rollout is widened": moved(
        replace(from_blue(WIDE), never=(KOREA,)), replace(from_blue(WIDE), never=(ASIA,))
    ),
    "stages are entered in another order": moved(from_blue(PILOTS, CANARY, WIDE), from_blue(WIDE, PILOTS, CANARY)),
    "a new run begins where the last one was": moved(from_blue(WIDE), replace(from_blue(WIDE), run=2, allocation=9)),
    "a rollout that has not begun is put before its from": one(
        flag("f", default="blue"), flag("f", by_rollout("idle"), default="blue")
    ),
    "a rollout that has not begun is taken out": one(
        flag("f", by_rollout("idle"), default="blue"), flag("f", default="blue")
    ),
    "a rule by a rollout is narrowed in favour of its from": (
        ruleset(flag("f", by_rollout("x", ASIA), default="blue"), from_blue(WIDE)),
        ruleset(flag("f", by_rollout("x", KOREA), default="blue"), from_blue(WIDE)),
    ),
    "keys are removed from a cohort under a stage": (
        ruleset(MOVED, from_blue(Reach("beta", PPM, BETA), CANARY), BETA_COHORT),
        ruleset(MOVED, from_blue(Reach("beta", PPM, BETA), CANARY), cohort("beta", ["u-1"])),
    ),
    "a rollout below a child that asks for its to is rolled back": moved(
        from_blue(WIDE), from_blue(), flag("child", serve("on"), requires=(requires("f", "on"),))
    ),
    "a flag under a rollout is killed": (
        ruleset(MOVED, from_blue(WIDE)),
        ruleset(MOVED, from_blue(WIDE), killed=["f"]),
    ),
    "kill": (ruleset(ONE_HALF), ruleset(ONE_HALF, killed=["f"])),
    "kill, whatever else changes": (ruleset(ONE_HALF), ruleset(flag("f", serve("blue")), killed=["f"])),
    "edits under a kill": (ruleset(ONE_HALF, killed=["f"]), ruleset(flag("f", serve("blue")), killed=["f"])),
    "a kill is lifted from a flag that gives off only": (ruleset(flag("f"), killed=["f"]), ruleset(flag("f"))),
    "keys are excluded from a cohort that serves on": (
        ruleset(flag("f", serve("on", BETA)), BETA_COHORT),
        ruleset(flag("f", serve("on", BETA)), cohort("beta", ["u-1", "u-2"], ["u-2"])),
    ),
    "keys are removed from a cohort that serves on": (
        ruleset(flag("f", split({"on": 50}, BETA)), BETA_COHORT),
        ruleset(flag("f", split({"on": 50}, BETA)), cohort("beta", ["u-1"])),
    ),
    "keys are added to a cohort under never": (
        ruleset(flag("f", serve("on"), never=(BETA,)), BETA_COHORT),
        ruleset(flag("f", serve("on"), never=(BETA,)), cohort("beta", ["u-1", "u-2", "u-3"])),
    ),
    "a cohort inside a cohort loses keys": (
        ruleset(flag("f", serve("on", InCohort("outer"))), cohort("outer", when=BETA), BETA_COHORT),
        ruleset(flag("f", serve("on", InCohort("outer"))), cohort("outer", when=BETA), cohort("beta", ["u-1"])),
    ),
    "a parent shrinks": (
        ruleset(flag("parent", split({"on": 50})), flag("f", serve("on"), requires=(requires("parent"),))),
        ruleset(flag("parent", split({"on": 10})), flag("f", serve("on"), requires=(requires("parent"),))),
    ),
    "a rule is narrowed below a parent that did not change": (
        ruleset(MOVED, from_blue(), flag("child", serve("on", ASIA), requires=(requires("f", "blue"),))),
        ruleset(MOVED, from_blue(), flag("child", serve("on", KOREA), requires=(requires("f", "blue"),))),
    ),
    "a parent's parent is killed": (
        ruleset(
            flag("a", serve("on")),
            flag("b", serve("on"), requires=(requires("a"),)),
            flag("c", serve("on"), requires=(requires("b"),)),
        ),
        ruleset(
            flag("a", serve("on")),
            flag("b", serve("on"), requires=(requires("a"),)),
            flag("c", serve("on"), requires=(requires("b"),)),
            killed=["a"],
        ),
    ),
}

GROWS = {
    "a split is raised": one(flag("f", split({"on": 20})), ONE_HALF),
    "a split moves buckets between variants": one(
        flag("f", split({"on": 50, "blue": 50})), flag("f", split({"on": 40, "blue": 60}))
    ),
    "the weights of a split change places": one(
        flag("f", split({"on": 50, "off": 50})), flag("f", split({"off": 50, "on": 50}))
    ),
    "an earlier share of three is lowered, which moves the next": one(
        flag("f", split({"on": 30, "blue": 20})), flag("f", split({"on": 10, "blue": 20}))
    ),
    "never goes": one(replace(ONE_HALF, never=(KOREA,)), ONE_HALF),
    "never is narrowed": one(replace(ONE_HALF, never=(ASIA,)), replace(ONE_HALF, never=(KOREA,))),
    "requires goes": one(replace(ONE_HALF, requires=(requires("parent"),)), ONE_HALF),
    "requires is loosened": one(
        replace(ONE_HALF, requires=(requires("parent", "on"),)),
        replace(ONE_HALF, requires=(requires("parent", "on", "blue"),)),
    ),
    "a rule is widened": one(flag("f", serve("on", KOREA)), flag("f", serve("on", ASIA))),
    "a rule is narrowed before one that serves another variant": one(
        flag("f", serve("on", ASIA), serve("blue", PRO, "r2")), flag("f", serve("on", KOREA), serve("blue", PRO, "r2"))
    ),
    "a rule of another variant is added": one(ONE_HALF, flag("f", serve("blue", KOREA, "r0"), *ONE_HALF.rules)),
    "a rule that serves off goes": one(flag("f", serve("off", KOREA, "r0"), serve("on")), flag("f", serve("on"))),
    "a rule that shadows another variant is removed": one(
        flag("f", serve("on", KOREA), serve("blue", PRO, "r2")), flag("f", serve("blue", PRO, "r2"))
    ),
    "a target is added": one(ONE_HALF, replace(ONE_HALF, targets=(target("on", "u-1"),))),
    "a unit goes from one target to another": one(
        flag("f", targets=(target("blue", "u-1"), target("on", "u-3"))),
        flag("f", targets=(target("on", "u-3", "u-1"),)),
    ),
    "a target of off is removed": one(replace(ONE_HALF, targets=(target("off", "u-1"),)), ONE_HALF),
    "an operand changes its type": one(
        flag("f", serve("on", leaf("paid", "equals", operand=True))), flag("f", serve("on", leaf("paid", "equals", 1)))
    ),
    "a leaf begins to match what is missing": one(
        flag("f", serve("on", KOREA)),
        flag("f", serve("on", leaf("country", "equals", "KR", on_missing=ASIA.on_missing.MATCH))),
    ),
    "a split becomes a rule for everybody, also without the unit": one(
        flag("f", split({"on": 100})), flag("f", serve("on"))
    ),
    "off becomes another variant": one(flag("f", serve("on")), flag("f", serve("on"), off="blue", default="blue")),
    "a variant gets another value": one(
        ONE_HALF, replace(ONE_HALF, variants=(Variant("on", "ON"), *ONE_HALF.variants[1:]))
    ),
    "a variant's value changes from 1 to true": one(
        flag("f", serve("on"), type=ValueType.JSON, variants=(Variant("on", 1), Variant("off", 0))),
        flag("f", serve("on"), type=ValueType.JSON, variants=(Variant("on", value=True), Variant("off", 0))),
    ),
    "the type changes": one(ONE_HALF, replace(ONE_HALF, type=ValueType.JSON)),
    "the salt of a split changes": one(ONE_HALF, replace(ONE_HALF, salt="a" * 16)),
    "the unit of a split changes": one(ONE_HALF, replace(ONE_HALF, unit="tenant")),
    "the unit of targets changes": one(
        flag("f", targets=(target("on", "u-1"),)), flag("f", targets=(target("on", "u-1"),), unit="tenant")
    ),
    "a kill is lifted": (ruleset(ONE_HALF, killed=["f"]), ruleset(ONE_HALF)),
    "a flag is new": (ruleset(), ruleset(ONE_HALF)),
    "a flag is deleted": (ruleset(ONE_HALF), ruleset()),
    "keys are added to a cohort that serves on": (
        ruleset(flag("f", serve("on", BETA)), BETA_COHORT),
        ruleset(flag("f", serve("on", BETA)), cohort("beta", ["u-1", "u-2", "u-3"])),
    ),
    "an exclusion is lifted": (
        ruleset(flag("f", serve("on", BETA)), cohort("beta", ["u-1"], ["u-1"])),
        ruleset(flag("f", serve("on", BETA)), cohort("beta", ["u-1"])),
    ),
    "keys are removed from a cohort under never": (
        ruleset(flag("f", serve("on"), never=(BETA,)), BETA_COHORT),
        ruleset(flag("f", serve("on"), never=(BETA,)), cohort("beta", ["u-1"])),
    ),
    "keys are removed from a cohort behind a not": (
        ruleset(flag("f", serve("on", Not(BETA))), BETA_COHORT),
        ruleset(flag("f", serve("on", Not(BETA))), cohort("beta", ["u-1"])),
    ),
    "a cohort's unit changes": (
        ruleset(flag("f", serve("on", BETA)), BETA_COHORT),
        ruleset(flag("f", serve("on", BETA)), cohort("beta", ["u-1", "u-2"], unit="tenant")),
    ),
    "a parent grows": (
        ruleset(flag("parent", split({"on": 10})), flag("f", serve("on"), requires=(requires("parent"),))),
        ruleset(flag("parent", split({"on": 50})), flag("f", serve("on"), requires=(requires("parent"),))),
    ),
    "a rollout begins": moved(rollout("x", "f"), rollout("x", "f", CANARY)),
    "a share is raised": moved(from_blue(PILOTS, CANARY), from_blue(PILOTS, replace(CANARY, share_ppm=10_001))),
    "a stage is entered": moved(from_blue(PILOTS, CANARY), from_blue(PILOTS, CANARY, WIDE)),
    "an audience is widened": moved(from_blue(Reach("k", PPM, KOREA)), from_blue(Reach("k", PPM, ASIA))),
    "an audience goes": moved(from_blue(Reach("k", 5, KOREA)), from_blue(Reach("k", 5))),
    "never of a rollout is removed": moved(replace(from_blue(WIDE), never=(KOREA,)), from_blue(WIDE)),
    "never of a rollout is narrowed": moved(
        replace(from_blue(WIDE), never=(ASIA,)), replace(from_blue(WIDE), never=(KOREA,))
    ),
    "a rollout's salt changes": moved(from_blue(WIDE), replace(from_blue(WIDE), salt="z" * 16)),
    "a rollout's unit changes": moved(from_blue(WIDE), replace(from_blue(WIDE), unit="tenant")),
    "a rollout's from changes": moved(from_blue(WIDE), rollout("x", "f", WIDE, from_variant="on", to_variant="blue")),
    "a rollout that has not begun is put before another variant": one(flag("f"), flag("f", by_rollout("idle"))),
    "a rollout's from is served to those whom it never answered": (
        ruleset(flag("f", by_rollout("x", KOREA)), from_blue(WIDE)),
        ruleset(flag("f", by_rollout("x", ASIA)), from_blue(WIDE)),
    ),
    "a rollout goes on in the rule of its to": (
        ruleset(MOVED, from_blue(Reach("full", PPM))),
        ruleset(flag("f", serve("on")), from_blue(Reach("full", PPM))),
    ),
    "keys are added to a cohort under a stage": (
        ruleset(MOVED, from_blue(Reach("beta", PPM, BETA)), BETA_COHORT),
        ruleset(MOVED, from_blue(Reach("beta", PPM, BETA)), cohort("beta", ["u-1", "u-2", "u-3"])),
    ),
    "keys are removed from a cohort under never of a rollout": (
        ruleset(MOVED, replace(from_blue(WIDE), never=(BETA,)), BETA_COHORT),
        ruleset(MOVED, replace(from_blue(WIDE), never=(BETA,)), cohort("beta", ["u-1"])),
    ),
    "a rollout below a child that asks for its from is rolled back": moved(
        from_blue(WIDE), from_blue(), flag("child", serve("on"), requires=(requires("f", "blue"),))
    ),
    "a parent shrinks to the off that its child asks for": (
        ruleset(flag("parent", split({"on": 50})), flag("f", serve("on"), requires=(requires("parent", "off"),))),
        ruleset(flag("parent", split({"on": 10})), flag("f", serve("on"), requires=(requires("parent", "off"),))),
    ),
}


@pytest.mark.parametrize("case", SHRINKS.values(), ids=SHRINKS.keys())
def test_what_makes_safer_is_proven(case: tuple[Ruleset, Ruleset]) -> None:
    """Simple edits that truly shrink are proven, so that an on-call engineer needs no approval for them."""
    assert proof(*case).growth == ()
    assert proof(*case).proven


@pytest.mark.parametrize("case", GROWS.values(), ids=GROWS.keys())
def test_what_may_expose_is_not_proven(case: tuple[Ruleset, Ruleset]) -> None:
    """Whatever gives anybody a variant that is neither theirs nor off is not proven, and says so by flag."""
    result = proof(*case)
    assert not result.proven
    assert result.growth
    assert all(sentence.startswith("flag/") for sentence in result.growth)


def test_growth_names_the_flag_and_the_place() -> None:
    """The sentence tells which flag may grow, and at which rule."""
    before = ruleset(flag("a"), flag("b", serve("on", KOREA, "launch")))
    after = ruleset(flag("a"), flag("b", serve("on", ASIA, "launch")))
    assert proof(before, after).growth == ('flag/b: rule "launch" may take contexts that rule "launch" did not take',)


def test_a_child_grows_with_its_parent() -> None:
    """Every flag behind a growing parent is named, since nothing is proven of it either."""
    before = ruleset(flag("parent", split({"on": 10})), flag("f", serve("on"), requires=(requires("parent"),)))
    after = ruleset(flag("parent", split({"on": 50})), flag("f", serve("on"), requires=(requires("parent"),)))
    assert [sentence.split(":")[0] for sentence in proof(before, after).growth] == ["flag/f", "flag/parent"]


def test_growth_of_a_rollout_names_the_stage() -> None:
    """The sentence tells which stage, and what would have been safe."""
    case = moved(from_blue(CANARY), from_blue(replace(CANARY, share_ppm=20_000)))
    stage = 'rule "launch" in stage "canary"'
    told = f'flag/f: {stage} may give those whom {stage} answered another variant, not "blue" or "off"'
    assert proof(*case).growth == (told,)


def test_a_child_of_a_rollout_is_proven_of_its_safe_variants_only() -> None:
    """A parent that shrinks may give its `from` to whom it gave `to`, so a child that asks for both may grow."""
    child = flag("child", serve("on"), requires=(requires("f", "on", "blue"),))
    case = moved(from_blue(WIDE), from_blue(), child)
    assert [sentence.split(":")[0] for sentence in proof(*case).growth] == ["flag/child"]


def test_cycles_end_unproven() -> None:
    """Cycles, which validation refuses, neither hang the proof nor are taken for proven."""
    loop = (flag("a", serve("on"), requires=(requires("b"),)), flag("b", serve("on"), requires=(requires("a"),)))
    changed = (replace(loop[0], default="on"), loop[1])
    assert not proof(ruleset(*loop), ruleset(*changed)).proven
    rings = (cohort("x", when=InCohort("y")), cohort("y", when=InCohort("x")))
    user = flag("f", serve("on", InCohort("x")))
    assert not proof(ruleset(user, *rings), ruleset(user, replace(rings[0], unit="tenant"), rings[1])).proven


def test_weights_that_make_no_whole_prove_nothing() -> None:
    """A split whose weights do not add up is comparable with nothing."""
    cut = Rule("r1", Split((Weight("on", 1),)))
    assert not proof(ruleset(flag("f", split({"on": 50}))), ruleset(flag("f", cut))).proven


def test_large_flags_are_compared_in_bounded_work() -> None:
    """The largest flag that may be published is compared, and a hopeless comparison ends."""
    wide = [
        serve("on", Any(tuple(leaf("n", "equals", at * 100 + n) for n in range(100))), f"r{at}") for at in range(256)
    ]
    assert proof(ruleset(flag("f", *wide)), ruleset(flag("f", *wide[1:]))).proven
    assert not proof(ruleset(flag("f", *wide[1:])), ruleset(flag("f", *reversed(wide)))).proven


def test_what_was_found_of_one_flag_is_not_taken_for_another() -> None:
    """Conditions made for a comparison live as long as what is remembered of them by identity."""
    flags = [flag(f"f{at}", by_rollout(f"x{at}", PRO)) for at in range(60)]
    narrow, wide = Reach("stage", PPM, KOREA), Reach("stage", PPM, ASIA)
    states = [(wide, narrow) if at // 2 % 2 else (narrow, wide) for at in range(60)]
    before = [rollout(f"x{at}", f"f{at}", reach, from_variant="blue") for at, (reach, _) in enumerate(states)]
    after = [rollout(f"x{at}", f"f{at}", reach, from_variant="blue") for at, (_, reach) in enumerate(states)]
    growth = proof(ruleset(*flags, *before), ruleset(*flags, *after)).growth
    assert {sentence.split(":")[0] for sentence in growth} == {f"flag/f{at}" for at in range(60) if not at // 2 % 2}
