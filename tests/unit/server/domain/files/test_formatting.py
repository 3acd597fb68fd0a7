"""fmt."""

from __future__ import annotations

import pytest

from rollout_server.domain.files import fmt, load
from rollout_server.errors import InvalidInput

UGLY = """\ufeff# Flags of the shop\r
\r
kind:   Flag   # a flag
metadata: { key: checkout-v2, owner: 007, expires: 2027-06-01, tags: [ web,
   # the app too
   app ] }
spec:
    variants: {on: true, off: false}
    default: off  # nobody
    targets: {on: [no, 00123]}
    rules:
    - {id: staff, when: {attribute: email, ends_with: '@example.com'}, serve: on}
    -   id: trial   # a quarter
        split: {on: 25%, off: 75%}
---
# nothing here
---
kind: Cohort
metadata: {key: beta}
# end
"""

TIDY = """# Flags of the shop

kind: Flag  # a flag
metadata:
  key: checkout-v2
  owner: "007"
  expires: "2027-06-01"
  tags:
    - web
    # the app too
    - app
spec:
  variants: {"on": true, "off": false}
  default: "off"  # nobody
  targets: {"on": ["no", "00123"]}
  rules:
    - {id: staff, when: {attribute: email, ends_with: "@example.com"}, serve: "on"}
    - id: trial  # a quarter
      split: {"on": 25%, "off": 75%}
---
# nothing here

kind: Cohort
metadata: {key: beta}
# end
"""


def test_a_file_gets_one_layout_and_the_quotes_it_lacks() -> None:
    """Comments stay, on and off are quoted, and so is what the reader would have asked to quote."""
    assert fmt(UGLY) == TIDY
    assert fmt(TIDY) == TIDY
    assert load(TIDY).problems == ()


def test_what_could_mean_two_things_is_left_to_its_author() -> None:
    """`equals: no` may be a text or a boolean: fmt does not decide."""
    text = "kind: Cohort\nmetadata: {key: a}\nspec:\n  when: {attribute: a, in: [no, 1.10, on]}\n"
    assert fmt(text) == text
    assert [problem.code for problem in load(text).problems] == ["unclear_scalar"] * 3


def test_the_field_off_needs_no_quotes() -> None:
    """It is a name of ours; the variant `off` is a name of theirs."""
    text = 'kind: Flag\nmetadata: {key: a}\nspec:\n  variants: {"off": false, x: true}\n  off: x\n'
    assert fmt(text) == text


def test_json_stays_json() -> None:
    """Two spaces, numbers as they were written."""
    text = '[{"kind":"Flag","metadata":{"key":"a"},"spec":{"variants":{"a":1.10,"b":1e3},"off":"a\\u202e"}},[],{}]'
    laid_out = fmt(text)
    assert laid_out == fmt(laid_out)
    assert laid_out.startswith('[\n  {\n    "kind": "Flag",\n')
    assert '"a": 1.10,' in laid_out
    assert "\\u202E" in laid_out


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a: [\n---\nb: 1\n---\n\tc: 1\n", ["f.yaml:2:1", "f.yaml:5:1"]),
        ("a: 1\na: 2\n", ["f.yaml:2:1"]),
        ('{"a": 1, "a": 2}', ["f.yaml:1:10"]),
        ("a: \x00", ["f.yaml:1:4"]),
    ],
)
def test_what_does_not_parse_is_not_touched(text: str, places: list[str]) -> None:
    """Every document's mistake is told, with its place."""
    with pytest.raises(InvalidInput) as refused:
        fmt(text, "f.yaml")
    assert [problem.origin for problem in refused.value.problems] == places


@pytest.mark.parametrize("text", ["", "\n", "---\n...\n"])
def test_nothing_stays_nothing(text: str) -> None:
    """An empty file has an empty layout."""
    assert fmt(text) == ""


def test_a_file_of_comments_keeps_them() -> None:
    """Nothing a person wrote is lost."""
    assert fmt("#a\n---\n  #b") == "#a\n#b\n"
