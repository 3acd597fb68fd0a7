"""Pieces of JSON Schema."""

from jsonschema import Draft202012Validator

from rollout_server.domain.files.schema_parts import closed_map, ref, text, texts


def test_pieces_fit_together() -> None:
    """A map knows its fields and which of them are needed; text is never empty."""
    whole = closed_map({"a": ref("word"), "b": texts(3)}, ("a",), title="whole")
    schema = Draft202012Validator({**whole, "$defs": {"word": text(2)}})
    assert schema.is_valid({"a": "x", "b": ["abc"]})
    for wrong in ({}, {"a": ""}, {"a": "abc"}, {"a": "x", "c": 1}, {"a": "x", "b": ["abcd"]}, {"a": "x", "b": [""]}):
        assert not schema.is_valid(wrong)
