"""How the server is dialled."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_sdk.channel import _pem, cast_anchor, dial
from rollout_sdk.settings import Settings


def test_a_certificate_file_has_an_end(tmp_path: Path) -> None:
    """What is no certificate file is refused after a MiB, not read until memory is gone."""
    assert _pem("") is None
    path = tmp_path / "ca.pem"
    path.write_bytes(b"x" * 10)
    assert _pem(str(path)) == b"x" * 10
    with pytest.raises(ValueError, match="1 MiB"):
        _pem("/dev/zero")
    with pytest.raises(OSError, match="gone"):
        dial(Settings(tls_ca=str(tmp_path / "gone")))


def test_dialling_sends_nothing() -> None:
    """A channel to nobody is made at once, and the anchor is cast once a process."""
    cast_anchor()
    cast_anchor()
    dial(Settings(target="127.0.0.1:1")).close()
