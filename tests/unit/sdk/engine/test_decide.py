from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any as Parsed

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.compiled import CompiledFlag
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider, decision_json
from rollout_sdk.engine.model import Arm, Decision, Flag, Json, Origin, Reason, ValueType, Variant
from tests.odd_values import ODD_MAKERS, PLAIN_VALUES, LyingClass, Plan, hostile
from tests.rulesets import (
    ORIGIN,
    bad_leaf,
    by_rollout,
    compiled,
    flag,
    leaf,
    reach,
    rollout,
    ruleset,
    serve,
    split,
    valued,
)
from tests.vectors import reader

EACH_TYPE: dict[ValueType, Flag] = {
    ValueType.BOOLEAN: valued("boolean", ValueType.BOOLEAN, value=True),
    ValueType.STRING: valued("string", ValueType.STRING, "text"),
    ValueType.INTEGER: valued("integer", ValueType.INTEGER, 20),
    ValueType.FLOAT: valued("float", ValueType.FLOAT, 0.5),
    ValueType.JSON: valued("json", ValueType.JSON, {"a": [1]}),
}
EXACT: dict[ValueType, tuple[type, ...]] = {
    ValueType.BOOLEAN: (bool,),
    ValueType.STRING: (str,),
    ValueType.INTEGER: (int,),
    ValueType.FLOAT: (float,),
    ValueType.JSON: (dict, list, str, int, float, bool, type(None)),
}


@pytest.mark.parametrize("vector", reader.DECISIONS["decisions"], ids=lambda vector: vector["about"])
def test_vectors(vector: dict[str, Parsed]) -> None:
    """Every published decision holds, in the order of DESIGN section 5."""
    made = compile_ruleset(reader.ruleset(vector))
    assert made.quarantined == {}
    decider = made.bind(ORIGIN)
    for case in vector["cases"]:
        decision = decider.decide(case["flag"], reader.context(case["context"]))
        found = [decision.variant, decision.value, decision.reason.value, decision.rule]
        assert found == case["decision"], case
        assert reader.exposure(decision) == case.get("exposure"), case
        assert type(decision.value) is type(case["decision"][1])


def test_a_decision_says_where_it_comes_from() -> None:
    """Flag, version, rule, epoch, revision and staleness."""
    made = compile_ruleset(ruleset(flag("f", serve(rule="all")), versions={"f": 5}))
    decision = made.bind(Origin("e", 9, stale=True)).decide("f", Context("u"))
    assert decision == Decision(
        "f", value=True, reason=Reason.RULE, variant="on", origin=Origin("e", 9, stale=True), rule="all", flag_version=5
    )
    assert (decision.epoch, decision.revision, decision.stale) == ("e", 9, True)


def test_the_same_answer_is_the_same_object() -> None:
    """Interned per origin: deciding makes nothing."""
    made = compiled(flag("f", split(500_000)))
    decider = made.bind(ORIGIN)
    answers = {id(decider.decide("f", Context(f"user-{number}"))) for number in range(200)}
    assert len(answers) == 2
    assert made.bind(ORIGIN).decide("f", Context("u")) is not decider.decide("f", Context("u"))


def test_threads_share_what_is_interned() -> None:
    """Two threads that ask first at the same time get the same object."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            ask = partial(compiled(flag("f")).bind(ORIGIN).decide, "f")
            assert len({id(decision) for decision in pool.map(ask, [Context()] * 64)}) == 1


def test_an_unknown_flag_serves_the_callers_default() -> None:
    """The very object that the caller gave."""
    default: Json = {"mine": 1}
    decision = compiled().bind(ORIGIN).decide("nobody", Context(), default)
    assert decision.value is default
    assert (decision.flag, decision.variant, decision.reason) == ("nobody", None, Reason.UNKNOWN_FLAG)


@pytest.mark.parametrize("asked", ValueType)
@pytest.mark.parametrize("own", ValueType)
def test_never_a_value_of_another_type(own: ValueType, asked: ValueType) -> None:
    """The type asked for, or the caller's default; an integer widens to a float and nothing else changes."""
    decision = compiled(EACH_TYPE[own]).bind(ORIGIN).decide(own.value, Context(), default="mine", type=asked)
    if asked is own:
        assert decision.variant == "only"
        assert type(decision.value) in EXACT[asked]
    elif (own, asked) == (ValueType.INTEGER, ValueType.FLOAT):
        assert (decision.variant, decision.value, type(decision.value)) == ("only", 20.0, float)
    else:
        assert (decision.value, decision.variant, decision.reason) == ("mine", None, Reason.WRONG_TYPE)


