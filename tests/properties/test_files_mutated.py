"""Files that are wrong: the reader and the schema refuse the same ones, and no text brings anything down."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import canonical_json, fmt, load, read, schema, write
from rollout_server.errors import InvalidInput
from tests.resource_strategies import JSON_VALUES, RESOURCES

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*/*.yaml"))]
SCHEMA = Draft202012Validator(schema())

# What a schema has no words for.
BEYOND_SCHEMA = {"bad_sum", "bad_date", "bad_variant", "wrong_type", "not_unicode", "too_deep", "out_of_range"}
WORDS_OF_OURS = [
    "kind",
    "metadata",
    "spec",
    "key",
    "version",
    "rules",
    "split",
    "serve",
    "when",
    "variants",
    "type",
    "off",
    "attribute",
    "unit",
    "equals",
    "size",
    "cohort",
    "all",
    "not",
    "default",
    "never",
    "targets",
    "25%",
    "on",
    "stages",
    "share",
    "soak",
    "limit",
    "relative",
    "at_least",
    "absolute",
    "groups",
    "webhook",
    "command",
    "30m",
    "+5%",
    "0.1pp",
    "p95",
    "everyone",
    "healthy",
    "Flag",
]


@st.composite
def mutated(draw: st.DrawFn) -> Json:
    """Return the tree of a resource in which one place is something else, is gone, or is too many."""
    tree = write(draw(RESOURCES))
    value = draw(st.one_of(JSON_VALUES, st.sampled_from(WORDS_OF_OURS)))
    place: dict[str, Json] | list[Json] = tree
    while True:
        step = draw(st.integers(0, len(place) - 1))
        inner = list(place.values())[step] if isinstance(place, dict) else place[step]
        if not isinstance(inner, dict | list) or not inner or not draw(st.integers(0, 3)):
            break
        place = inner
    change = draw(st.sampled_from(["replace", "remove", "add", "rename"]))
    if isinstance(place, list):
        place[step : step + (change != "add")] = [] if change == "remove" else [value]
        return tree
    name = list(place)[step]
    if change in {"remove", "rename"}:
        inner = place.pop(name)
    if change != "remove":
        other = draw(st.sampled_from(WORDS_OF_OURS))
        place[name if change == "replace" else other] = inner if change == "rename" else value
    return tree


def agree(tree: Json) -> None:
    """Check that reader and schema say the same of a tree."""
    resource, problems = read(tree)
    wrong = [error.message for error in SCHEMA.iter_errors(tree)]
    if wrong:
        assert problems, f"only the schema refuses: {wrong}"
        assert resource is None
    elif not {problem.code for problem in problems} <= BEYOND_SCHEMA:
        pytest.fail(f"only the reader refuses: {[str(problem) for problem in problems]}")


@settings(max_examples=150)
@given(mutated())
def test_reader_and_schema_agree(tree: Json) -> None:
    """A tree that the schema refuses is refused by the reader, and the other way round where a schema has the words."""
    agree(tree)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@settings(max_examples=10_000)
@given(mutated())
def test_reader_and_schema_agree_at_length(tree: Json) -> None:
    """As above, over thousands of trees."""
    agree(tree)


@settings(max_examples=100)
@given(mutated())
def test_what_is_read_is_written_the_same(tree: Json) -> None:
    """A tree that reads well is written as one that reads as the same resource."""
    resource, problems = read(tree)
    if resource is not None:
        assert problems == ()
        assert read(write(resource)) == (resource, ())
        canonical_json(write(resource))


ODD = st.sampled_from(
    [*"{}[]:,-#\"'|>&*!%@`?\n\t\r \\~<=.0", "---\n", "...\n", "\ufeff", "\u202e", "\x00", "<<: ", "on", ": "]
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return an example with a few places overwritten, removed or repeated."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(ODD, st.text(max_size=3), st.just(text[start:end] * 2))) + text[end:]
    return text


def survives(text: str) -> None:
    """Check that a text is loaded or refused, and that fmt changes nothing of what it says."""
    before = load(text, "flags.yaml")
    assert all(problem.origin.startswith("flags.yaml:") for problem in before.problems)
    try:
        laid_out = fmt(text)
    except InvalidInput:
        return
    assert fmt(laid_out) == laid_out
    after = load(laid_out, "flags.yaml")
    if all(problem.code not in {"quote_it", "quote_name"} for problem in before.problems):
        assert [(problem.path, problem.code) for problem in after.problems] == [
            (problem.path, problem.code) for problem in before.problems
        ]
        assert [(one.tree, one.resource, one.cases) for one in after.documents] == [
            (one.tree, one.resource, one.cases) for one in before.documents
        ]


@settings(max_examples=150)
@given(damaged())
def test_no_damaged_file_brings_anything_down(text: str) -> None:
    """Any text is loaded or refused with a place, never more; fmt is idempotent and changes no meaning."""
    survives(text)


@settings(max_examples=100)
@given(st.one_of(st.text(max_size=40), st.lists(ODD, max_size=20).map("".join)))
def test_no_text_brings_anything_down(text: str) -> None:
    """As above, for texts that never were a file."""
    survives(text)


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_no_bytes_bring_anything_down(raw: bytes) -> None:
    """Bytes are loaded or refused."""
    load(raw, "flags.yaml")
    load(raw, "flags.json")


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@settings(max_examples=10_000)
@given(st.one_of(damaged(), st.lists(ODD, max_size=20).map("".join)))
def test_no_file_brings_anything_down_at_length(text: str) -> None:
    """As above, over thousands of texts."""
    survives(text)
    load(text, "flags.json")
