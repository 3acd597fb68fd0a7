from __future__ import annotations

from dataclasses import replace
from typing import Any as Parsed

from rollout_sdk.engine import limits
from rollout_sdk.engine.cohorts import key_set
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import (
    All,
    Chunk,
    Cohort,
    Flag,
    Json,
    KeySet,
    Reason,
    ValueType,
    Variant,
)
from tests.rulesets import (
    ON_OFF,
    bad_leaf,
    cohort,
    compiled,
    decide,
    flag,
    in_cohort,
    leaf,
    requiring,
    ruleset,
    serve,
)

ASKED = leaf("a", "exists", operand=True)


# ----------------------------------------------------------------------------------------------------- quarantine


def test_one_bad_flag_harms_one_flag() -> None:
    """All others decide as if it were not there, and what is wrong with it is said."""
    made = compiled(flag("bad", serve(bad_leaf(), rule="r1")), flag("good", serve()))
    assert decide(made, "good").variant == "on"
    assert decide(made, "bad").reason is Reason.ERROR
    assert made.quarantined == {"bad": "rule 'r1': country resembles: there is no operator 'resembles'"}


def test_the_last_good_rules_stay() -> None:
    """With their version, through any number of revisions that do not mend the flag."""
    good = flag("f", serve(rule="good"))
    made = compile_ruleset(ruleset(good, versions={"f": 3}))
    for revision in (8, 9, 10):
        bad = ruleset(flag("f", serve(bad_leaf())), versions={"f": revision}, revision=revision)
        made = compile_ruleset(bad, made)
        decision = decide(made)
        assert (decision.rule, decision.flag_version) == ("good", 3)
        assert made.quarantined.keys() == {"f"}
        assert made.position.revision == revision


def test_a_mended_flag_is_in_force_again() -> None:
    """Quarantine lasts exactly as long as its cause."""
    made = compile_ruleset(ruleset(flag("f", serve(bad_leaf()))), compiled(flag("f", serve())))
    made = compile_ruleset(ruleset(flag("f", serve(variant="off", rule="new"))), made)
    assert made.quarantined == {}
    assert decide(made).rule == "new"


def test_kill_acts_on_last_good_rules_and_on_none() -> None:
    """A flag that nobody can read can still be stopped, and again started."""
    bad = flag("f", serve(bad_leaf()))
    for previous in (None, compiled(flag("f", serve()))):
        killed = compile_ruleset(ruleset(bad, killed=["f"]), previous)
        assert (decide(killed).variant, decide(killed).reason) == ("off", Reason.KILLED)
        assert killed.quarantined.keys() == {"f"}
        lifted = compile_ruleset(ruleset(bad), killed)
        assert decide(lifted).reason is (Reason.ERROR if previous is None else Reason.RULE)


def test_a_killed_only_flag_is_no_last_good() -> None:
    """What was made for the kill has no rules that could stay."""
    bad = flag("f", serve(bad_leaf()))
    worse = flag("f", serve(bad_leaf(), rule="worse"))
    killed = compile_ruleset(ruleset(bad, killed=["f"]))
    assert decide(compile_ruleset(ruleset(worse), killed)).reason is Reason.ERROR


def test_a_killed_flag_whose_off_cannot_be_read_is_an_error() -> None:
    """Then only the caller's default is left."""
    made = compiled(replace(flag("f"), off="gone"), killed=["f"])
    assert decide(made).reason is Reason.ERROR


def test_a_removed_flag_is_gone() -> None:
    """Last good rules outlive a bad record, not a deletion."""
    made = compile_ruleset(ruleset(), compiled(flag("f")))
    assert decide(made).reason is Reason.UNKNOWN_FLAG
    assert made.quarantined == {}


def test_a_state_of_a_flag_that_is_not_there_is_without_effect() -> None:
    """A kill may arrive before its flag, or after it."""
    assert decide(compiled(killed=["f"])).reason is Reason.UNKNOWN_FLAG


def test_anything_that_goes_wrong_is_a_quarantine() -> None:
    """Also what nobody thought of: a surprise inside one flag or cohort is named and contained."""
    nonsense: Parsed = 5
    made = compiled(
        replace(flag("rules"), rules=(nonsense,)),
        replace(flag("salt"), salt=nonsense),
        flag("named", serve(in_cohort("broken"))),
        Cohort("broken", KeySet(1, (Chunk(b"", b"123"),)), KeySet()),
        flag("good", serve()),
    )
    assert made.quarantined.keys() == {"rules", "salt", "named"}
    assert decide(made, "good").variant == "on"


