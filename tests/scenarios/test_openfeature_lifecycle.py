"""A provider of OpenFeature from start to end: ready, stale, refused, closed. Numbers: the specification, v0.8."""

import queue
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import Reason as Told
from openfeature.provider import ProviderStatus

from rollout_sdk import Client, Settings
from rollout_sdk.openfeature import NAME, RolloutProvider
from rollout_sdk.runtime import Runtime
from rollout_sdk.testing import fixed
from rollout_sdk.wire.messages import Part
from rollout_sdk.wire.snapshot import pack
from tests.doubles.delivery_server import digest_of, record
from tests.small_rules import boolean, position

WAIT_S = 20
REFUSAL = "UNAUTHENTICATED: no such token"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """The API is one for the process."""
    yield
    api.clear_providers()


class Heard:
    """What handlers of the API are told."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[tuple[ProviderEvent, EventDetails]] = queue.SimpleQueue()
        for event in ProviderEvent:
            api.add_handler(event, partial(self._take, event))

    def _take(self, event: ProviderEvent, details: EventDetails) -> None:
        self._told.put((event, details))

    def until(self, wanted: ProviderEvent) -> EventDetails:
        while True:
            event, details = self._told.get(timeout=WAIT_S)
            if event is wanted and details.provider_name == NAME:  # READY is told of the SDK's own provider, too
                return details


class Unready(Client):
    """A client whose server has not answered yet; a test lets it."""

    def __init__(self, overrides_path: str = "") -> None:
        self._hold(Runtime(Settings(overrides_path=overrides_path)))
        self._runtime.prepare(lambda: False)
        self._runtime._look()

    def refuse(self, why: str = REFUSAL) -> None:
        self._runtime.connected(is_connected=False, refused=why)

    def receive(self, revision: int = 1) -> None:
        one = record(boolean("a"), 1)
        self._runtime.receive(
            Part(
                snapshot=True,
                base_revision=0,
                position=position(revision),
                ruleset_digest=digest_of([one]),
                records=(one,),
            )
        )

    def expire(self) -> None:
        self._runtime.expire()


def test_2_4_2_1_and_5_3_2_without_rules_initialisation_fails_and_ready_follows() -> None:
    """ERROR meanwhile, decisions are defaults with PROVIDER_NOT_READY, and PROVIDER_READY comes with the rules."""
    backend, heard = Unready(), Heard()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=0))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.ERROR
    assert heard.until(ProviderEvent.PROVIDER_ERROR).message
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (False, Told.ERROR, ErrorCode.PROVIDER_NOT_READY)
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert client.get_provider_status() is ProviderStatus.READY
    assert client.get_boolean_value("a", default_value=False) is True


def test_2_4_2_1_a_refused_token_is_fatal_at_once() -> None:
    """Nobody waits for the time that a slow server is given: the specification calls bad credentials irrecoverable."""
    backend, heard = Unready(), Heard()
    backend.refuse()
    with pytest.raises(ProviderFatalError, match=REFUSAL):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=3_600))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.FATAL
    told = heard.until(ProviderEvent.PROVIDER_ERROR)
    assert told.error_code is ErrorCode.PROVIDER_FATAL
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (False, Told.ERROR, ErrorCode.PROVIDER_FATAL)


def test_5_1_5_a_refusal_after_initialisation_is_an_error_event_and_ready_follows_a_mended_token() -> None:
    """The client goes on dialling: whoever mends the token restarts nothing."""
    backend, heard = Unready(), Heard()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend, ready_timeout=0))
    assert heard.until(ProviderEvent.PROVIDER_ERROR).error_code is ErrorCode.PROVIDER_NOT_READY
    backend.refuse()
    told = heard.until(ProviderEvent.PROVIDER_ERROR)
    assert told.error_code is ErrorCode.PROVIDER_FATAL
    assert REFUSAL in (told.message or "")
    backend.refuse("")
    assert heard.until(ProviderEvent.PROVIDER_ERROR).error_code is ErrorCode.PROVIDER_NOT_READY
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_a_token_that_is_revoked_takes_nobodys_rules_away() -> None:
    """OpenFeature asks a fatal provider nothing more; so it is only stale, and says why."""
    backend, heard = Unready(), Heard()
    backend.receive(1)
    api.set_provider_and_wait(RolloutProvider(backend))
    heard.until(ProviderEvent.PROVIDER_READY)
    backend.refuse()
    backend.expire()
    assert REFUSAL in (heard.until(ProviderEvent.PROVIDER_STALE).message or "")
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_overrides_are_served_under_a_refused_token(tmp_path: Path) -> None:
    """The file for emergencies needs no server, so no provider with one is fatal."""
    (tmp_path / "overrides").write_text("a: on\n", encoding="utf-8")
    backend = Unready(overrides_path=str(tmp_path / "overrides"))
    backend.refuse()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(RolloutProvider(backend))
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_setting_the_provider_does_not_wait_for_a_server() -> None:
    """`set_provider` returns at once; the OpenFeature SDK initialises on a thread of its own."""
    backend, heard = Unready(), Heard()
    api.set_provider(RolloutProvider(backend, ready_timeout=WAIT_S))
    assert api.get_client().get_provider_status() is ProviderStatus.NOT_READY
    backend.receive()
    heard.until(ProviderEvent.PROVIDER_READY)
    assert api.get_client().get_boolean_value("a", default_value=False) is True


def test_rules_from_disk_are_ready_and_then_told_stale(tmp_path: Path) -> None:
    """They decide from the first moment; that nobody confirmed them is told as soon as it can be."""
    heard, path = Heard(), tmp_path / "rules.snapshot"
    path.write_bytes(pack(position(3), [record(boolean("a"), 1)], []))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        api.set_provider_and_wait(RolloutProvider(Client(target, token="rg_x", snapshot_path=path), ready_timeout=0.01))
        assert api.get_client().get_boolean_value("a", default_value=False) is True
        heard.until(ProviderEvent.PROVIDER_STALE)
        assert api.get_client().get_provider_status() is ProviderStatus.STALE


def test_5_1_1_stale_and_ready_follow_the_connection() -> None:
    """Decisions made meanwhile say STALE, and go on."""
    backend, heard = Unready(), Heard()
    backend.receive(1)
    api.set_provider_and_wait(RolloutProvider(backend))
    client = api.get_client()
    heard.until(ProviderEvent.PROVIDER_READY)
    backend.expire()
    assert heard.until(ProviderEvent.PROVIDER_STALE).message
    assert client.get_provider_status() is ProviderStatus.STALE
    details = client.get_boolean_details("a", default_value=False)
    assert (details.value, details.reason, details.error_code) == (True, Told.STALE, None)
    assert details.flag_metadata["reason"] == "default"
    age_ms = details.flag_metadata["confirmed_ms_ago"]
    assert isinstance(age_ms, int)
    assert age_ms >= 0
    backend.receive(2)
    heard.until(ProviderEvent.PROVIDER_READY)
    assert client.get_provider_status() is ProviderStatus.READY


def test_5_1_1_and_5_2_3_changed_flags_are_named() -> None:
    """Exactly those, and by which provider."""
    backend, heard = fixed({"a": True, "b": 1}), Heard()
    api.set_provider_and_wait(RolloutProvider(backend))
    backend.set({"b": 2})
    details = heard.until(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
    assert (details.flags_changed, details.provider_name) == (["b"], NAME)


def test_2_5_1_and_2_5_2_shutdown_closes_the_client_and_is_final() -> None:
    """Not ready again, silent, and not to be started again: a closed client stays closed."""
    backend = fixed({"a": True})
    provider = RolloutProvider(backend)
    api.set_provider_and_wait(provider)
    api.shutdown()
    assert provider._state is ProviderStatus.NOT_READY
    assert backend._runtime._is_closed
    with pytest.raises(ProviderFatalError):
        provider.initialize(EvaluationContext())


def test_a_client_of_somebody_else_is_left_open() -> None:
    """It is used outside of OpenFeature, too; a provider on it can start again."""
    backend = fixed({"a": True})
    provider = RolloutProvider(backend, closes_client=False)
    api.set_provider_and_wait(provider)
    api.shutdown()
    assert not backend._runtime._is_closed
    provider.initialize(EvaluationContext())
    provider.shutdown()


def test_no_thread_is_left_behind() -> None:
    """Ended subscriptions end their threads."""
    before = set(threading.enumerate())
    provider = RolloutProvider(fixed({"a": True}))
    provider.initialize(EvaluationContext())
    mine = set(threading.enumerate()) - before
    assert mine
    provider.shutdown()
    for thread in mine:
        thread.join(WAIT_S)
        assert not thread.is_alive()
