import pytest

from rollout_sdk.engine.values import MISSING, as_list, as_map, as_number, as_text, class_of
from tests.odd_values import Level, LyingClass, Plain, Plan, RaisingClass, hostile


def test_subclasses_count_as_what_they_store() -> None:
    """An enum of text or a subclass of float is what its builtin base holds; none of its own methods runs."""
    for convert, value, stored in (
        (as_text, hostile(str, "KR"), "KR"),
        (as_text, Plan.PRO, "pro"),
        (as_number, hostile(int, 5), 5),
        (as_number, Level.HIGH, 9),
        (as_number, hostile(float, 0.5), 0.5),
        (as_list, hostile(list, [1]), [1]),
        (as_list, hostile(tuple, (1,)), (1,)),
    ):
        plain = convert(value)
        assert type(plain) is type(stored)
        assert plain == stored
    assert as_map(hostile(dict, {"a": 1})) is not None


@pytest.mark.parametrize("number", [True, False, float("nan"), float("inf"), "1", None, 1j])
def test_what_is_no_number(number: object) -> None:
    """True is not 1, and neither NaN nor infinity can be compared."""
    assert as_number(number) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        ("", "string"),
        (0, "number"),
        (-0.5, "number"),
        ([], "list"),
        ((), "list"),
        ({}, "map"),
        (b"", None),
        ({1}, None),
        (object(), None),
        (MISSING, None),
        (float("nan"), None),
        (Plain.ONE, None),
    ],
)
def test_classes(value: object, name: str | None) -> None:
    """Every value has one type class or none."""
    assert class_of(value) == name


def test_a_class_is_what_a_value_is_and_not_what_it_says() -> None:
    """An object that claims to be text is no text."""
    for value in (LyingClass(), RaisingClass()):
        assert class_of(value) is None
        assert as_text(value) is None
