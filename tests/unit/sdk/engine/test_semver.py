from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.semver import VERSION_CHARS, holds, parse_range, parse_version

PARTS = st.integers(0, 3)
VERSIONS = st.builds(
    lambda major, minor, patch, tail: f"{major}.{minor}.{patch}{tail}",
    PARTS,
    PARTS,
    PARTS,
    st.sampled_from(["", "-alpha", "-alpha.1", "-alpha.beta", "-2", "-rc.11", "-x-y", "+b.1"]),
)


def test_precedence_is_that_of_semver_2() -> None:
    """The specification's own example orders as it says, and numbers lie below words."""
    ascending = [
        "0.9.9",
        "1.0.0-2",
        "1.0.0-10",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.1.0",
        "1.10.0",
        "2.0.0",
    ]
    for lower, higher in pairwise(ascending):
        assert (parse_version(lower) or ()) < (parse_version(higher) or ())
    assert parse_version("1.0.0+a") == parse_version("1.0.0+b") == parse_version("1.0.0")


def test_short_versions_are_filled_with_zeros() -> None:
    """Applications report "1.2" as often as "1.2.0"."""
    assert parse_version("1") == parse_version("1.0") == parse_version("1.0.0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1.2.3",
        "1.2.3.4",
        "01.2.3",
        "1.02.3",
        "1.2.3-01",
        "1.2.3-",
        "1.2.3-a..b",
        "1.2-a",
        " 1.2.3",
        "1.2.3\n",
        "x",
        "\u0661.2.3",
        "1.2.3+",
        "9" * (VERSION_CHARS + 1),
    ],
)
def test_what_is_no_version(text: str) -> None:
    """Anything else is of the wrong type, and never guessed at."""
    assert parse_version(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "||",
        "1 ||",
        "=>1",
        "1.x.3",
        "*.1",
        ">>1",
        "1.2.3-01",
        "1.2-a",
        "1 - 2",
        "a",
        "1,2",
        ">=2 <1",
        ">1.0.0 <1.0.0",
        "<*",
        ">*",
        "^1 ^2",
        "1.2.3.4",
        "v1",
        "1" * 300,
    ],
)
def test_what_is_no_range(text: str) -> None:
    """A range that is unreadable or that holds no version is refused where it is made."""
    with pytest.raises(ValueError, match=r"version|range|number"):
        parse_range(text)


@given(version=VERSIONS, bound=VERSIONS)
def test_comparators_are_comparisons(version: str, bound: str) -> None:
    """Each sign before a full version compares by precedence, prereleases too."""
    asked, limit = parse_version(version), parse_version(bound)
    assert asked is not None
    assert limit is not None
    for sign, answer in (("<=", asked <= limit), (">", asked > limit), (">=", asked >= limit), ("=", asked == limit)):
        assert holds(parse_range(f"{sign}{bound}"), asked) is answer
    if limit > (0, 0, 0, ()):
        assert holds(parse_range(f"<{bound} || >9.9.9"), asked) is (asked < limit)


@given(version=VERSIONS, low=VERSIONS, high=VERSIONS)
def test_spaces_are_and_and_bars_are_or(version: str, low: str, high: str) -> None:
    """A range is what its comparators say together."""
    asked = parse_version(version)
    assert asked is not None
    first, second = f">={low}", f"<={high}"
    each = [holds(parse_range(part), asked) for part in (first, second)]
    assert holds(parse_range(f"{first} || {second}"), asked) is any(each)
    if (parse_version(low) or ()) <= (parse_version(high) or ()):
        assert holds(parse_range(f"{first} {second}"), asked) is all(each)


@pytest.mark.parametrize("text", ["^1.2", "~1.2.3", "1.x", "1.2.*", "<2", ">=1 <2"])
def test_bounds_that_nobody_spelled_out_exclude_the_next_prerelease(text: str) -> None:
    """Nobody who writes ^1.2 wants 2.0.0-rc.1."""
    assert not any(
        holds(parse_range(text), version)
        for version in (parse_version("2.0.0-rc.1"), parse_version("2.0.0"))
        if version is not None
    )


def test_a_version_of_huge_numbers_is_compared() -> None:
    """Length is bounded, and within it every number counts."""
    huge = parse_version("9" * 200)
    assert huge is not None
    assert holds(parse_range(">=1"), huge)