def test_an_integer_that_is_no_exact_float_is_not_widened() -> None:
    """One bit of a wrong number is a wrong number; then no variant of the flag is widened."""
    variants = (Variant("small", 1), Variant("big", 2**53 + 1))
    wide = flag("f", value_type=ValueType.INTEGER, variants=variants, default="small")
    decision = compiled(wide).bind(ORIGIN).decide("f", Context(), default=0.5, type=ValueType.FLOAT)
    assert (decision.value, decision.reason) == (0.5, Reason.WRONG_TYPE)


def test_widened_decisions_are_interned_too() -> None:
    """The same answer, asked for as a float, is one object."""
    decider = compiled(EACH_TYPE[ValueType.INTEGER]).bind(ORIGIN)
    one = decider.decide("integer", Context(), type=ValueType.FLOAT)
    assert decider.decide("integer", Context("u"), type=ValueType.FLOAT) is one
    assert type(decider.decide("integer", Context()).value) is int


def test_a_caller_cannot_change_a_json_value_for_others() -> None:
    """Lists and maps are handed out as copies."""
    decider = compiled(EACH_TYPE[ValueType.JSON]).bind(ORIGIN)
    mine: Parsed = decider.decide("json", Context()).value
    mine["a"].append(2)
    mine["b"] = 3
    assert decider.decide("json", Context()).value == {"a": [1]}
    assert decider.decide_all(Context())["json"].value == {"a": [1]}


def test_a_json_value_is_not_the_one_the_ruleset_was_made_of() -> None:
    """Whoever made the ruleset cannot change it afterwards either."""
    document: Json = {"a": [1]}
    decider = compiled(valued("f", ValueType.JSON, document)).bind(ORIGIN)
    assert isinstance(document, dict)
    document["a"] = 5
    assert decider.decide("f", Context()).value == {"a": [1]}


def test_a_quarantined_flag_that_never_compiled_is_an_error() -> None:
    """The caller's default, and the reason says that it is not the flag's own."""
    decision = compiled(flag("f", serve(bad_leaf()))).bind(ORIGIN).decide("f", Context(), default=False)
    assert (decision.value, decision.variant, decision.reason) == (False, None, Reason.ERROR)


def test_every_flag_at_once() -> None:
    """Each as if asked alone, one without rules in force included."""
    decider = compiled(flag("good", split(300_000)), flag("bad", serve(bad_leaf()))).bind(ORIGIN)
    answers = decider.decide_all(Context("u-1"))
    assert answers["good"] is decider.decide("good", Context("u-1"))
    assert (answers["bad"].value, answers["bad"].reason) == (None, Reason.ERROR)
    assert answers.keys() == {"good", "bad"}


def test_any_key_context_and_default_are_survived() -> None:
    """Nothing that a caller hands over raises."""
    decider = compiled(flag("f", serve(leaf("a", "equals", 1)), split(500_000)), *EACH_TYPE.values()).bind(ORIGIN)
    values: list[Parsed] = [*PLAIN_VALUES, *(make() for make in ODD_MAKERS)]
    for value in values:
        unknown = decider.decide(value, Context("u"), default=value)
        assert unknown.reason is Reason.UNKNOWN_FLAG
        assert id(unknown.value) == id(value)
        assert decider.decide("f", value).reason is Reason.NO_UNIT
        assert decider.decide("f", Context("u"), None, value).reason in (Reason.SPLIT, Reason.WRONG_TYPE)
        assert decider.decide_all(value).keys() == {"f", *(each.value for each in ValueType)}


def test_a_key_that_is_a_subclass_of_text_names_its_flag() -> None:
    """Services keep flag keys in enums."""
    decider = compiled(flag("pro")).bind(ORIGIN)
    keys: list[Parsed] = [Plan.PRO, hostile(str, "pro")]
    for key in keys:
        decision = decider.decide(key, Context())
        assert decision is decider.decide("pro", Context())


