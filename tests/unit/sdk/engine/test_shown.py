import pytest

from rollout_sdk.engine.shown import SHOWN_CHARS, described, shown, type_name
from rollout_sdk.engine.values import MISSING
from tests.odd_values import ODD_MAKERS, PLAIN_VALUES, hostile


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (20, "20"),
        (0.5, "0.5"),
        ("é", '"é"'),
        ('a"b', '"a\\"b"'),
        (["KR", 1], '["KR", 1]'),
        (("KR",), '["KR"]'),
        ({"tier": {"a": None}}, '{"tier": {"a": null}}'),
        (b"x", "a value of no class (bytes)"),
        (float("nan"), "a value of no class (float)"),
        (MISSING, "a value of no class (Missing)"),
    ],
)
def test_values_are_shown_as_json(value: object, text: str) -> None:
    """What has a class is shown as files would write it, the rest by the name of its type."""
    assert shown(value) == text


def test_a_value_cannot_fake_a_line() -> None:
    """Controls, bidi marks and lone surrogates are escaped."""
    assert shown("a\nb") == '"a\\nb"'
    assert shown("\u202egnp.exe") == '"\\u202egnp.exe"'
    assert shown("\ud800") == '"\\ud800"'


def test_any_value_is_one_short_line() -> None:
    """Huge, deep, circular or hostile: never an exception, never more than a line, and none of its code runs."""
    for value in (*PLAIN_VALUES, *(make() for make in ODD_MAKERS), ["x" * 1_000] * 1_000, dict.fromkeys(range(1_000))):
        for text in (shown(value), described(value)):
            assert 0 < len(text) < SHOWN_CHARS + 20
            assert text.isprintable()


def test_the_class_is_said_where_it_matters() -> None:
    """A leaf over a wrong type says what it found."""
    assert described("9") == '"9", a string'
    assert described(b"9") == "a value of no class (bytes)"


def test_a_type_is_named_by_what_is_stored() -> None:
    """A class that lies about its name is named as it was made."""
    lying = type("Lying", (type,), {"__name__": property(lambda _: 1 / 0)})
    assert type_name(lying("Thing", (), {})()) == "Thing"
    assert type_name(hostile(object)) == "HostileObject"
