"""Composition of what tells people: settings decide what a channel may do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rollout_server.adapters.apprise_channel import AppriseChannel
from rollout_server.adapters.command_channel import CommandChannel
from rollout_server.adapters.notes_file import NotesFile
from rollout_server.adapters.webhook import Webhook
from rollout_server.channels import channel_maker
from rollout_server.domain.rollouts import ChannelSpec, Transport
from rollout_server.errors import Refused
from tests.doubles.hook_server import hooks
from tests.small_notifications import message
from tests.small_server import serving, settings

MESSAGE = message()


@pytest.mark.parametrize(
    ("transport", "wanted"),
    [(Transport.WEBHOOK, Webhook), (Transport.COMMAND, CommandChannel), (Transport.APPRISE, AppriseChannel)],
)
def test_every_transport_has_its_channel(transport: Transport, wanted: type, tmp_path: Path) -> None:
    assert type(channel_maker(settings(tmp_path))(ChannelSpec(transport, "x"))) is wanted


@pytest.mark.parametrize(
    ("spec", "setting"),
    [
        (ChannelSpec(Transport.WEBHOOK, "http://127.0.0.1:9/"), "channel_allow_private"),
        (ChannelSpec(Transport.WEBHOOK, "http://127.0.0.1:9/", secret_env="HOME"), "channel_secrets"),
        (ChannelSpec(Transport.COMMAND, "/bin/true"), "channel_commands"),
        (ChannelSpec(Transport.APPRISE, "json://127.0.0.1:9/"), "channel_services"),
        (ChannelSpec(Transport.APPRISE, "slack://{secret}", secret_env="HOME"), "channel_services"),
    ],
)
async def test_by_itself_a_server_reaches_runs_and_reads_nothing(
    spec: ChannelSpec, setting: str, tmp_path: Path
) -> None:
    """And says which setting would let it."""
    with pytest.raises(Refused) as caught:
        await channel_maker(settings(tmp_path))(spec).deliver(MESSAGE)
    assert setting in caught.value.hint


async def test_settings_let_channels_do_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_SECRET", "s3cret")
    told = settings(
        tmp_path,
        channel_allow_private="127.0.0.1",
        channel_commands="/bin/true,/bin/false",
        channel_secrets="PAGER_SECRET",
    )
    make = channel_maker(told)
    await make(ChannelSpec(Transport.COMMAND, "/bin/true")).deliver(MESSAGE)
    async with hooks() as hook:
        url = f"http://127.0.0.1:{hook.port}/"
        await make(ChannelSpec(Transport.WEBHOOK, url, secret_env="PAGER_SECRET")).deliver(MESSAGE)
        assert hook.requests[0].headers["rollout-signature"].startswith("v1,")


async def test_each_environment_has_its_notifier_unless_nobody_is_to_be_told(tmp_path: Path) -> None:
    """A note lies beside the store for each."""
    async with serving(tmp_path, environments="production,staging") as running:
        assert set(running.notifiers) == {"production", "staging"}
        notes = [NotesFile(tmp_path / f"notifications-{name}.json") for name in running.notifiers]
        async with asyncio.timeout(30):
            while any(note.load() is None for note in notes):  # noqa: ASYNC110 - the note has no event of its own
                await asyncio.sleep(0.01)
    async with serving(tmp_path, environments="production,staging", notifications=False) as running:
        assert running.notifiers == {}
