"""Addresses: one way to write them, and what is none says how. The rest is told by `Settings` in test_settings."""

from __future__ import annotations

import pytest

from rollout_server.setting_values import is_here, is_loopback, split_address


@pytest.mark.parametrize(
    ("address", "parts"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:65535", ("::1", 65535)), ("a.b:7", ("a.b", 7))]
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", ":1", "a:", "a:b", "a:65536", "a:-1", "::1:7070", "[::1:7070", "a:٣"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="write"):
        split_address(address)


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert [is_loopback(f"{host}:1") for host in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost")] == [True] * 4
    assert [is_loopback(f"{host}:1") for host in ("0.0.0.0", "[::]", "192.168.0.1", "localhost.evil")] == [False] * 4  # noqa: S104 - what must not count


@pytest.mark.parametrize(
    ("url", "here"), [("http://localhost:9090", True), ("http://[::1]", True), ("https://prometheus:9090/x", False)]
)
def test_a_url_is_here_where_only_this_machine_answers(url: str, here: bool) -> None:  # noqa: FBT001 - of a table
    assert is_here(url) is here
