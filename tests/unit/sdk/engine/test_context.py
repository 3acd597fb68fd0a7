import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.bucketing import unit64
from rollout_sdk.engine.cohorts import key_hash
from rollout_sdk.engine.context import EMPTY, Context, as_context, from_json, to_json
from rollout_sdk.engine.limits import CONTEXT_JSON_BYTES
from tests.odd_values import ODD_MAKERS, PLAIN_VALUES, LyingClass, Plan, RaisingClass, circular, hostile

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_one_positional_key_is_a_user() -> None:
    """The short form names the unit that most flags bucket."""
    context = Context("u-1", country="TH", plan={"tier": "pro"})
    assert context.units == {"user": "u-1"}
    assert context.attributes == {"country": "TH", "plan": {"tier": "pro"}}


def test_an_attribute_may_be_called_key_or_self() -> None:
    """No attribute's name is taken."""
    assert Context("u-1", key="k", self="s").attributes == {"key": "k", "self": "s"}


def test_many_kinds_of_units() -> None:
    """The long form takes any kinds, and names that are no Python names."""
    context = Context.of({"user": "u-1", "tenant": "t-9"}, {"plan.tier": "pro"})
    assert context.units == {"user": "u-1", "tenant": "t-9"}
    assert context.attributes == {"plan.tier": "pro"}


def test_an_invalid_key_is_no_unit() -> None:
    """What cannot be hashed the same everywhere is not a unit."""
    keys: list[Any] = [None, "", "\ud800", "a\udfff", 5, b"u", ["u"], object(), hostile(object)]
    for key in keys:
        assert Context(key).units == {}
        assert Context.of({"user": key, "tenant": "t"}).units == {"tenant": "t"}


def test_a_subclass_of_text_is_the_text_it_stores() -> None:
    """An enum of text is text, and none of its methods is called."""
    keys: list[Any] = [Plan.PRO, hostile(str, "pro")]
    for key in keys:
        kept = Context(key).units["user"]
        assert type(kept) is str
        assert kept == "pro"


def test_any_value_at_all_makes_a_context() -> None:
    """Making a context never raises, whatever its parts are."""
    values: list[Any] = [*PLAIN_VALUES, *(make() for make in ODD_MAKERS)]
    for value in values:
        Context(value, a=value)
        Context.of(value, value)
        Context.of({"user": value}, {"a": value})


def test_names_that_are_no_text_are_left_out() -> None:
    """An attribute's name is text."""
    units: dict[Any, str] = {1: "u", "tenant": "t"}
    attributes: dict[Any, int] = {2: 3, None: 4, "a": 1}
    context = Context.of(units, attributes)
    assert dict(context.units) == {"tenant": "t"}
    assert dict(context.attributes) == {"a": 1}


def test_a_context_keeps_no_hold_on_the_callers_maps() -> None:
    """Changing a map afterwards does not change who asked."""
    units, attributes = {"user": "u-1"}, {"a": 1}
    context = Context.of(units, attributes)
    units["user"], attributes["a"] = "u-2", 2
    assert (dict(context.units), dict(context.attributes)) == ({"user": "u-1"}, {"a": 1})


def test_a_context_does_not_change() -> None:
    """Setting and deleting are refused with what to do instead."""
    context = Context("u-1")
    with pytest.raises(AttributeError, match="make a new one"):
        context.units = {}
    with pytest.raises(AttributeError, match="make a new one"):
        del context.attributes
    with pytest.raises(AttributeError):
        setattr(context, "country", "TH")  # noqa: B010 - a name that mypy would refuse


@given(key=st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_is_computed_of_a_unit_is_computed_once(key: str) -> None:
    """The forms of a unit are those of the law and of cohorts, and the same object each time."""
    context = Context(key)
    assert context.unit64("user") == unit64(key).encode()
    assert context.key_hash("user") == key_hash(key)
    assert context.unit64("user") is context.unit64("user")
    assert context.unit64("tenant") is None
    assert context.key_hash("tenant") is None


def test_a_context_travels_to_another_process() -> None:
    """Copying and pickling give the same context."""
    context = Context.of({"user": "u-1"}, {"plan": {"tier": "pro"}})
    context.unit64("user")
    for other in (copy.copy(context), copy.deepcopy(context), pickle.loads(pickle.dumps(context))):  # noqa: S301 - ours
        assert to_json(other) == to_json(context)
        assert other.unit64("user") == context.unit64("user")


def test_looking_at_a_context_tells_nobody_who_it_is() -> None:
    """Keys and attributes are personal: a log line shows kinds and counts."""
    assert repr(Context.of({"user": "mia@example.com"}, {"salary": 5})) == "<Context of user; 1 attributes>"
    assert repr(EMPTY) == "<Context of no unit; 0 attributes>"


@given(
    units=st.dictionaries(
        st.text(max_size=4), st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=3
    ),
    attributes=st.dictionaries(st.text(max_size=4), JSON, max_size=3),
)
def test_json_there_and_back(units: dict[str, str], attributes: dict[str, object]) -> None:
    """The shared JSON form carries the whole context."""
    text = to_json(Context.of(units, attributes))
    read = from_json(text)
    assert (dict(read.units), dict(read.attributes)) == (units, attributes)
    assert to_json(read) == text


def test_both_parts_may_be_left_out() -> None:
    """An empty object is an empty context."""
    assert to_json(from_json("{}")) == '{"units":{},"attributes":{}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "must be an object"),
        ("nul", "is not JSON"),
        ('{"unit": {}}', "unknown field 'unit'"),
        ('{"units": []}', "units: must be an object"),
        ('{"attributes": 1}', "attributes: must be an object"),
        ('{"units": {"user": 42}}', "units.user: .* quote it"),
        ('{"units": {"user": ""}}', "units.user: "),
        ('{"units": {"user": "\\ud800"}}', "units.user: "),
        ('{"units": {}, "units": {}}', "'units' is there twice"),
        ('{"attributes": {"a": {"b": 1, "b": 2}}}', "'b' is there twice"),
        ('{"attributes": {"a": NaN}}', "NaN is no JSON number"),
        ('{"attributes": {"a": -Infinity}}', "Infinity is no JSON number"),
        ('{"attributes": {"a": ' + "[" * 30_000, "nested too deeply"),
        ('{"attributes": {"a": ' + "9" * 5_000 + "}}", "is not JSON"),
        (json.dumps({"attributes": {"a": "x" * CONTEXT_JSON_BYTES}}), "more than"),
        (b"\xff", "is not JSON"),
    ],
)
def test_a_malformed_line_is_refused_with_what_to_do(text: str, message: str) -> None:
    """A typing error in a population must not become a silent empty context."""
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_what_json_cannot_say_is_refused() -> None:
    """Nothing is written that could not be read back."""
    for value in (object(), {1}, float("nan"), 10**5000, [hostile(object)], circular()):
        with pytest.raises(ValueError, match=r"JSON|digits|Circular"):
            to_json(Context("u", a=value))


def test_anything_else_counts_as_an_empty_context() -> None:
    """Callers hold all sorts of things."""
    context = Context("u-1")
    assert as_context(context) is context
    assert as_context(None) is as_context({"user": "u-1"}) is EMPTY


def test_an_object_that_lies_about_its_class_is_no_context() -> None:
    """Nothing of a caller's object runs to find out."""
    for odd in (LyingClass(), RaisingClass(), hostile(object), None):
        assert as_context(odd) is EMPTY
