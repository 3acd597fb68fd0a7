"""States of a rollout over revisions: what is in force beside flags, cohorts and states that cannot be read."""

from __future__ import annotations

from rollout_sdk.engine.compile import CompiledRuleset, compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    All,
    Arm,
    Reason,
    Variant,
)
from tests.rulesets import (
    ON_OFF,
    bad_leaf,
    by_rollout,
    cohort,
    compiled,
    decide,
    flag,
    in_cohort,
    reach,
    requiring,
    rollout,
    ruleset,
    serve,
)

MOVED = flag("f", by_rollout())
FULL = reach(1_000_000)
LATER = reach(1, bad_leaf(), "later")


def served(made: CompiledRuleset, context: Context | None = None) -> tuple[str | None, Reason, Arm | None]:
    decision = decide(made, "f", context)
    return decision.variant, decision.reason, decision.arm


def test_a_new_state_acts_on_last_good_rules() -> None:
    """Ramp and rollback reach a quarantined flag."""
    bad = flag("f", by_rollout(), serve(bad_leaf()))
    made = compile_ruleset(ruleset(bad, rollout(FULL)), compiled(MOVED, rollout()))
    assert made.quarantined.keys() == {"f"}
    assert served(made) == ("on", Reason.ROLLOUT, Arm.CANDIDATE)
    back = compile_ruleset(ruleset(bad, rollout(run=1)), made)
    assert back.quarantined.keys() == {"f"}
    assert served(back) == ("off", Reason.ROLLOUT, None)


def test_a_state_that_does_not_compile_leaves_the_last_good_one() -> None:
    """And is reported, while the flag itself is in order; what follows it acts again."""
    made = compile_ruleset(ruleset(MOVED, rollout(FULL, LATER)), compiled(MOVED, rollout(FULL)))
    assert made.quarantined == {}
    assert made.held_back == {"x": "stage 'later': country resembles: there is no operator 'resembles'"}
    assert served(made) == ("on", Reason.ROLLOUT, Arm.CANDIDATE)
    back = compile_ruleset(ruleset(MOVED, rollout(never=(bad_leaf(),), salt="", law=9)), made)
    assert back.held_back == {}
    assert served(back) == ("off", Reason.ROLLOUT, None)


def test_rules_by_a_rollout_that_is_not_in_force_are_quarantined() -> None:
    """Not there, not readable, of another flag, or of variants that the flag does not have: never a guess."""
    for states in ((), (rollout(LATER),), (rollout(FULL, flag="g"),), (rollout(FULL, to_variant="gone"),)):
        made = compiled(MOVED, *states)
        assert "rollout 'x' is not in force: " in made.quarantined["f"]
        assert served(made) == (None, Reason.ERROR, None)
        before = compile_ruleset(ruleset(MOVED, *states), compiled(flag("f", serve())))
        assert served(before) == ("on", Reason.RULE, None)


def test_a_rollout_that_exposes_nobody_fits_every_flag() -> None:
    """A rollback acts even where the state names what the flag has no more."""
    made = compiled(MOVED, rollout(flag="g", from_variant="gone"))
    assert made.quarantined == {}
    assert served(made) == ("off", Reason.ROLLOUT, None)


def test_last_good_rules_keep_the_last_state_that_fits_them() -> None:
    """A state made for rules that cannot be read must not bring down those that are in force."""
    bad = flag("f", by_rollout(), serve(bad_leaf()), variants=(*ON_OFF, Variant("new", value=True)))
    made = compile_ruleset(ruleset(bad, rollout(FULL, to_variant="new", allocation=2)), compiled(MOVED, rollout(FULL)))
    assert (served(made), decide(made).allocation) == (("on", Reason.ROLLOUT, Arm.CANDIDATE), 1)
    back = compile_ruleset(ruleset(bad, rollout(to_variant="new", allocation=3)), made)
    assert (served(back), decide(back).allocation) == (("off", Reason.ROLLOUT, None), 3)


def test_last_good_rules_by_a_rollout_that_is_gone_expose_nobody() -> None:
    """Its end was missed: who rolled it back must not find it alive in a corner."""
    bad = flag("f", serve(bad_leaf()))
    made = compile_ruleset(ruleset(bad), compiled(MOVED, rollout(FULL)))
    assert served(made) == ("off", Reason.ROLLOUT, None)
    again = compile_ruleset(ruleset(bad), made)
    assert again.flags["f"] is made.flags["f"]


def test_a_state_recompiles_only_the_flags_that_name_it() -> None:
    """And those that require them; all others are the same objects."""
    others = flag("other"), flag("y", by_rollout("y")), rollout(FULL, key="y", flag="y")
    child = requiring("child", "f")
    one = compiled(MOVED, child, *others, rollout(reach(1)))
    other = compile_ruleset(ruleset(MOVED, child, *others, rollout(reach(2))), one)
    assert {key for key, each in other.flags.items() if each is not one.flags[key]} == {"f", "child"}
    assert other.rollouts["y"] is one.rollouts["y"]


def test_a_rollout_follows_the_cohorts_of_its_stages() -> None:
    """An edited cohort moves whom a stage holds; one that is not in force leaves the state as it was."""
    state = rollout(reach(1_000_000, in_cohort()))
    made = compiled(MOVED, state, cohort("c", ["u-1"]))
    assert served(made) == ("on", Reason.ROLLOUT, Arm.CANDIDATE)
    without = compile_ruleset(ruleset(MOVED, state, cohort("c", ["u-2"])), made)
    assert served(without) == ("off", Reason.ROLLOUT, None)
    bad = compile_ruleset(ruleset(MOVED, state, cohort("c", when=bad_leaf())), without)
    assert bad.held_back.keys() == {"x"}
    assert served(bad) == ("off", Reason.ROLLOUT, None)


def test_a_rollout_counts_into_what_a_decision_costs() -> None:
    """Levels and nodes of its stages are the flag's, so that no ruleset can hang a decision."""
    members = [cohort("c0", ["u"])]
    members += [cohort(f"c{n}", when=All((in_cohort(f"c{n - 1}"),) * 2)) for n in range(1, 17)]
    state = rollout(*(reach(share, in_cohort("c14"), str(share)) for share in (1, 2, 3)))
    assert "nodes" in compiled(MOVED, state, *members).held_back["x"]
    few = rollout(*state.reaches[:2])
    assert compiled(MOVED, few, *members).quarantined == {}
    heavy = flag("f", serve(in_cohort("c14")), by_rollout())
    assert "nodes" in compiled(heavy, few, *members).quarantined["f"]


def test_a_flag_that_was_only_ever_killed_is_read_anew() -> None:
    """What made it unreadable may be mended without a change of its own."""
    killed = compile_ruleset(ruleset(MOVED, killed=["f"]))
    assert (killed.flags["f"].is_bare, served(killed)) == (True, ("off", Reason.KILLED, None))
    assert compile_ruleset(ruleset(MOVED, killed=["f"]), killed).flags["f"] is killed.flags["f"]
    mended = compile_ruleset(ruleset(MOVED, rollout(FULL)), killed)
    assert (mended.quarantined, served(mended)) == ({}, ("on", Reason.ROLLOUT, Arm.CANDIDATE))
