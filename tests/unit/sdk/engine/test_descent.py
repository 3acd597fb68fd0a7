"""Two decision lists walked side by side."""

from rollout_sdk.engine import descent
from rollout_sdk.engine.descent import Descent
from rollout_sdk.engine.model import Flag
from rollout_sdk.engine.narrowing import Narrowing, Side
from rollout_sdk.engine.steps import Guards, steps_of
from tests.small_world import flag, leaf, serve

KR, ASIA, PRO = leaf("c", "equals", "KR"), leaf("c", "in", ("KR", "TH")), leaf("plan", "equals", "pro")


def walk(before: Flag, after: Flag) -> Descent:
    narrowing = Narrowing({}, {})
    narrowing.refill()
    guards = Guards(narrowing, lambda _: None)
    old, new = (
        steps_of(before, Side.BEFORE, killed=False, rollouts={}),
        steps_of(after, Side.AFTER, killed=False, rollouts={}),
    )
    return Descent(old, new, after.off, guards)


def test_equal_lists_are_walked_once_down_the_diagonal() -> None:
    """An unchanged flag of many rules costs two comparisons a step, not a search."""
    rules = [serve("on" if at % 2 else "blue", leaf("n", "equals", at), f"r{at}") for at in range(200)]
    found = walk(flag("f", *rules), flag("f", *rules))
    assert found.is_proven()
    assert found._checks <= 2 * 201
    assert found.why == ""


def test_a_narrowed_rule_needs_the_rest_to_be_safe() -> None:
    """Who falls out of a rule may meet another variant below; only if not, the narrowing is proven."""
    assert walk(flag("f", serve("on", ASIA)), flag("f", serve("on", KR))).is_proven()
    found = walk(
        flag("f", serve("on", ASIA), serve("blue", PRO, "r2")), flag("f", serve("on", KR), serve("blue", PRO, "r2"))
    )
    assert not found.is_proven()
    assert found.why == 'those whom rule "r1" answered may get another variant than "off" from what comes after it'


def test_a_rule_below_may_catch_who_falls_out() -> None:
    """A later rule of the same variant that takes everybody who falls out ends the look into the rest."""
    before = flag("f", serve("on", KR), serve("on", ASIA, "r2"), serve("blue", PRO, "r3"))
    after = flag("f", serve("on", ASIA, "r2"), serve("blue", PRO, "r3"))
    assert walk(before, after).is_proven()
    assert walk(after, before).is_proven()


def test_a_widened_rule_says_so() -> None:
    """The sentence names the rule that may take more."""
    found = walk(flag("f", serve("on", KR)), flag("f", serve("on", ASIA)))
    assert not found.is_proven()
    assert found.why == 'rule "r1" may take contexts that rule "r1" did not take'


def test_another_variant_says_so() -> None:
    """The sentence names the rule that gives something else."""
    found = walk(flag("f", serve("on", KR)), flag("f", serve("blue", KR)))
    assert not found.is_proven()
    assert found.why == 'rule "r1" may give those whom rule "r1" answered another variant, not "off"'


def test_the_walk_gives_up_in_bounded_work() -> None:
    """Lists that cannot be aligned end unproven within the limit."""
    rules = [serve("on" if at % 2 else "blue", leaf(f"a{at}", "equals", 1), f"r{at}") for at in range(256)]
    found = walk(flag("f", *rules), flag("f", *reversed(rules)))
    assert not found.is_proven()
    assert found._checks <= descent.CHECKS_MAX
