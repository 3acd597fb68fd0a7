"""Notifications through the services that apprise knows: chat, mail, pagers.

Apprise is an extra, and imported when the first message goes out. It connects by itself, wherever the URL says, so the
settings name the services that channels may use.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from rollout_server.adapters.own_thread import in_own_thread
from rollout_server.domain.machine import NoticeKind
from rollout_server.domain.notification import text, title
from rollout_server.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from rollout_server.adapters.channel_secrets import ChannelSecrets
    from rollout_server.domain.notification import Notification
    from rollout_server.domain.rollouts import ChannelSpec

TIMEOUT_S = 60.0
SECRET = "{secret}"  # noqa: S105 - the place of one
_BAD = frozenset({NoticeKind.DEGRADED, NoticeKind.ROLLED_BACK, NoticeKind.KILLED})
_WAITING = frozenset({NoticeKind.HELD, NoticeKind.AWAITING_APPROVAL})
_LATER = "it is tried again"


class AppriseChannel:
    """Fulfils `ports.Channel`. Whether a service refused for good is not told: every failure is tried again."""

    def __init__(
        self, spec: ChannelSpec, *, allowed: Iterable[str], secrets: ChannelSecrets, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Prepare for one service.

        Args:
            spec: of an apprise service.
            allowed: schemes of services that channels may use, "slack".
            secrets: holds what stands for `SECRET` in the URL; all of it but slashes is escaped there.
            timeout_s: after which nobody waits for it any longer.
        """
        self._spec = spec
        self._allowed = frozenset(allowed)
        self._secrets = secrets
        self._timeout_s = timeout_s

    async def deliver(self, notification: Notification) -> None:
        """See `ports.Channel`."""
        scheme = self._spec.target.partition("://")[0].lower()
        if scheme not in self._allowed:
            hint = "add it to channel_services (ROLLOUT_CHANNEL_SERVICES), and restart the server"
            raise Refused("channel", f"channels may not use the service {scheme}", hint)
        url = self._spec.target
        if self._spec.secret_env:
            url = url.replace(SECRET, quote(self._secrets.get(self._spec.secret_env)))
        try:
            async with asyncio.timeout(self._timeout_s):
                is_taken = await in_own_thread(lambda: _send(url, scheme, notification), f"apprise {scheme}")
        except TimeoutError:
            raise Unavailable("apprise", f"{scheme} did not answer in {self._timeout_s:g} s", _LATER) from None
        if not is_taken:
            raise Unavailable("apprise", f"{scheme} did not take it", _LATER)


def _send(url: str, scheme: str, notification: Notification) -> bool:
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="Rollout Guard", async_mode=False, http_redirects=False, secure_logging=True, storage_mode="memory"
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        # What is wrong with it is not told: the URL holds the secret by now.
        raise Refused("channel", f"apprise cannot read this URL of {scheme}", "correct the URL of the channel")
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    return bool(
        sender.notify(
            title=title(notification),
            body=text(notification),
            notify_type=_type_of(notification.kind),
            body_format="text",
        )
    )


def _apprise() -> ModuleType:
    try:
        import apprise
    except ImportError:
        hint = "pip install 'rollout-guard[apprise]' where the server runs, and restart it"
        raise Refused("channel", "apprise is not installed", hint) from None
    return apprise


def _type_of(kind: NoticeKind) -> str:
    if kind in _BAD:
        return "failure"
    if kind in _WAITING:
        return "warning"
    return "success" if kind is NoticeKind.COMPLETED else "info"
