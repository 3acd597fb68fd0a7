"""Characters that a reviewer would not see."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.unseen import escaped_in_json, escaped_in_yaml, is_unseen


@given(st.text())
def test_json_without_the_unseen_means_the_same(text: str) -> None:
    """Nothing that hides, reorders or moves a cursor stays raw, and every reader gets the same text."""
    written = escaped_in_json(json.dumps([text], ensure_ascii=False, indent=2))
    assert not any(is_unseen(character) for character in written if character != "\n")
    assert json.loads(written) == [text]


@pytest.mark.parametrize("character", ["\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2028", "\ue000", "\U000e0001"])
def test_each_kind_of_the_unseen_is_escaped(character: str) -> None:
    """Controls, formats, line separators, private and unassigned characters."""
    assert escaped_in_json(f'"{character}"').lower() == json.dumps(character)
    code = ord(character)
    assert escaped_in_yaml(f'"{character}"') == (f'"\\u{code:04X}"' if code < 0x10000 else f'"\\U{code:08X}"')


def test_what_people_see_stays() -> None:
    """Letters of every script, emoji and wide spaces are no secret."""
    for text in ("Größe · 価格\u300050 %", "🚀", "a\nb"):
        assert escaped_in_json(text) == escaped_in_yaml(text) == text


def test_the_categories_are_these() -> None:
    """Cc, Cf, Cs, Co, Cn, Zl and Zp, on every plane."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for code in (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10010), *range(0xE0000, 0xE0080)):
        assert is_unseen(chr(code)) is (unicodedata.category(chr(code)) in hidden)
