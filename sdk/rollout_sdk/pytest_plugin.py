"""Fixtures for pytest, there as soon as this distribution is installed.

    @pytest.mark.rollout({"checkout-v2": True}, files=["flags/"])
    def test_checkout(rollout_flags): ...

`rollout_flags` is a client that needs nothing, `rollout_server` a server on loopback. Both begin with what the mark
says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sdk.testing.clients import LocalClient
    from rollout_sdk.testing.server import Server

MARK = "rollout"
_MEANING = (
    f"{MARK}(values, files=[...], environment=...): flags that rollout_flags and rollout_server begin with: values by"
    " key, and files as `rollout apply` takes them"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MEANING)


@pytest.fixture
def rollout_flags(request: pytest.FixtureRequest) -> Iterator[LocalClient]:
    """A client without a server, as `rollout_sdk.testing.fixed` makes them."""
    from rollout_sdk.testing.clients import LocalClient

    with LocalClient() as client:
        _begin(request, client)
        yield client


@pytest.fixture
def rollout_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A `rollout_sdk.testing.Server` that listens."""
    from rollout_sdk.testing.server import Server

    with Server() as server:
        _begin(request, server)
        yield server


def _begin(request: pytest.FixtureRequest, target: LocalClient | Server) -> None:
    """Apply marks, the outermost first: what stands nearest to a test wins."""
    for mark in reversed(list(request.node.iter_markers(MARK))):
        files = mark.kwargs.get("files", ())
        if files:
            target.apply(*files, environment=mark.kwargs.get("environment", ""))
        for values in mark.args:
            target.set(values)
