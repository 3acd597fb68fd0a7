"""Channels; whether they reach anybody is asked in tests/e2e."""

from pathlib import Path

import pytest

from rollout_sdk import channel as module
from rollout_sdk.channel import cast_anchor, dial
from rollout_sdk.settings import Settings


def test_one_anchor_holds_for_the_process() -> None:
    """The last channel of a process is never closed."""
    cast_anchor()
    (first,) = module._anchor.values()
    cast_anchor()
    assert list(module._anchor.values()) == [first]


def test_a_missing_certificate_is_said_at_the_dial(tmp_path: Path) -> None:
    """It may be there at the next one."""
    with pytest.raises(OSError, match="nowhere"):
        dial(Settings("example.com:443", tls_ca=str(tmp_path / "nowhere.pem")))
    dial(Settings("localhost:1")).close()
