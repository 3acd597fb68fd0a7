"""Notifications as signed HTTP requests, in the manner of Standard Webhooks (docs/channels.md)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from functools import cache
from typing import TYPE_CHECKING

import httpx2

from rollout_server.adapters.own_thread import in_own_thread
from rollout_server.domain.notification import write_notification
from rollout_server.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_server.adapters.addresses import Addresses
    from rollout_server.adapters.channel_secrets import ChannelSecrets
    from rollout_server.domain.notification import Notification
    from rollout_server.domain.rollouts import ChannelSpec
    from rollout_server.ports import Clock

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0
_WORTH_TRYING = frozenset({408, 425, 429})
_LATER = "it is tried again"
_PORTS = {"https": 443, "http": 80}
_REASON_CHARACTERS_MAX = 200


@cache
def system_tls() -> ssl.SSLContext:
    """Return what trusts the authorities that this system trusts; read once, for that takes tens of milliseconds."""
    return ssl.create_default_context()


def signature(secret: str, id_: str, at_s: str, body: bytes) -> str:
    """Return the value of `Rollout-Signature`."""
    digest = hmac.digest(secret.encode(), f"{id_}.{at_s}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhook:
    """Fulfils `ports.Channel`. One request, one connection; no proxy, no redirect, no second look at the name."""

    def __init__(
        self,
        spec: ChannelSpec,
        *,
        addresses: Addresses,
        secrets: ChannelSecrets,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] = system_tls,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Prepare for one URL.

        Args:
            spec: of a webhook.
            addresses: says where it may go.
            secrets: holds what it is signed with.
            clock: for the time in the signature.
            tls: trust in servers.
            timeout_s: for all of one attempt, resolving the name included.
        """
        self._spec = spec
        self._addresses = addresses
        self._secrets = secrets
        self._clock = clock
        self._tls = tls
        self._timeout_s = timeout_s

    async def deliver(self, notification: Notification) -> None:
        """See `ports.Channel`. Taken is any answer of 200 to 299."""
        url = _url(self._spec.target)
        body = json.dumps(write_notification(notification), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {**self._headers(notification.id, body), "Host": url.netloc.decode("ascii")}
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(url, headers, body)
        except TimeoutError:
            raise Unavailable("webhook", f"{url.host} did not answer in {self._timeout_s:g} s", _LATER) from None
        _judge(url.host, status)

    def _headers(self, id_: str, body: bytes) -> dict[str, str]:
        at_s = str(self._clock.now_ms() // 1_000)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "rollout-guard",
            "Rollout-Id": id_,
            "Rollout-Timestamp": at_s,
        }
        if self._spec.secret_env:
            headers["Rollout-Signature"] = signature(self._secrets.get(self._spec.secret_env), id_, at_s, body)
        return headers

    async def _post(self, url: httpx2.URL, headers: Mapping[str, str], body: bytes) -> int:
        failed: httpx2.TransportError | None = None
        for address in await self._addresses.of(url.host, url.port or _PORTS[url.scheme]):
            try:
                return await self._post_to(url.copy_with(host=address), url.host, headers, body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = error  # nothing was sent; the next address may answer
            except httpx2.TransportError as error:
                raise _away(url.host, error) from None
        raise _away(url.host, failed)

    async def _post_to(self, url: httpx2.URL, host: str, headers: Mapping[str, str], body: bytes) -> int:
        # The name goes into SNI and is what the certificate is held against; the address is what is connected to.
        verify = await in_own_thread(self._tls, "authorities") if url.scheme == "https" else False
        transport = httpx2.AsyncHTTPTransport(verify=verify, trust_env=False, retries=0)
        timeout = httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
        async with (
            httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client,
            client.stream("POST", url, content=body, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            return answer.status_code  # the rest of the answer may be endless, and is not read


def _url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in _PORTS or not url.host:
        raise Refused("channel", "its URL cannot be read", "correct the URL of the channel")
    return url


def _away(host: str, error: Exception | None) -> Unavailable:
    reason = (str(error) or type(error).__name__)[:_REASON_CHARACTERS_MAX]
    return Unavailable("webhook", f"{host} cannot be reached: {reason}", _LATER)


def _judge(host: str, status: int) -> None:
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
        return
    if status >= 500 or status in _WORTH_TRYING:  # noqa: PLR2004 - what HTTP calls the server's fault
        raise Unavailable("webhook", f"{host} answered {status}", _LATER)
    if 300 <= status < 400:  # noqa: PLR2004 - what HTTP calls a redirect
        raise Refused("channel", f"{host} answered {status}: redirects are not followed", "write the URL it leads to")
    raise Refused("channel", f"{host} answered {status}", "correct the URL or the secret of the channel")