def test_what_only_looks_like_a_context_is_an_empty_one() -> None:
    """Nothing of a stranger's object is called."""
    decider = compiled(flag("f", serve(leaf("a", "exists", operand=True)))).bind(ORIGIN)
    stranger: Parsed = LyingClass()
    assert decider.decide("f", stranger).reason is Reason.DEFAULT


def test_a_used_up_stack_changes_no_variant() -> None:
    """Near the end of a caller's stack there is the right answer or an error, never another rule's."""
    decider = compiled(flag("f", serve(leaf("a", "equals", 1)), serve(variant="off", rule="other"))).bind(ORIGIN)
    seen: set[tuple[Json, Reason]] = set()

    def descend() -> None:
        with suppress(RecursionError):
            decision = decider.decide("f", context, default="mine")
            seen.add((decision.value, decision.reason))
        descend()

    context = Context(a=1)
    with pytest.raises(RecursionError):
        descend()
    assert seen <= {(True, Reason.RULE), ("mine", Reason.ERROR)}
    assert (True, Reason.RULE) in seen


def test_a_decision_as_text_has_its_fields_in_order() -> None:
    """Byte for byte the same for the same decision; text beyond ASCII is readable."""
    made = compiled(valued("f", ValueType.JSON, {"z": "é", "a": [1.0, None]}))
    assert decision_json(made.bind(ORIGIN).decide("f", Context())) == (
        '{"flag":"f","variant":"only","value":{"z":"é","a":[1.0,null]},"reason":"default","rule":null,'
        '"flag_version":0,"epoch":"epoch-1","revision":7,"stale":false}'
    )
    assert json.loads(decision_json(made.bind(ORIGIN).decide("x", Context(), 5)))["value"] == 5


def test_a_decision_of_a_rollout_as_text_says_all_of_it() -> None:
    """After what every decision says, which does not move."""
    made = compiled(flag("f", by_rollout()), rollout(reach(1_000_000), run=2, allocation=5))
    whole = '{"flag":"f","variant":"%s","value":%s,"reason":"%s","rule":"launch","flag_version":0,"epoch":"epoch-1",'
    whole += '"revision":7,"stale":false,"rollout":"x","run":2,"stage":%s,"arm":%s,"allocation":5,"reach_ppm":%d}'
    exposed = whole % ("on", "true", "rollout", '"canary"', '"candidate"', 1_000_000)
    assert decision_json(made.bind(ORIGIN).decide("f", Context("u"))) == exposed
    nobody = whole % ("off", "false", "no_unit", "null", "null", 0)
    assert decision_json(made.bind(ORIGIN).decide("f", Context())) == nobody


def test_a_json_value_of_a_rollout_is_a_copy_that_says_all_of_it() -> None:
    """Both that nobody shares it, and who was exposed to it."""
    variants = (Variant("off", None), Variant("on", {"a": [1]}))
    moved = flag("f", by_rollout(), value_type=ValueType.JSON, variants=variants)
    decider = compiled(moved, rollout(reach(1_000_000), run=3)).bind(ORIGIN)
    one, other = decider.decide("f", Context("u")), decider.decide("f", Context("u"))
    assert one.value is not other.value
    assert one == other
    assert (one.rollout, one.run, one.stage, one.arm, one.allocation, one.reach_ppm) == (
        *("x", 3, "canary", Arm.CANDIDATE, 1, 1_000_000),
    )


def test_a_default_that_json_cannot_say_is_refused() -> None:
    """With the flag's name."""
    default: Parsed = object()
    with pytest.raises(ValueError, match="'x'"):
        decision_json(compiled().bind(ORIGIN).decide("x", Context(), default))


def test_a_flag_that_another_thread_binds_meanwhile_is_decided() -> None:
    """Two threads ask first at once: whoever comes second finds the flag bound where it just was not."""
    ruleset = compiled(flag("f", default="on"))

    class Overtaken(dict[str, CompiledFlag]):
        def __contains__(self, key: object) -> bool:
            decider._entry("f")  # what the other thread does between the look at what is bound and this one
            return super().__contains__(key)

    decider = Decider(Overtaken(ruleset.flags), {}, {}, ORIGIN)
    assert decider.decide("f", Context("u")).reason is Reason.DEFAULT
