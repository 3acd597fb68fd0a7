"""JSON text in records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import Json
from rollout_sdk.wire.json_values import read_json, write_json
from rollout_sdk.wire.records import WireError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Json) -> None:
    """read(write(x)) = x, types and order included."""
    back = read_json(write_json(value), "it", 1 << 20)
    assert (back, repr(back)) == (value, repr(value))


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "-Infinity", "1e400", '"\\ud800"', "[" * 100_000, "[" * 65 + "]" * 65, "9" * 5_000, '{"a":1}x'],
    ids=lambda text: text[:12],
)
def test_whatever_another_reader_would_read_differently_is_refused(text: str) -> None:
    """Not finite, not Unicode, not JSON, too deep: one error, never another exception."""
    with pytest.raises(WireError, match=r"it is not JSON|nests"):
        read_json(text, "it", 1 << 20)


def test_the_limit_counts_bytes() -> None:
    """A reader's bound holds exactly."""
    assert read_json('"ü"', "it", 4) == "ü"
    with pytest.raises(WireError, match="5 bytes of JSON, at most 4"):
        read_json('"üa"', "it", 4)
