"""The upstream over gRPC, where the contract does not reach: certificates. The rest is in tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_server.adapters.grpc_upstream import GrpcUpstream, UpstreamAddress
from rollout_server.adapters.upstream_refusals import UpstreamTls
from rollout_server.errors import Unavailable
from tests.contract.test_upstream import say


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It is tried again at the next dial: somebody may be putting it there."""
    tls = UpstreamTls(ca=tmp_path / "ca.pem")
    upstream = GrpcUpstream(UpstreamAddress("127.0.0.1:1", "rg_x", tls, is_local=True))
    with pytest.raises(Unavailable, match=r"ca\.pem cannot be read"):
        await anext(upstream.watch("eu", None, say()))


def test_a_token_is_never_shown() -> None:
    assert "rg_secret" not in repr(UpstreamAddress("h:1", "rg_secret", None, is_local=False))
