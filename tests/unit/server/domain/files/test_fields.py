"""Fields of a map being read."""

from enum import Enum

import pytest

from rollout_server.domain.files.fields import Fields, unique, words
from rollout_server.domain.files.shape import Reading


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def integer(reading: Reading, value: object, path: str) -> int:
    return reading.integer(value, path)


def test_fields_are_read_at_their_place() -> None:
    """With the default where one is left out, and a problem where that is not allowed."""
    reading = Reading()
    fields = Fields(reading, {"a": 1, "c": "red"}, "spec.x", ("a", "b", "c"), "a thing")
    assert ("a" in fields, "b" in fields) == (True, False)
    assert (fields.get("a", integer, 7), fields.get("b", integer, 7), fields.place("b")) == (1, 7, "spec.x.b")
    assert fields.choice("c", Colour, Colour.BLUE) is Colour.RED
    assert reading.problems == []
    assert fields.need("b", integer, 7, "write b") == 7
    assert fields.need_choice("b", Colour, Colour.BLUE) is Colour.BLUE
    assert [(one.path, one.hint) for one in reading.problems] == [
        ("spec.x.b", "write b"),
        ("spec.x.b", "one of red, blue"),
    ]


def test_what_is_no_map_is_one_problem() -> None:
    """Not one more for each field that it lacks."""
    reading = Reading()
    Fields(reading, "text", "spec", ("a",), "a thing").need("a", integer, 0, "write a")
    assert [one.code for one in reading.problems] == ["wrong_type"]


def test_a_word_that_is_none_is_refused_with_the_nearest() -> None:
    """Words of an enumeration are all there is."""
    reading = Reading()
    assert Fields(reading, {"c": "rad"}, "", ("c",), "").choice("c", Colour, Colour.BLUE) is Colour.BLUE
    assert [(one.path, one.hint) for one in reading.problems] == [("c", 'did you mean "red"?')]
    assert words(Colour) == ["red", "blue"]


def test_a_name_stands_once_in_a_map() -> None:
    """No file can say it twice."""
    assert unique([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match='"a" appears twice'):
        unique([("a", 1), ("a", 2)])
