"""What settings are written as: addresses, lists, links; each reader says what is wrong and how to write it."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

_ENVIRONMENT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?", re.ASCII)
_LINK = re.compile(r"https?://(?:[!-z|~]|\{(?:environment|flag|rollout|run)\})+", re.ASCII)
_PORT_MAX = 65_535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[::1]:port"; port 0 takes a free one.

    Raises:
        ValueError: it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > _PORT_MAX:
        message = f"{address!r} is not host:port; write 127.0.0.1:7070 or [::1]:7070"
        raise ValueError(message)
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        message = f"{address!r}: write an IPv6 host in brackets, [::1]:7070"
        raise ValueError(message)
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach the address."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(address: str) -> str:
    split_address(address)
    return address


def _address_or_nothing(address: str) -> str:
    return _address(address) if address else ""


def _root_url(url: str) -> str:
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        message = (
            f"{url!r} is no root of a Prometheus; write http://prometheus:9090, or with the path that it serves at"
        )
        raise ValueError(message)
    if parts.username is not None or parts.password is not None:
        message = "a password in a URL ends up in logs; put a token into a variable and name it in prometheus_token_env"
        raise ValueError(message)
    return url


def is_here(url: str) -> bool:
    """Say whether only this machine can answer at the URL."""
    host = urlsplit(url).hostname or ""
    return is_loopback(f"[{host}]:0" if ":" in host else f"{host}:0")


def _listed(value: object) -> object:
    """Take "production, staging" where a list is wanted: what a variable or an option can carry."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def _listed_or_none(value: object) -> object:
    """As `_listed`, where nothing at all may be wanted."""
    return _listed(value) if value != "" else ()


def _public_exceptions(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name) and not _is_network(name):
            message = f"{name!r} is neither a host nor a network; write hooks.internal, 10.1.2.3 or 10.0.0.0/8"
            raise ValueError(message)
    return names


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _link(template: str) -> str:
    if template and not _LINK.fullmatch(template):
        message = f"{template!r} is no URL with any of {{environment}}, {{flag}}, {{rollout}}, {{run}} in it"
        raise ValueError(message)
    return template


def _environment_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _ENVIRONMENT_NAME.fullmatch(name):
            message = f"{name!r} cannot name an environment; use a-z, 0-9, '.', '_' and '-', at most 128"
            raise ValueError(message)
    if not names or len(set(names)) != len(names):
        message = "name at least one environment, and each once"
        raise ValueError(message)
    return names


Address = Annotated[str, AfterValidator(_address)]
Listed = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_listed_or_none)]
EnvironmentNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_environment_names)]
OptionalAddress = Annotated[str, AfterValidator(_address_or_nothing)]
RootUrl = Annotated[str, AfterValidator(_root_url)]
Link = Annotated[str, AfterValidator(_link)]
PublicExceptions = Annotated[Listed, AfterValidator(_public_exceptions)]
