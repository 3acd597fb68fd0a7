"""Where this server may call: hosts are resolved and looked at, and it is the address looked at that is called.

Whoever may write a channel names a URL, and the server stands where that person does not: beside databases, consoles
and the cloud's metadata. So whatever is not public is refused unless a setting allows it (OWASP API7, server-side
request forgery).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from rollout_server.adapters.own_thread import in_own_thread
from rollout_server.errors import Refused, Unavailable

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to addresses. Raises OSError where the name cannot be resolved."""

_Address: TypeAlias = IPv4Address | IPv6Address
_HINT = "call a public address, or name host or network in channel_allow_private (ROLLOUT_CHANNEL_ALLOW_PRIVATE)"
_TRANSLATED = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_ADDRESSES_MAX = 8


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the system, numbers in every spelling included ("127.1", "0x7f000001")."""
    found = await in_own_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), f"resolve {host}")
    return [str(address[0]) for *_, address in found]


class Addresses:
    """Resolves hosts, and says which addresses of theirs may be called."""

    def __init__(self, allowed: Iterable[str] = (), resolve: Resolver = system_resolver) -> None:
        """Take what the setting says.

        Args:
            allowed: hosts by name, which may then have any address; networks ("10.0.0.0/8") and addresses.
            resolve: asked once for each delivery.
        """
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        for one in allowed:
            try:
                self._networks.append(ipaddress.ip_network(one, strict=False))
            except ValueError:
                self._hosts.add(_plain(one))
        self._resolve = resolve

    async def of(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses to try, in order; call these, and do not ask for the name again.

        Raises:
            Refused: "channel", one of them is not public, and nothing allows it.
            Unavailable: the name cannot be resolved now.
        """
        try:
            found = tuple(dict.fromkeys(await self._resolve(host, port)))[:_ADDRESSES_MAX]
        except UnicodeError:
            raise Refused("channel", f"{host} is no name of a host", "correct the URL of the channel") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable("name server", f"{host} cannot be resolved: {reason}", "it is tried again") from None
        if not found:
            raise Unavailable("name server", f"{host} has no address", "it is tried again")
        if _plain(host) not in self._hosts:
            for address in found:
                self._check(host, address)
        return found

    def _check(self, host: str, text: str) -> None:
        for address in _faces(ipaddress.ip_address(text)):
            if any(address in network for network in self._networks):
                continue
            if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
                what = f"{host} is {text}" if host != text else host
                raise Refused("channel", f"{what}, which is not public", _HINT)


def _plain(host: str) -> str:
    return host.rstrip(".").lower()


def _faces(address: _Address) -> tuple[_Address, ...]:
    """Return the addresses that are called in the end: IPv4 wrapped into IPv6 is unwrapped."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    return (address,)
