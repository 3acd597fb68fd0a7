"""Where the server may call: nothing that is not public, however it is spelled, unless a setting says so."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from rollout_server.adapters.addresses import Addresses, Resolver
from rollout_server.errors import Refused, Unavailable


def known(*addresses: str) -> Resolver:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",  # noqa: S104 - to be refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:db8::1",
    ],
)
async def test_what_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, link-local, metadata, multicast, and all of them wrapped into IPv6."""
    with pytest.raises(Refused, match="not public") as caught:
        await Addresses(resolve=known(address)).of("hooks.example.com", 443)
    assert "channel_allow_private" in caught.value.hint


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::1.1.1.1"])
async def test_what_is_public_is_called(address: str) -> None:
    assert await Addresses(resolve=known(address)).of("hooks.example.com", 443) == (address,)


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(Refused, match=r"hooks\.example\.com is 10\.0\.0\.7"):
        await Addresses(resolve=known("1.1.1.1", "10.0.0.7")).of("hooks.example.com", 443)


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("10.0.0.0/8", "a.example.com", "10.9.8.7"),
        ("10.9.8.7", "a.example.com", "10.9.8.7"),
        ("10.0.0.0/8", "a.example.com", "::ffff:10.9.8.7"),
        ("fd00::/8", "a.example.com", "fd00::7"),
        ("hooks.internal", "hooks.internal", "10.9.8.7"),
        ("Hooks.Internal.", "hooks.internal", "10.9.8.7"),
        ("hooks.internal", "HOOKS.internal.", "10.9.8.7"),
    ],
)
async def test_a_setting_makes_an_exception(allowed: str, host: str, address: str) -> None:
    """For a host by its name, or for a network."""
    assert await Addresses([allowed], known(address)).of(host, 443) == (address,)


@pytest.mark.parametrize("allowed", ["11.0.0.0/8", "internal", "s.internal", "10.9.8.8"])
async def test_an_exception_is_for_nobody_else(allowed: str) -> None:
    with pytest.raises(Refused):
        await Addresses([allowed], known("10.9.8.7")).of("hooks.internal", 443)


@pytest.mark.parametrize("spelled", ["127.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1", "::1"])
async def test_numbers_are_numbers_in_every_spelling(spelled: str) -> None:
    """The system reads them, and what it read is looked at."""
    with pytest.raises(Refused, match="not public"):
        await Addresses().of(spelled, 80)


async def test_a_name_server_that_is_away_is_worth_waiting_for() -> None:
    async def away(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    with pytest.raises(Unavailable, match="try again"):
        await Addresses(resolve=away).of("hooks.example.com", 443)
    with pytest.raises(Unavailable, match="no address"):
        await Addresses(resolve=known()).of("hooks.example.com", 443)


async def test_a_name_that_can_be_none_is_refused() -> None:
    with pytest.raises(Refused, match="no name"):
        await Addresses().of("x" * 70 + ".example.com", 443)
