"""Helpers that note what is wrong."""

from __future__ import annotations

import pytest

from rollout_server.domain.files.bounds import DEPTH_MAX, PROBLEMS_MAX
from rollout_server.domain.files.scalars import Unquoted, resolve
from rollout_server.domain.files.shape import QUOTE, QUOTE_NAME, UNCLEAR, Reading, describe, too_deep


@pytest.mark.parametrize("word", ["00123", "1.10", "2027-06-01", "true", "1e3", "0x1F", ".5", "no", "on", "12:30"])
def test_where_text_is_wanted_bare_words_are_asked_to_be_quoted(word: str) -> None:
    """The quotes to write are shown around what was written, digit for digit."""
    reading = Reading()
    reading.text(resolve(word), "p")
    assert [problem.code for problem in reading.problems] == [QUOTE]
    assert f'"{word}"' in reading.problems[0].hint


@pytest.mark.parametrize("word", ["00123", "1.10", "2027-06-01", "1e3", "0x1F", ".5", "no", "on"])
def test_where_any_scalar_will_do_an_odd_one_is_unclear(word: str) -> None:
    """Neither meaning is guessed: quotes are one cure, the plain number or boolean another."""
    reading = Reading()
    reading.scalar(resolve(word), "p")
    assert [problem.code for problem in reading.problems] == [UNCLEAR]


def test_nothing_is_not_text() -> None:
    """An empty field is told as one."""
    reading = Reading()
    reading.text(None, "p")
    assert str(reading.problems[0]) == "p: text is wanted, found nothing (leave the field out, or give it a value)"


def test_on_and_off_are_variants_without_quotes() -> None:
    """Only there, and only in lower case."""
    reading = Reading()
    assert reading.variant(Unquoted("on"), "p") == "on"
    assert reading.problems == []
    reading.variant(Unquoted("On"), "p")
    reading.variant(value=True, path="p")
    reading.variant(Unquoted("false"), "p")
    assert [problem.code for problem in reading.problems] == [QUOTE, UNCLEAR, UNCLEAR]
    assert reading.problems[1].hint == 'write "on", or quote it if there is a variant "true"'


def test_names_have_a_code_of_their_own() -> None:
    """So that fmt knows which of the two sides of a colon to quote."""
    reading = Reading()
    reading.name(reading.variant, Unquoted("1"), "p")
    assert [problem.code for problem in reading.problems] == [QUOTE_NAME]


def test_problems_are_bounded() -> None:
    """A document of nonsense costs a bounded answer, which says that there is more."""
    reading = Reading()
    reading.fields({f"f{number}": 1 for number in range(1_000)}, "", ("a",), "x")
    assert len(reading.problems) == PROBLEMS_MAX
    assert reading.problems[-1].code == "too_many_problems"


def test_depth_is_measured_without_recursion() -> None:
    """A tree as deep as memory is measured like any other."""
    tree: object = 1
    for _ in range(DEPTH_MAX):
        tree = [tree]
    assert not too_deep(tree)
    assert too_deep([tree])
    for _ in range(100_000):
        tree = {"a": tree}
    assert too_deep(tree)


def test_whole_numbers_may_be_written_as_floats() -> None:
    """JSON Schema calls 3.0 an integer, and so do files."""
    reading = Reading()
    assert reading.integer(3.0, "p") == 3
    assert reading.problems == []
    for wrong in (3.5, "3", True, None, float("inf"), float("nan")):
        reading.integer(wrong, "p")
    assert len(reading.problems) == 6


def test_leading_zeros_are_no_number() -> None:
    """010 is ten to YAML 1.2 and eight to YAML 1.1."""
    reading = Reading()
    reading.number(resolve("010"), "p")
    reading.integer(resolve("-007"), "p")
    assert [problem.hint for problem in reading.problems] == ["write 10", "write -7"]
    assert reading.number(resolve("0x1F"), "p") == 31
    assert reading.number(resolve("-0"), "p") == 0
    assert len(reading.problems) == 2


def test_lists_of_texts_are_checked_one_by_one_when_something_is_wrong() -> None:
    """The million that are right cost nothing; the one that is wrong is named."""
    reading = Reading()
    assert reading.texts(["a"] * 3, "p", "a key", characters_max=2) == ("a", "a", "a")
    reading.texts(["a", 1, "", "abc", "\ud800", Unquoted("no")], "p", "a key", characters_max=2)
    assert [problem.path for problem in reading.problems] == ["p[1]", "p[2]", "p[3]", "p[4]", "p[5]"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "nothing"),
        (True, "the boolean true"),
        (1.5, "the number 1.5"),
        ("x", 'the text "x"'),
        ({}, "a map"),
        ([], "a list"),
    ],
)
def test_values_are_described_in_a_files_words(value: object, said: str) -> None:
    """No Python in messages."""
    assert describe(value) == said


def test_a_bare_number_is_no_percentage() -> None:
    """25 may mean a quarter or twenty-five times everything: the sign is wanted."""
    reading = Reading()
    reading.share(25, "p")
    assert reading.problems[0].hint == "write 25%"
