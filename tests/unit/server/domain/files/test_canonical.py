"""Canonical JSON."""

from __future__ import annotations

import pytest

from rollout_sdk.engine.model import Json
from rollout_server.domain.files.canonical import canonical_json


def test_bytes_are_pinned() -> None:
    """Order as given, no white space, UTF-8 unescaped: digests of years rest on these bytes."""
    tree: Json = {"b": [1, 1.0, 1e16, True, None], "a": 'é"\n\u2028', "": {}}
    assert canonical_json(tree) == '{"b":[1,1.0,1e+16,true,null],"a":"é\\"\\n\u2028","":{}}'.encode()


@pytest.mark.parametrize("tree", [float("nan"), float("inf"), ["\ud800"], {"\ud800": 1}])
def test_what_json_cannot_say_is_refused(tree: Json) -> None:
    """Nothing enters a journal that does not come out of it."""
    with pytest.raises(ValueError):  # noqa: PT011 - three kinds of it, none with words of ours
        canonical_json(tree)
