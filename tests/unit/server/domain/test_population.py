"""Who moves, counted as contexts stream by."""

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import Flag, Origin, Reason, Ruleset, Variant
from rollout_server.domain.population import Move, Tally, units_of
from tests.small_world import flag, leaf, ruleset, serve

KR = leaf("country", "equals", "KR")
BEFORE = ruleset(flag("f", serve("on")), flag("tenants", serve("on"), unit="tenant"))
AFTER = ruleset(flag("f", serve("on"), never=(KR,)), flag("tenants", serve("blue"), unit="tenant"))


def decider(world: Ruleset) -> Decider:
    return compile_ruleset(world).bind(Origin())


def tally(before: Ruleset, after: Ruleset, *flags: str) -> Tally:
    return Tally(decider(before), decider(after), units_of(flags, before, after))


def test_moves_are_listed_with_reasons_and_counted_by_variant() -> None:
    """Each unit that moves is told; counts add up over the population."""
    counted = tally(BEFORE, AFTER, "f")
    moves = [move for key in ("u-1", "u-2") for move in counted.add(Context(key, country="KR"))]
    assert counted.add(Context("u-3", country="TH")) == []
    assert moves[0] == Move("f", "user", "u-1", "on", "off", Reason.RULE, Reason.NEVER, rule_before="r1")
    (result,) = counted.result()
    assert (result.flag, result.moved, result.never_count, counted.population) == ("f", 2, 2, 3)
    assert [(one.variant_before, one.variant_after, one.count) for one in result.by_variant] == [("on", "off", 2)]
    assert result.by_variant[0].reasons == ((Reason.RULE, Reason.NEVER, 2),)


def test_never_counts_whom_it_holds_though_nobody_moves() -> None:
    """`never` is always shown, moved or not."""
    counted = tally(AFTER, AFTER, "f")
    assert counted.add(Context("u-1")) == []
    assert counted.result()[0].never_count == 1


def test_the_unit_shown_is_the_flags_own() -> None:
    """A flag of tenants tells of tenants; a context without one has no key."""
    counted = tally(BEFORE, AFTER, "tenants")
    assert counted.add(Context.of({"user": "u-1", "tenant": "t-9"}))[0].unit_key == "t-9"
    assert counted.add(Context("u-1"))[0].unit_key == ""


def test_a_flag_that_comes_or_goes_moves_everybody() -> None:
    """From the caller's default to a variant, or back."""
    counted = tally(ruleset(), BEFORE, "f")
    assert counted.add(Context("u"))[0] == Move(
        "f", "user", "u", None, "on", Reason.UNKNOWN_FLAG, Reason.RULE, rule_after="r1"
    )
    assert units_of(["tenants", "gone"], BEFORE, ruleset()) == {"tenants": "tenant", "gone": "user"}


def variants(on: str) -> Flag:
    return flag("f", serve("on"), variants=(Variant("on", on), Variant("off", "off")))


def test_another_value_under_the_same_variant_is_a_move() -> None:
    """What callers see differs, so it is told."""
    counted = tally(ruleset(variants("a")), ruleset(variants("b")), "f")
    assert counted.add(Context("u"))[0].variant_after == "on"
    assert counted.result()[0].moved == 1
