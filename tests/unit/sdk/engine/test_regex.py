import subprocess
import sys

import pytest

from rollout_sdk.engine.limits import REGEX_SUBJECT_BYTES
from rollout_sdk.engine.regex import compile_regex, regex_fault


def test_searches_anywhere() -> None:
    """An expression without anchors matches inside a text."""
    assert compile_regex("b+")("abbc") is True
    assert compile_regex("^b")("abbc") is False
    assert compile_regex("")("") is True


def test_case_may_be_ignored() -> None:
    """Only where the leaf says so."""
    assert compile_regex("STRASSE", ignore_case=True)("strasse") is True
    assert compile_regex("STRASSE")("strasse") is False


def test_text_is_read_as_characters() -> None:
    """A dot is one character, not one byte."""
    assert compile_regex("^.$")("é") is True


@pytest.mark.parametrize("text", ["\ud800", "x" * (REGEX_SUBJECT_BYTES + 1), "é" * (REGEX_SUBJECT_BYTES // 2 + 1)])
def test_long_or_broken_text_is_not_searched(text: str) -> None:
    """No context can make an evaluation long."""
    assert compile_regex(".")(text) is None


def test_the_longest_text_is_searched() -> None:
    """The limit itself is inside."""
    assert compile_regex("x$")("x" * REGEX_SUBJECT_BYTES) is True


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "(", "a{2000}", "(a{500}){500}", "[z-a]", "\\"])
def test_what_re2_does_not_take_is_refused_with_its_reason(pattern: str) -> None:
    """Back-references and look-around are refused where they are made, and nothing is written to stderr."""
    assert regex_fault(pattern)
    with pytest.raises(ValueError, match=r"\w"):
        compile_regex(pattern)


@pytest.mark.parametrize("pattern", ["([a-z]{1,50}){1,20}@", "." * 500 + "z", "(.{1,100}){9}x"])
def test_what_would_search_for_long_is_refused(pattern: str) -> None:
    """Linear time is not short time: size of the expression times length of the text is bounded."""
    assert "steps" in regex_fault(pattern)


def test_readers_take_twice_as_many_steps() -> None:
    """A later maker may write them."""
    assert regex_fault("(a?){300}a{300}") == ""
    assert "steps" in regex_fault("(a?){600}a{600}")
    assert regex_fault("(a?){600}a{600}", 2) == ""


def test_a_good_expression_has_no_fault() -> None:
    """What RE2 takes is taken."""
    assert regex_fault(r"^v\d+(\.\d+)*$") == ""


def test_re2_is_loaded_by_the_first_expression_only() -> None:
    """Importing the engine costs nothing for expressions that nobody wrote."""
    program = (
        "import sys, rollout_sdk.engine.explain, rollout_sdk.engine.conditions as conditions\n"
        "from rollout_sdk.engine.model import Leaf\n"
        "assert 're2' not in sys.modules\n"
        "assert conditions.compile_condition(Leaf('a', 'regex', 'b'), {})\n"
        "assert 're2' in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
