"""OpenFeature through a real server: from a change to an event and a value, over an outage, to its own books."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError
from openfeature.flag_evaluation import Reason as Told
from openfeature.provider import ProviderStatus

from rollout_sdk import Client, Settings
from rollout_sdk.openfeature import NAME, RolloutProvider
from tests.small_server import Person, bearer, channel_to, document, flag, free_port, serving, states, world

WAIT_S = 60
USER = EvaluationContext("u-1", {"country": "TH", "units": {"tenant": "t-9"}})


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """The API is one for the process."""
    yield
    api.shutdown()


class Heard:
    """Events, in the loop of the test."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[tuple[ProviderEvent, EventDetails]] = asyncio.Queue()
        for event in ProviderEvent:
            api.add_handler(event, partial(self._take, event))

    def _take(self, event: ProviderEvent, details: EventDetails) -> None:
        self._loop.call_soon_threadsafe(self._told.put_nowait, (event, details))

    async def until(self, wanted: ProviderEvent, flag_key: str = "") -> EventDetails:
        async with asyncio.timeout(WAIT_S):
            while True:
                event, details = await self._told.get()
                is_about = not flag_key or flag_key in (details.flags_changed or ())
                if event is wanted and details.provider_name == NAME and is_about:
                    return details


async def test_a_change_is_an_event_and_then_a_value(tmp_path: Path) -> None:
    """Flags of every kind, units of two kinds, a kill, and a goodbye that the server has noted."""
    async with world(tmp_path / "data") as server:
        tenants = {"unit": "tenant", "targets": {"on": ["t-9"]}}
        texts = {"type": "string", "variants": {"a": "blue", "b": "red"}, "off": "a", "default": "b"}
        await server.admin.apply(
            flag("plain", "on"), document("Flag", "tenants", tenants), document("Flag", "text", texts)
        )
        heard = Heard()
        backend = Client(server.running.address, token=server.sdk[0][1].removeprefix("Bearer "), service="shop")
        await asyncio.to_thread(api.set_provider_and_wait, RolloutProvider(backend))
        client = api.get_client()
        assert client.get_boolean_details("plain", default_value=False, evaluation_context=USER).reason == Told.STATIC
        assert await client.get_boolean_value_async("tenants", default_value=False, evaluation_context=USER)
        assert await client.get_string_value_async("text", "x", USER) == "red"
        gone = await client.get_string_details_async("gone", "x", USER)
        assert gone.error_code is ErrorCode.FLAG_NOT_FOUND
        await server.admin.kill("plain")
        await heard.until(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, "plain")
        killed = client.get_boolean_details("plain", default_value=True, evaluation_context=USER)
        assert (killed.value, killed.reason) == (False, Told.DISABLED)
        assert killed.flag_metadata["revision"] == backend.status().revision
        instance_id = backend.status().instance_id
        assert instance_id in states(await server.admin.instances())
        await asyncio.to_thread(api.shutdown)
        assert instance_id not in states(await server.admin.instances())  # it said goodbye


async def test_an_outage_is_told_and_its_end(tmp_path: Path) -> None:
    """STALE while nobody confirms the rules, which go on; READY when somebody does."""
    listen = f"127.0.0.1:{free_port()}"
    async with serving(tmp_path / "data", listen=listen) as running, channel_to(listen) as channel:
        token = await running.token("sdk")
        await Person(channel, bearer(await running.token("admin"))).apply(flag("plain", "on"))
        hasty = Settings(listen, token, stale_after_ms=200, backoff_base_ms=10, backoff_max_ms=100)
        provider = RolloutProvider(Client.of(hasty))
        heard = Heard()
        await asyncio.to_thread(api.set_provider_and_wait, provider)
    await heard.until(ProviderEvent.PROVIDER_STALE)
    client = api.get_client()
    stale = client.get_boolean_details("plain", default_value=False, evaluation_context=USER)
    assert (stale.value, stale.reason, client.get_provider_status()) == (True, Told.STALE, ProviderStatus.STALE)
    async with serving(tmp_path / "data", listen=listen):
        await heard.until(ProviderEvent.PROVIDER_READY)
        again = client.get_boolean_details("plain", default_value=False, evaluation_context=USER)
        assert (again.value, again.reason) == (True, Told.STATIC)
        await asyncio.to_thread(api.shutdown)


async def test_a_refused_token_is_fatal_and_mending_it_is_ready(tmp_path: Path) -> None:
    """At once, by the server's own word. Who dialled the wrong server, and then the right one, restarts nothing."""
    listen = f"127.0.0.1:{free_port()}"
    async with serving(tmp_path / "right", listen=listen) as running, channel_to(listen) as channel:
        token = await running.token("sdk")
        await Person(channel, bearer(await running.token("admin"))).apply(flag("plain", "on"))
    heard = Heard()
    client = api.get_client()
    async with serving(tmp_path / "wrong", listen=listen):
        backend = Client.of(Settings(listen, token, backoff_base_ms=10, backoff_max_ms=100))
        with pytest.raises(ProviderFatalError, match="not known here"):
            await asyncio.to_thread(api.set_provider_and_wait, RolloutProvider(backend, ready_timeout=WAIT_S * 60))
        assert (await heard.until(ProviderEvent.PROVIDER_ERROR)).error_code is ErrorCode.PROVIDER_FATAL
        assert client.get_provider_status() is ProviderStatus.FATAL
        details = client.get_boolean_details("plain", default_value=False)
        assert (details.value, details.error_code) == (False, ErrorCode.PROVIDER_FATAL)
    async with serving(tmp_path / "right", listen=listen):
        await heard.until(ProviderEvent.PROVIDER_READY)
        assert client.get_boolean_value("plain", default_value=False) is True
        await asyncio.to_thread(api.shutdown)