def test_a_reason_is_short() -> None:
    """However long the mistake."""
    made = compiled(flag("f", serve(variant="x" * 100_000)))
    assert len(made.quarantined["f"]) == 500


# ------------------------------------------------------------------------------------------------- required flags


def test_a_required_flag_decides_for_the_same_context() -> None:
    """Met, unmet, killed, missing and in error."""
    parent = flag("p", serve(ASKED))
    child = requiring("f", "p")
    assert decide(compiled(child, parent), context=Context(a=1)).variant == "on"
    assert decide(compiled(child, parent)).reason is Reason.REQUIREMENT
    assert decide(compiled(child, parent, killed=["p"]), context=Context(a=1)).reason is Reason.REQUIREMENT
    assert decide(compiled(child)).reason is Reason.REQUIREMENT
    assert decide(compiled(child, flag("p", serve(bad_leaf())))).reason is Reason.REQUIREMENT


def test_killing_a_parent_reaches_a_quarantined_child() -> None:
    """Last good rules are decided against the required flags of now."""
    parent = flag("p", default="on")
    before = compiled(requiring("f", "p"), parent)
    bad = replace(requiring("f", "p"), rules=(serve(bad_leaf()),))
    after = compile_ruleset(ruleset(bad, parent, killed=["p"]), before)
    assert decide(before).variant == "on"
    assert decide(after).reason is Reason.REQUIREMENT


def test_flags_that_require_each_other_are_quarantined() -> None:
    """All on the cycle and nobody else, and no stack is exhausted."""
    made = compiled(
        requiring("a", "b"),
        requiring("b", "c"),
        requiring("c", "a"),
        requiring("self", "self"),
        requiring("above", "a"),
        flag("good", default="on"),
        requiring("fine", "good"),
    )
    assert made.quarantined.keys() == {"a", "b", "c", "self"}
    assert decide(made, "above").reason is Reason.REQUIREMENT
    assert decide(made, "fine").variant == "on"


def test_a_cycle_falls_back_to_last_good_rules() -> None:
    """The edit that closed the cycle is refused; what was there before goes on."""
    before = compiled(requiring("a", "b"), flag("b", default="on"))
    after = compile_ruleset(ruleset(requiring("a", "b"), requiring("b", "a")), before)
    assert after.quarantined.keys() == {"a", "b"}
    assert decide(after, "a").variant == "on"


def test_last_good_rules_and_new_ones_may_close_a_cycle_too() -> None:
    """A goes back to requiring b, which now requires a: b goes back as well, and nothing hangs."""
    before = compiled(requiring("a", "b"), flag("b", default="on"))
    bad = flag("a", serve(bad_leaf()))
    after = compile_ruleset(ruleset(bad, requiring("b", "a")), before)
    assert after.quarantined.keys() == {"a", "b"}
    assert decide(after, "a").variant == "on"


def test_long_chains_are_bounded() -> None:
    """A chain of flags as deep as the limit decides; a deeper one is refused from there on."""
    chain = [flag("f0", default="on"), *(requiring(f"f{n}", f"f{n - 1}") for n in range(1, 5_000))]
    made = compiled(*chain)
    allowed = limits.EVALUATION_DEPTH * limits.READERS_FACTOR
    assert "f1" not in made.quarantined
    assert decide(made, f"f{allowed - 1}").variant == "on"
    assert f"f{allowed}" in made.quarantined
    assert "levels" in made.quarantined[f"f{allowed}"]


def test_an_evaluation_cannot_explode() -> None:
    """Thirty cohorts that each name the next one twice would be asked a billion times."""
    nested = [cohort(f"c{n}", when=All((in_cohort(f"c{n + 1}"), in_cohort(f"c{n + 1}")))) for n in range(30)]
    made = compiled(*nested, cohort("c30", when=ASKED), flag("f", serve(in_cohort("c0"))))
    assert "nodes" in made.quarantined["f"]
    parents = [requiring("p0")] + [requiring(f"p{n}", f"p{n - 1}", f"p{n - 1}") for n in range(1, 30)]
    refused = compiled(*parents)
    assert all("nodes" in reason for reason in refused.quarantined.values())
    assert refused.quarantined
    assert decide(refused, "p29").reason is not Reason.ERROR


# -------------------------------------------------------------------------------------------------------- cohorts


