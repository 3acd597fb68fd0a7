"""Decisions as span events, through the real OpenTelemetry SDK."""

from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes as names
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, use_span

from rollout_sdk import Context, otel
from rollout_sdk.confirmation import Confirmation
from rollout_sdk.engine.model import FlagState, Ruleset
from rollout_sdk.front import Observed
from rollout_sdk.otel import EVENT, trace
from rollout_sdk.testing import RulesetClient
from tests.small_rules import boolean, position
from tests.telemetry_world import launch_ruleset

USER = Context("u-1", email="me@example.com")


class Traced:
    """One span, and the events in it."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = provider.get_tracer("test")

    def span(self) -> Any:
        return self._tracer.start_as_current_span("request")

    @property
    def events(self) -> list[dict[str, Any]]:
        spans: tuple[ReadableSpan, ...] = self._exporter.get_finished_spans()
        return [dict(event.attributes or {}) | {"name": event.name} for span in spans for event in span.events]


@pytest.fixture
def client() -> RulesetClient:
    return RulesetClient(launch_ruleset())


def test_a_decision_is_an_event_of_the_span_around_it(client: RulesetClient) -> None:
    """With the names of the conventions, and what a rollout knows besides."""
    traced = Traced()
    end = trace(client)
    with traced.span():
        client.enabled("checkout", USER)
    end()
    with traced.span():
        client.enabled("checkout", USER)
    (event,) = traced.events
    decision = client.decide("checkout", USER)
    assert decision.arm is not None
    assert event == {
        "name": EVENT,
        names.FEATURE_FLAG_KEY: "checkout",
        names.FEATURE_FLAG_PROVIDER_NAME: "rollout-guard",
        names.FEATURE_FLAG_RESULT_REASON: "split",
        names.FEATURE_FLAG_RESULT_VARIANT: decision.variant,
        names.FEATURE_FLAG_VERSION: "1",
        "rollout_guard.rollout": "launch",
        "rollout_guard.run": decision.run,
        "rollout_guard.stage": decision.stage,
        "rollout_guard.arm": decision.arm.value,
    }


def test_a_stale_decision_says_how_old_its_rules_are(client: RulesetClient) -> None:
    """A fresh one reads no clock for it."""
    traced = Traced()
    trace(client)
    client._runtime._confirmation = Confirmation(time.monotonic() - 90)
    client._runtime.expire()
    with traced.span():
        client.enabled("checkout", USER)
    (event,) = traced.events
    assert event[names.FEATURE_FLAG_RESULT_REASON] == "stale"
    assert event["rollout_guard.confirmed_ms_ago"] >= 90_000


def test_a_default_says_what_went_wrong(client: RulesetClient) -> None:
    """By its type; and no value, which is the caller's."""
    traced = Traced()
    trace(client)
    with traced.span():
        client.string("gone", USER, default="secret")
        client.string("checkout", USER)
    unknown, mismatch = traced.events
    assert (unknown["error.type"], mismatch["error.type"]) == ("flag_not_found", "type_mismatch")
    assert unknown[names.FEATURE_FLAG_RESULT_REASON] == "error"
    assert names.FEATURE_FLAG_RESULT_VARIANT not in unknown
    assert "secret" not in str(unknown)


def test_nothing_personal_is_told_unless_asked_for(client: RulesetClient) -> None:
    """Neither key nor attributes; then the key of one kind of unit, where there is one."""
    traced = Traced()
    end = trace(client)
    with traced.span():
        client.enabled("checkout", USER)
    end()
    assert "u-1" not in str(traced.events)
    assert "example.com" not in str(traced.events)
    traced = Traced()
    trace(client, context_id="user")
    with traced.span():
        client.enabled("checkout", USER)
        client.enabled("checkout", Context())
    assert [event.get(names.FEATURE_FLAG_CONTEXT_ID) for event in traced.events] == ["u-1", None]


def test_without_a_span_nothing_is_made(client: RulesetClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where the span is not sampled; the decision stands."""
    made: list[object] = []
    monkeypatch.setattr(otel, "_attributes", lambda *of: made.append(of))
    trace(client)
    assert client.decide("checkout", USER).variant is not None
    with use_span(NonRecordingSpan(INVALID_SPAN_CONTEXT)):
        client.decide("checkout", USER)
    assert made == []


def test_a_killed_flag_is_disabled_in_the_words_of_the_conventions() -> None:
    """As OpenFeature has it, in lower case."""
    killed = RulesetClient(Ruleset(position(1), {"a": boolean("a")}, {}, {"a": FlagState("a", killed=True)}))
    traced = Traced()
    trace(killed)
    with traced.span():
        killed.enabled("a", USER)
    assert traced.events[0][names.FEATURE_FLAG_RESULT_REASON] == "disabled"


def test_a_client_without_traces_has_nothing_in_the_way(client: RulesetClient) -> None:
    """Ending the trace takes it out again."""
    assert not isinstance(client._front.now.decider, Observed)
    end = trace(client)
    assert isinstance(client._front.now.decider, Observed)
    end()
    assert not isinstance(client._front.now.decider, Observed)
