"""Plain data as YAML."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from rollout_server.cli.yaml_text import Data, dump

SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcno-:# ", max_size=6), inner, max_size=4),
    max_leaves=12,
)


def read(text: str, version: tuple[int, int]) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader.load(text)


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(tree=TREES)
def test_both_versions_of_yaml_read_back_what_was_written(version: tuple[int, int], tree: Any) -> None:
    """A variant named `on` stays text for every reader."""
    assert read(dump(tree), version) == tree


def test_it_reads_well() -> None:
    rules: list[Data] = [{"id": "staff", "shares": [1, 2]}]
    spec: dict[str, Data] = {"on": True, "rules": rules, "none": {}, "text": "1.10"}
    tree: dict[str, Data] = {"kind": "Flag", "spec": spec}
    assert dump(tree) == (
        "kind: Flag\n"
        "spec:\n"
        '  "on": true\n'
        "  rules:\n"
        "    - id: staff\n"
        "      shares:\n"
        "        - 1\n"
        "        - 2\n"
        "  none: {}\n"
        '  text: "1.10"\n'
    )