def test_a_cohort_that_cannot_be_compiled_quarantines_who_names_it() -> None:
    """Their last good rules keep the cohort as it was; the reason names it."""
    rules = flag("f", serve(in_cohort()))
    before = compiled(rules, cohort(include=["u-1"]))
    after = compile_ruleset(ruleset(rules, cohort(include=["u-2"], when=bad_leaf())), before)
    assert "cohort 'c' is not in force: country resembles" in after.quarantined["f"]
    assert decide(after).variant == "on"
    again = compile_ruleset(ruleset(rules, cohort(include=["u-2"])), after)
    assert again.quarantined == {}
    assert decide(again).variant == "off"


def test_a_removed_cohort_quarantines_who_names_it() -> None:
    """A condition over nothing is neither true nor false."""
    rules = flag("f", serve(in_cohort()))
    after = compile_ruleset(ruleset(rules), compiled(rules, cohort(include=["u-1"])))
    assert after.quarantined == {"f": "cohort 'c' is not in force: there is none"}
    assert decide(after).variant == "on"


def test_cohorts_that_name_each_other_quarantine_who_names_them() -> None:
    """Without a recursion."""
    made = compiled(
        cohort("a", when=in_cohort("b")), cohort("b", when=in_cohort("a")), flag("f", serve(in_cohort("a")))
    )
    assert "names itself" in made.quarantined["f"]


def test_equal_key_sets_are_built_once() -> None:
    """By any number of cohorts, and across revisions that resend them."""
    keys = [f"user-{number}" for number in range(100)]
    members = (cohort("a", keys), cohort("b", keys, ["x"]), cohort("c", ["x"]))
    made = compiled(*members)
    assert len(made.memberships) == 2
    resent = compile_ruleset(ruleset(*(replace(each, include=key_set(keys)) for each in members[:2])), made)
    assert all(resent.memberships[digests] is answer for digests, answer in made.memberships.items())


# ------------------------------------------------------------------------------------------------- what is reused


def test_what_did_not_change_is_taken_over() -> None:
    """The same flag over the same cohorts and required flags is not compiled again."""
    parent, members = flag("p", default="on"), cohort(include=["u-1"])
    child = replace(requiring("f", "p"), rules=(serve(in_cohort()),))
    before = compile_ruleset(ruleset(child, parent, members))
    after = compile_ruleset(ruleset(child, parent, members, flag("new"), revision=8), before)
    assert all(after.flags[key] is before.flags[key] for key in ("f", "p"))
    assert after.cohorts["c"] is before.cohorts["c"]


def test_what_names_something_that_changed_is_compiled_again() -> None:
    """Over any number of steps: a cohort in a cohort, a parent's parent."""
    inner, outer = cohort("inner", ["u-1"]), cohort("outer", when=in_cohort("inner"))
    grand, parent = flag("grand", serve(in_cohort("outer"))), requiring("p", "grand")
    child = requiring("f", "p")
    before = compiled(child, parent, grand, outer, inner)
    after = compile_ruleset(ruleset(child, parent, grand, outer, cohort("inner", ["u-2"])), before)
    assert decide(before).variant == "on"
    assert decide(after).reason is Reason.REQUIREMENT


def test_a_new_version_of_the_same_rules_is_only_a_new_version() -> None:
    """Decisions carry it, and nothing is compiled again."""
    rules = flag("f")
    before = compile_ruleset(ruleset(rules, versions={"f": 1}))
    after = compile_ruleset(ruleset(rules, versions={"f": 2}), before)
    assert after.flags["f"].rules is before.flags["f"].rules
    assert decide(after).flag_version == 2


def test_equal_is_not_identical() -> None:
    """Python says that True equals 1; a value that only looks equal is compiled anew."""

    def holding(value: Json) -> Flag:
        return flag("f", value_type=ValueType.JSON, variants=(Variant("only", value),), default="only")

    before = compiled(holding({"a": 1}))
    after = compile_ruleset(ruleset(holding({"a": True})), before)
    assert holding({"a": 1}) == holding({"a": True})
    value = decide(after).value
    assert isinstance(value, dict)
    assert value["a"] is True


def test_kill_and_unkill_are_seen_on_the_same_flag() -> None:
    """The flag's record did not change, its state did."""
    rules = flag("f", default="on")
    made = compiled(rules)
    killed = compile_ruleset(ruleset(rules, killed=["f"]), made)
    assert decide(killed).reason is Reason.KILLED
    assert decide(compile_ruleset(ruleset(rules), killed)).variant == "on"


def test_the_flags_own_order_is_kept() -> None:
    """What is listed first is listed first, whatever was compiled first."""
    made = compiled(requiring("z", "m"), flag("m", variants=ON_OFF), flag("a"))
    assert list(made.flags) == ["z", "m", "a"]
