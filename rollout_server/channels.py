"""Composition of what tells people: channels from what is written of them, and one notifier for each environment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rollout_server.adapters.addresses import Addresses
from rollout_server.adapters.apprise_channel import AppriseChannel
from rollout_server.adapters.channel_secrets import ChannelSecrets
from rollout_server.adapters.command_channel import CommandChannel
from rollout_server.adapters.system_clock import SystemClock
from rollout_server.adapters.webhook import Webhook
from rollout_server.app.exposed_units import exposed_units
from rollout_server.app.notify import Notifier
from rollout_server.domain.rollouts import ChannelSpec, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_server.app.hand_over import MakeChannel
    from rollout_server.app.ingest_telemetry import IngestTelemetry
    from rollout_server.app.notify import Fence
    from rollout_server.app.served import Served
    from rollout_server.ports import Channel, FencedNotes
    from rollout_server.settings import Settings


def channel_maker(settings: Settings) -> MakeChannel:
    """Return what makes a channel of its spec; what it may reach, run and read is what the settings name."""
    secrets = ChannelSecrets(settings.channel_secrets)
    addresses = Addresses(settings.channel_allow_private)
    clock = SystemClock()

    def make(spec: ChannelSpec) -> Channel:
        match spec.transport:
            case Transport.WEBHOOK:
                return Webhook(spec, addresses=addresses, secrets=secrets, clock=clock)
            case Transport.COMMAND:
                return CommandChannel(spec, allowed=settings.channel_commands)
            case Transport.APPRISE:
                return AppriseChannel(spec, allowed=settings.channel_services, secrets=secrets)

    return make


def notifiers(
    settings: Settings,
    served: Mapping[str, Served],
    telemetry: Mapping[str, IngestTelemetry],
    fences: Mapping[str, Fence],
    notes: Callable[[str], FencedNotes],
) -> dict[str, Notifier]:
    """Return what notifies, by environment; nothing where the settings say that nobody is to be told.

    Args:
        settings: what channels may do.
        served: by environment, as the next two.
        telemetry: knows how many units were exposed.
        fences: of the leases: of all servers the holder tells.
        notes: by environment, shared by the servers that share the lease.
    """
    if not settings.notifications:
        return {}
    make = channel_maker(settings)
    return {
        name: Notifier(
            one.environment,
            make,
            notes(name),
            fence=fences[name],
            exposed=partial(exposed_units, telemetry[name].store),
            link=settings.notification_link,
        )
        for name, one in served.items()
    }
